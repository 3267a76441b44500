"""Counts the operations that training code launches on the device."""

from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Operations that return a value for which the host waits.
READS = ("_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "masked_select")
# Operations that allocate memory or return views, and launch nothing on a GPU.
FREE = (
    *("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"),
    *("detach", "lift_fresh", "_unsafe_view", "_reshape_alias"),
)


class Operations(TorchDispatchMode):
    """Counts operations by their name while active.

    An operation on lists of tensors (`_foreach_`, `_fused_`) is one launch if the lists have equal shapes and strides.
    Otherwise torch launches it on a GPU once per tensor.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.launches = 0  # operations other than views and allocations
        self.read_back: list[str] = []  # operations for whose result the host would wait
        self.copied: list[str] = []  # copies from host to device, for which the host also waits

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.name().split("::")[1].split(".")[0]
        self.counts[name] += 1
        if name in READS or (name == "index" and any(_is_mask(index) for index in args[1])):
            self.read_back.append(name)
        if not (function.is_view or name in FREE or name.startswith("_record_function")):
            self.launches += _launches(name, args)
        result = function(*args, **(kwargs or {}))
        if (
            isinstance(result, torch.Tensor)
            and _is_elsewhere(result)
            and not all(map(_is_elsewhere, tree_leaves((args, kwargs))))
        ):
            self.copied.append(name)
        return result


def _is_elsewhere(value: Any) -> bool:
    """Returns whether a value is not a tensor in host memory. A single number is passed with the launch."""
    return not isinstance(value, torch.Tensor) or value.ndim == 0 or value.device.type != "cpu"


def _is_mask(index: torch.Tensor | None) -> bool:
    """Returns whether an index is a mask. Only the device knows how many elements it selects."""
    return index is not None and index.dtype in (torch.bool, torch.uint8)


def _launches(name: str, args: Any) -> int:
    """Returns the number of launches of an operation that is not a view."""
    # For `_fused_` steps: parameters, gradients and their means; the rest are step counts
    lists = [arg for arg in args[:4] if isinstance(arg, (list, tuple)) and arg and isinstance(arg[0], torch.Tensor)]
    if not name.startswith(("_foreach_", "_fused_")) or all(map(_agree, zip(*lists, strict=True))):
        return 1
    return len(lists[0])


def _agree(tensors: tuple[torch.Tensor, ...]) -> bool:
    """Returns whether tensors have equal shapes and strides. Strides of axes of length 1 differ between CPU and GPU."""
    layouts = {
        tuple((size, step) for size, step in zip(each.shape, each.stride(), strict=True) if size > 1)
        for each in tensors
    }
    return len(layouts) == 1

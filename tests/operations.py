"""Counts the operations that a piece of training gives to the device."""

from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# They give back a value that the host waits for.
READS = ("_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "masked_select")
# They allocate memory or describe it in another way, and start nothing on a GPU.
FREE = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach", "lift_fresh")


class Operations(TorchDispatchMode):
    """Within it, each operation is counted by its name: one of a list of tensors (`_foreach_`) counts once."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.launches = 0  # operations other than views and allocations
        self.read_back: list[str] = []  # those for whose result the host would wait

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.name().split("::")[1].split(".")[0]
        self.counts[name] += 1
        if name in READS or (name == "index" and any(_is_mask(index) for index in args[1])):
            self.read_back.append(name)
        if not (function.is_view or name in FREE or name.startswith("_record_function")):
            self.launches += 1
        return function(*args, **(kwargs or {}))


def _is_mask(index: torch.Tensor | None) -> bool:
    """Whether an index selects by truth: how many are selected is known to the device alone."""
    return index is not None and index.dtype in (torch.bool, torch.uint8)

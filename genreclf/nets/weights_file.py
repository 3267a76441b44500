"""Reads a .safetensors file with the weights of a net."""

from collections.abc import Collection, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from genreclf.errors import GenreclfError, explained


def read_weights(
    path: Path, expected: Mapping[str, Tensor], of: str, remedy: str, optional: Collection[str] = ()
) -> dict[str, Tensor]:
    """Returns the file's tensors, without a classifier head that is not expected. `optional` ones may be missing.

    Raises GenreclfError, before it reads any tensor, if names or shapes are not those that `of` expects, and if a
    weight is not finite.
    """
    with explained(f"{path}: cannot be read as safetensors", remedy, OSError, SafetensorError):
        path.open("rb").close()  # safe_open gives misleading reasons for folders and unreadable files
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name in expected or not name.startswith("classifier.")]  # noqa: SIM118
            shapes = {name: list(file.get_slice(name).get_shape()) for name in names}
            if faults := _faults(shapes, expected, optional):
                raise GenreclfError(f"{path}: does not fit {of}: tensors {faults}; {remedy}")
            tensors = {name: file.get_tensor(name) for name in names}
    check_finite(path, tensors, remedy)
    return tensors


def check_finite(path: Path, tensors: Mapping[str, Tensor], remedy: str) -> None:
    """Raises GenreclfError for a tensor with a NaN or infinity."""
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise GenreclfError(f"{path}: damaged: tensor {name!r} has values that are not finite; {remedy}")


def _faults(shapes: Mapping[str, list[int]], expected: Mapping[str, Tensor], optional: Collection[str]) -> str:
    """Returns how many tensors are wrong, and the first of each kind; empty if all fit."""
    sizes = {name: list(tensor.shape) for name, tensor in expected.items()}
    other = [name for name in shapes if name in sizes and shapes[name] != sizes[name]]
    wrong = {
        "missing": [name for name in sizes if name not in shapes and name not in optional],
        "unknown": [name for name in shapes if name not in sizes],
        "of the wrong shape": [f"{name}, {shapes[name]} instead of {sizes[name]}" for name in other],
    }
    return ", ".join(f"{len(names)} {what} (first: {names[0]})" for what, names in wrong.items() if names)

"""Which device a model runs on."""

import torch

from genreclf.errors import GenreclfError


def pick_device(name: str) -> torch.device:
    """`auto` is the GPU if there is one; raises GenreclfError for a device that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise GenreclfError(f"device={name}: not available here; use device=cpu") from error
    return torch.device(name)

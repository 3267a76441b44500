"""The numbers of batches that batch norms have seen, counted by one operation for all."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def counted_together(net: nn.Module) -> Iterator[None]:
    """Within it, batch norms do not count the batch each on its own, which costs a GPU as much as the norm itself."""
    norms = [norm for norm in net.modules() if isinstance(norm, _BatchNorm) and norm.training]
    counts = [norm.num_batches_tracked for norm in norms]
    try:
        for norm in norms:
            norm.num_batches_tracked = None
        yield
    finally:
        for norm, count in zip(norms, counts, strict=True):
            norm.num_batches_tracked = count
    known = [count for count in counts if count is not None]
    if known:
        torch._foreach_add_(known, 1)

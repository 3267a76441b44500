"""One operation that updates the batch counters of all batch norms."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def counted_together(net: nn.Module) -> Iterator[None]:
    """Updates all batch counters together on exit: on a GPU, a norm's own update takes as long as the norm itself."""
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

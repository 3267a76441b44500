"""Logits to probabilities, for one genre or several labels per clip, and temperature scaling. Works in TorchScript."""

from torch import Tensor


def probabilities(logits: Tensor, multilabel: bool) -> Tensor:
    """(N, classes) logits -> probabilities: each row sums to 1, or each class is independent if `multilabel`."""
    return logits.sigmoid() if multilabel else logits.softmax(1)


def apply_temperature(probabilities: Tensor, temperature: float, multilabel: bool) -> Tensor:
    """Like `apply_temperature` and `apply_temperature_to_each` in `inference.temperature`, for (N, classes) tensors."""
    logarithms = probabilities.clamp(min=1e-12).log()
    if multilabel:
        return ((logarithms - (1 - probabilities).clamp(min=1e-12).log()) / temperature).sigmoid()
    return (logarithms / temperature).softmax(dim=1)

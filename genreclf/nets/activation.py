"""What a net's logits mean: probabilities of one genre or of several, and their temperature. In TorchScript, too."""

from torch import Tensor


def probabilities(logits: Tensor, multilabel: bool) -> Tensor:
    """(N, classes) logits -> probabilities, which sum to 1 or, in `multilabel`, do not depend on each other."""
    return logits.sigmoid() if multilabel else logits.softmax(1)


def apply_temperature(probabilities: Tensor, temperature: float, multilabel: bool) -> Tensor:
    """(N, classes) -> the same: `inference.temperature.apply_temperature`, or `apply_temperature_to_each`."""
    logarithms = probabilities.clamp(min=1e-12).log()
    if multilabel:
        return ((logarithms - (1 - probabilities).clamp(min=1e-12).log()) / temperature).sigmoid()
    return (logarithms / temperature).softmax(dim=1)

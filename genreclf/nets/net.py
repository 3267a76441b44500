"""The base class of all nets."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn


class Net(nn.Module):
    """A net that classifies segments. `kinds.new_net` builds it from its `config`, a dataclass of plain data."""

    if TYPE_CHECKING:  # TorchScript would read the annotation
        config: Any

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, 128, W) levels, uint8 or float in [0, 255], channels equal -> logits (B, classes) and attention.

        The attention, (B, heads, T), sums to 1 over time.
        """
        logits, attention, _ = self.outputs(levels)
        return logits, attention

    @abstractmethod
    def outputs(self, levels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the outputs of `forward` and an embedding (B, D) of each segment."""

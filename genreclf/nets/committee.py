"""Several nets that answer as one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from genreclf.errors import GenreclfError


@dataclass(frozen=True)
class Member:
    """A net's `kind` and configuration, and the `temperature` of its probabilities, above 0; else GenreclfError."""

    kind: str
    net: dict
    temperature: float

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise GenreclfError(f"temperature={self.temperature}: a member's must be above 0")


@dataclass(frozen=True)
class CommitteeConfig:
    """`members` are plain `Member`s."""

    num_classes: int
    members: tuple[dict, ...]


class Committee(nn.Module):
    """The geometric mean of the members' probabilities, each apply_temperature by its own temperature.

    Nets that err differently are right together more often than any of them (Hansen and Salamon 1990).
    """

    def __init__(self, config: CommitteeConfig, members: Sequence[Member], nets: Sequence[nn.Module]) -> None:
        super().__init__()
        self.config = config
        self.nets = nn.ModuleList(nets)
        self.temperatures = [member.temperature for member in members]

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 3, 128, W) levels in [0, 255] -> logits (B, classes), the first member's attention (B, heads, T)."""
        logits: list[torch.Tensor] = []
        attentions: list[torch.Tensor] = []
        for number, net in enumerate(self.nets):
            own, attention = net(x)
            logits.append((own / self.temperatures[number]).log_softmax(1))
            attentions.append(attention)
        return torch.stack(logits).mean(0), attentions[0]

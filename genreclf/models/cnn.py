"""Model A's backbone: a convolutional net with Squeeze-and-Excitation that halves time four times and no more."""

import torch
from torch import nn

from genreclf.errors import GenreclfError
from genreclf.models.config import ModelConfig

BLOCK_CHANNELS = (64, 128, 256, 512)
BLOCK_POOLS = ((4, 2), (4, 2), (2, 2), (2, 2))  # (frequency, time): 128 bands become 2 rows, time is thinned by 16
BLOCK_SQUEEZED = (False, False, True, True)
SQUEEZE_RATIO = 16
REMAINING_ROWS = 2


class SqueezeExcitation(nn.Module):
    """Scales each channel by what all channels hold on average: (B, C, H, W) -> (B, C, H, W) (Hu et al. 2018)."""

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(channels, channels // ratio),
            nn.ReLU(inplace=True),
            nn.Linear(channels // ratio, channels),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        gate = self.gate(x.mean(dim=(2, 3)))  # (B, C)
        return x * gate[:, :, None, None]


class SECNN(nn.Module):
    """(B, 3, 128, W) scaled to [0, 1] -> (B, W // 16, num_features); `config.backbone_dropout` has a rate a block.

    Raises GenreclfError where `config.backbone_dropout` has another number of rates than the net has blocks.
    """

    # the scaling that the net expects of its input, per colour channel: [0, 1] as it is
    mean = (0.0, 0.0, 0.0)
    std = (1.0, 1.0, 1.0)

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if len(config.backbone_dropout) != len(BLOCK_CHANNELS):
            raise GenreclfError(
                f"model.net.backbone_dropout={list(config.backbone_dropout)}: "
                f"backbone=cnn needs {len(BLOCK_CHANNELS)} rates, one a block"
            )
        shapes = zip((3, *BLOCK_CHANNELS[:-1]), BLOCK_CHANNELS, BLOCK_SQUEEZED, BLOCK_POOLS, strict=True)
        rates = config.backbone_dropout
        self.blocks = nn.Sequential(*(_block(*shape, rate) for shape, rate in zip(shapes, rates, strict=True)))
        self.num_features = REMAINING_ROWS * BLOCK_CHANNELS[-1]
        # An attribute, as TorchScript cannot ask for it.
        self.trains_plainly = not torch.backends.cpu.get_cpu_capability().startswith("AVX512")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, 128, W) -> (B, W // 16, num_features); a step's features are its rows' channels, low row first."""
        if self.training and self.trains_plainly and not x.is_cuda:
            # Without AVX-512, oneDNN's weight gradient of the second convolution takes three times as long in
            # channels_last. The weights keep their plain layout for this: either layout is as fast for them elsewhere.
            x = x.contiguous()
        x = self.blocks(x)  # (B, 512, 2, T)
        return x.permute(0, 3, 2, 1).flatten(2)  # (B, T, 2 * 512)


def _block(channels_in: int, channels: int, squeezed: bool, pool: tuple[int, int], dropout: float) -> nn.Sequential:
    return nn.Sequential(
        *_convolution(channels_in, channels),
        *_convolution(channels, channels),
        SqueezeExcitation(channels, SQUEEZE_RATIO) if squeezed else nn.Identity(),
        nn.MaxPool2d(pool),
        nn.Dropout(dropout),
    )


def _convolution(channels_in: int, channels: int) -> list[nn.Module]:
    # The original normalises after the ReLU, so the convolution's own bias is not idle; 1e-3 is Keras's epsilon.
    return [
        nn.Conv2d(channels_in, channels, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.BatchNorm2d(channels, eps=1e-3),
    ]

"""Model A's backbone: a convolutional net with Squeeze-and-Excitation that halves the time axis four times."""

from math import prod

import torch
from torch import Tensor, nn

from genreclf.nets.config import ModelConfig, require
from genreclf.nets.cpu_gradients import channel_means

TIME_POOL = 2  # of each of the four blocks
BLOCK_SQUEEZED = (False, False, True, True)
SQUEEZE_RATIO = 16


class SqueezeExcitation(nn.Module):
    """Scales each channel by a gate computed from the means of all channels (Hu et al. 2018)."""

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(channels, channels // ratio),
            nn.ReLU(inplace=True),
            nn.Linear(channels // ratio, channels),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        gate = self.gate(channel_means(x))  # (B, C)
        return x * gate[:, :, None, None]


class SECNN(nn.Module):
    """(B, 3, bands, W) -> a feature map (B, num_channels, num_rows, W // 16).

    With a `config.stem_stride` of 2, the first convolution is 5 x 5 and the first pooling factor is halved.
    `config.channels`, `config.frequency_pools` and `config.backbone_dropout` have one number per block. Raises
    GenreclfError for any other length, for values out of range, and for pools that leave no row.
    """

    # Input scaling per colour channel: [0, 1] unchanged
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    time_reduction = TIME_POOL**4

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        _check(config)
        channels, strides = config.channels, (config.stem_stride, 1, 1, 1)
        pools = [(p // s, TIME_POOL // s) for p, s in zip(config.frequency_pools, strides, strict=True)]
        shapes = zip((3, *channels[:-1]), channels, strides, BLOCK_SQUEEZED, pools, strict=True)
        rates = config.backbone_dropout
        self.blocks = nn.Sequential(*(_block(*shape, rate) for shape, rate in zip(shapes, rates, strict=True)))
        self.num_channels, self.num_rows = channels[-1], config.bands // prod(config.frequency_pools)
        # An attribute: TorchScript cannot call this.
        has_avx512 = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
        self.trains_contiguous = config.stem_stride == 1 and not has_avx512

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, bands, W) -> (B, num_channels, num_rows, W // 16)."""
        if self.training and self.trains_contiguous and not x.is_cuda:
            # Without AVX-512, oneDNN's weight gradient of the second convolution, at full resolution, takes three times
            # as long in channels_last.
            x = x.contiguous()
        return self.blocks(x)


def _check(config: ModelConfig) -> None:
    per_block = {"channels": "numbers of channels", "frequency_pools": "numbers", "backbone_dropout": "rates"}
    for key, what in per_block.items():
        needed = f"backbone=cnn needs {len(BLOCK_SQUEEZED)} {what}, one per block"
        require(len(getattr(config, key)) == len(BLOCK_SQUEEZED), config, key, needed)
    enough = min(config.channels) >= 1 and min(config.channels[2:]) >= SQUEEZE_RATIO
    require(enough, config, "channels", f"give at least 1, and {SQUEEZE_RATIO} in the last two blocks")
    require(config.last_time_stride == 2, config, "last_time_stride", "backbone=cnn needs 2")
    require(config.stem_stride in (1, 2), config, "stem_stride", "give 1 or 2")
    pools, stride = config.frequency_pools, config.stem_stride
    fits = min(pools) >= 1 and pools[0] % stride == 0 and prod(pools) <= config.bands
    needed = f"give 1 or more, the first a multiple of stem_stride={stride}, with a product of at most {config.bands}"
    require(fits, config, "frequency_pools", f"{needed}, the number of bands")


def _block(
    channels_in: int, channels: int, stride: int, squeezed: bool, pool: tuple[int, int], dropout: float
) -> nn.Sequential:
    return nn.Sequential(
        *_convolution(channels_in, channels, stride),
        *_convolution(channels, channels, 1),
        SqueezeExcitation(channels, SQUEEZE_RATIO) if squeezed else nn.Identity(),
        nn.MaxPool2d(pool),
        nn.Dropout(dropout),
    )


def _convolution(channels_in: int, channels: int, stride: int) -> list[nn.Module]:
    # The original normalises after the ReLU, so the convolution needs its bias; 1e-3 is Keras's epsilon.
    return [
        nn.Conv2d(channels_in, channels, kernel_size=2 * stride + 1, stride=stride, padding=stride),
        nn.ReLU(inplace=True),
        nn.BatchNorm2d(channels, eps=1e-3),
    ]

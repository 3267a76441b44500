"""Model B's backbone: timm's EfficientNet-B0 (Tan and Le 2019) and its frozen layers."""

from itertools import chain
from math import ceil
from typing import Any

import torch
from torch import Tensor, nn

from genreclf.errors import GenreclfError
from genreclf.nets.config import ModelConfig, require
from genreclf.nets.cpu_gradients import DepthwiseConv2d, channel_means

ARCHITECTURE = "efficientnet_b0"
REDUCTION = 32  # in frequency and time; 16 in time with a `last_time_stride` of 1
LAST_STRIDED_STAGE = 5
FILTER_NOISE = 0.5  # norm of the noise added to a filter of norm 1; chosen on the five GTZAN folds


class SqueezeExcite(nn.Module):
    """timm's Squeeze-and-Excitation `layers`, with a mean whose gradient is fast on a CPU."""

    def __init__(self, layers: Any) -> None:
        super().__init__()
        self.conv_reduce, self.act1 = layers.conv_reduce, layers.act1
        self.conv_expand, self.gate = layers.conv_expand, layers.gate

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        means = channel_means(x)[:, :, None, None]  # (B, C) -> (B, C, 1, 1)
        return x * self.gate(self.conv_expand(self.act1(self.conv_reduce(means))))


class EfficientNet(nn.Module):
    """(B, 3, bands, W) -> a feature map (B, num_channels, ceil(bands / 32), T), from timm's random weights.

    T is ceil(W / 32), or ceil(W / 16) with a `config.last_time_stride` of 1. The ImageNet weights expect input in
    [0, 1], scaled by `mean` and `std` per colour channel. Raises GenreclfError if `config.backbone_dropout` does not
    have two rates, or if channels, pools or strides do not fit EfficientNet-B0.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        two_rates = "backbone=efficientnet needs two rates: stochastic depth, and dropout after the backbone"
        require(len(config.backbone_dropout) == 2, config, "backbone_dropout", two_rates)
        if config.channels or config.frequency_pools or config.stem_stride != 2:
            needed = "give channels=[] frequency_pools=[] stem_stride=2"
            raise GenreclfError(f"model.net: backbone=efficientnet has a fixed shape; {needed}")
        require(config.last_time_stride in (1, 2), config, "last_time_stride", "give 1 or 2")
        import timm  # two seconds, with torchvision: Model A does not need it

        stochastic_depth, dropout = config.backbone_dropout
        net: Any = timm.create_model(ARCHITECTURE, num_classes=0, global_pool="", drop_path_rate=stochastic_depth)
        net.blocks[LAST_STRIDED_STAGE][0].conv_dw.stride = (2, config.last_time_stride)
        for block in chain(*net.blocks):
            block.conv_dw.__class__ = DepthwiseConv2d  # a new layer would need new random weights
            block.se = SqueezeExcite(block.se)
        for module in net.modules():
            if isinstance(module, nn.SiLU):
                module.inplace = False  # its gradient needs the input, of which torch would keep a copy
        self.net = net.to(memory_format=torch.channels_last)
        self.dropout = nn.Dropout(dropout)
        self.mean: tuple[float, ...] = tuple(net.pretrained_cfg["mean"])
        self.std: tuple[float, ...] = tuple(net.pretrained_cfg["std"])
        self.num_channels, self.num_rows = int(net.num_features), ceil(config.bands / REDUCTION)
        self.time_reduction = REDUCTION // 2 * config.last_time_stride
        self.frozen = False

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, bands, W) -> (B, num_channels, num_rows, T)."""
        return self.dropout(self.net(x))

    def start_shallow(self) -> None:
        """Draws random weights that learn in few steps; timm's are meant for long training on many images.

        Each block with a skip connection starts as the identity: the scale of its last batch norm is 0 (Goyal et al.
        2017). Each depthwise filter starts as an identity kernel, or as a Gaussian blur if it has a stride, plus noise.
        """
        module: Any
        for module in self.net.modules():
            if isinstance(module, nn.Conv2d) and module.groups > 1:
                noise = torch.randn_like(module.weight) / module.kernel_size[0]
                module.weight.data.copy_(_identity_or_blur(module) + FILTER_NOISE * noise)
            elif getattr(module, "has_skip", False):
                nn.init.zeros_(module.bn3.weight)

    def freeze_first_layers(self) -> None:
        """Freezes the original's first 100 Keras layers: no gradients and no updates of batch norm statistics.

        Only for pretrained weights of this architecture. `load_weights` calls it after it has loaded them.
        """
        for layer in self._first_layers():
            layer.requires_grad_(False)
        self.frozen = True
        self.train(self.training)

    def train(self, mode: bool = True) -> "EfficientNet":
        """Sets the mode as `nn.Module.train` does, but keeps frozen batch norms in eval mode, as in Keras."""
        super().train(mode)
        if self.frozen:
            for layer in self._first_layers():
                for module in layer.modules():
                    if isinstance(module, nn.BatchNorm2d):
                        module.eval()
        return self

    def _first_layers(self) -> list[nn.Module]:
        # Keras counts 7 or 8 layers up to the stem's activation (newer versions have one more scaling layer), then
        # block1a 10, 2a 14, 2b 15, 3a 14, 3b 15, 4a 14: 89 or 90. Layer 100 is in block4b, at or just after the last
        # convolution of its SE, so both counts freeze the same weights. In timm, block4a is blocks[3][0].
        net, cut = self.net, self.net.blocks[3][1]
        whole = [net.conv_stem, net.bn1, *net.blocks[:3], net.blocks[3][0]]
        return [*whole, cut.conv_pw, cut.bn1, cut.conv_dw, cut.bn2, cut.se]


def _identity_or_blur(depthwise: nn.Conv2d) -> Tensor:
    """Returns a (k, k) kernel of norm 1: the identity for stride 1, otherwise a Gaussian blur."""
    size = depthwise.kernel_size[0]
    distance = torch.arange(size) - size // 2
    is_identity = depthwise.stride == (1, 1)
    weights = (distance == 0).float() if is_identity else torch.exp(-((3 * distance / size) ** 2))
    kernel = torch.outer(weights, weights)
    return kernel / kernel.norm()

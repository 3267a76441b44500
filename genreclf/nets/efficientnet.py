"""Model B's backbone: timm's EfficientNet-B0 (Tan and Le 2019), and which of its layers stay frozen."""

from math import ceil

import torch
from torch import nn

from genreclf.errors import GenreclfError
from genreclf.nets.config import ModelConfig

ARCHITECTURE = "efficientnet_b0"
THINNED = 32  # in frequency, and in time but for `last_time_stride`
LAST_STRIDED_STAGE = 5
FILTER_NOISE = 0.5  # against a filter's own norm of 1


class EfficientNet(nn.Module):
    """(B, 3, bands, W) scaled by `mean` and `std` -> a map (B, num_channels, ceil(bands / 32), T), with timm's random
    weights at first. T is ceil(W / 32), or ceil(W / 16) with a `config.last_time_stride` of 1.

    `mean` and `std` are per colour channel, of input in [0, 1], as the ImageNet weights expect it. Raises GenreclfError
    where `config.backbone_dropout` is not two rates, and for channels, pools or a stem that are not EfficientNet-B0's.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if len(config.backbone_dropout) != 2:
            raise GenreclfError(
                f"model.net.backbone_dropout={list(config.backbone_dropout)}: backbone=efficientnet needs two rates, "
                "of stochastic depth and of dropout behind it"
            )
        if config.channels or config.frequency_pools or config.stem_stride != 2:
            raise GenreclfError(
                "model.net: backbone=efficientnet has its own shape; give channels=[] frequency_pools=[] stem_stride=2"
            )
        import timm  # two seconds, with torchvision behind it: who runs Model A does not wait for them

        self.net = timm.create_model(
            ARCHITECTURE, num_classes=0, global_pool="", drop_path_rate=config.backbone_dropout[0]
        )
        if config.last_time_stride not in (1, 2):
            raise GenreclfError(f"model.net.last_time_stride={config.last_time_stride}: give 1 or 2")
        self.net.blocks[LAST_STRIDED_STAGE][0].conv_dw.stride = (2, config.last_time_stride)
        self.dropout = nn.Dropout(config.backbone_dropout[1])
        self.mean: tuple[float, ...] = tuple(self.net.pretrained_cfg["mean"])
        self.std: tuple[float, ...] = tuple(self.net.pretrained_cfg["std"])
        self.num_channels, self.num_rows = self.net.num_features, ceil(config.bands / THINNED)
        self.frozen = False
        self.to(memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, bands, W) -> (B, num_channels, num_rows, T)."""
        return self.dropout(self.net(x))

    def start_shallow(self) -> None:
        """Random weights that few steps can teach: timm's are for long trainings on many pictures.

        Each block that has a way around it begins as that way alone (its last scale is 0: Goyal et al. 2017), so that
        the net begins half as deep. Each depthwise filter begins with what it is there for, handing its place on or,
        where it thins, a mean about it (Gaussian), and some white noise, which is all that it has elsewhere.
        """
        for module in self.net.modules():
            if isinstance(module, nn.Conv2d) and module.groups > 1:
                noise = torch.randn_like(module.weight) / module.kernel_size[0]
                module.weight.data.copy_(_identity_or_blur(module) + FILTER_NOISE * noise)
            elif getattr(module, "has_skip", False):
                nn.init.zeros_(module.bn3.weight)

    def freeze_first_layers(self) -> None:
        """Freeze the original's first 100 Keras layers: they get no gradient, their batch norms no new statistics.

        Only of use where they hold weights trained in this very net: `load_weights` calls this when it has loaded some.
        """
        for layer in self._first_layers():
            layer.requires_grad_(False)
        self.frozen = True
        self.train(self.training)

    def train(self, mode: bool = True) -> "EfficientNet":
        """As every module's, but frozen batch norms stay in eval mode, as in Keras."""
        super().train(mode)
        if self.frozen:
            for layer in self._first_layers():
                for module in layer.modules():
                    if isinstance(module, nn.BatchNorm2d):
                        module.eval()
        return self

    def _first_layers(self) -> list[nn.Module]:
        # Keras counts 7 or 8 layers up to the stem's activation (input, scalings, padding, convolution, norm,
        # activation; one scaling more in newer versions), then block1a 10, 2a 14, 2b 15, 3a 14, 3b 15, 4a 14: 89 or 90.
        # The rest of the 100 ends in block 4b, at or just after its SE's last convolution, so that either count freezes
        # the same weights. timm's names: block4a is blocks[3][0], block4b is blocks[3][1].
        net, cut = self.net, self.net.blocks[3][1]
        whole = [net.conv_stem, net.bn1, *net.blocks[:3], net.blocks[3][0]]
        return [*whole, cut.conv_pw, cut.bn1, cut.conv_dw, cut.bn2, cut.se]


def _identity_or_blur(depthwise: nn.Conv2d) -> torch.Tensor:
    """(k, k), of norm 1: the place itself for stride 1, else a Gaussian mean."""
    size = depthwise.kernel_size[0]
    away = torch.arange(size) - size // 2
    weights = (away == 0).float() if depthwise.stride == (1, 1) else torch.exp(-((3 * away / size) ** 2))
    kernel = torch.outer(weights, weights)
    return kernel / kernel.norm()

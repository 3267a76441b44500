import pytest
import torch
from bundles import net_config
from torch import nn

from genreclf.errors import GenreclfError
from genreclf.nets.efficientnet import EfficientNet

pytestmark = pytest.mark.usefixtures("one_thread")

# Parameter counts of EfficientNet-B0's layers in Keras, in order, including batch norm statistics.
# Block: (kernel, channels in, channels out, expansion, stride), from Tan and Le 2019, table 1.
KERAS_BLOCKS = (
    *[(3, 32, 16, 1, 1)],
    *[(3, 16, 24, 6, 2), (3, 24, 24, 6, 1)],
    *[(5, 24, 40, 6, 2), (5, 40, 40, 6, 1)],
    *[(3, 40, 80, 6, 2), (3, 80, 80, 6, 1), (3, 80, 80, 6, 1)],
)


def keras_block(kernel: int, channels_in: int, channels: int, expansion: int, stride: int) -> list[int]:
    wide, squeezed = channels_in * expansion, channels_in // 4
    expand = [channels_in * wide, 4 * wide, 0] if expansion > 1 else []  # convolution, norm, activation
    depthwise = [0] * (stride > 1) + [kernel**2 * wide, 4 * wide, 0]  # (padding,) convolution, norm, activation
    squeeze = [0, 0, wide * squeezed + squeezed, squeezed * wide + wide, 0]  # pool, reshape, reduce, expand, multiply
    project = [wide * channels, 4 * channels]
    return expand + depthwise + squeeze + project + [0, 0] * (channels_in == channels and stride == 1)  # (drop, add)


def keras_layers(second_rescaling: bool) -> list[int]:
    stem = [0, 0, 7] + [0] * second_rescaling + [0, 27 * 32, 4 * 32, 0]
    return stem + [count for block in KERAS_BLOCKS for count in keras_block(*block)]


@pytest.mark.parametrize("second_rescaling", [False, True])
def test_the_first_100_keras_layers_are_frozen_and_no_more(backbone, second_rescaling):
    backbone.freeze_first_layers()
    frozen = sum(p.numel() for p in backbone.parameters() if not p.requires_grad)
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d) and not m.weight.requires_grad]
    frozen += sum(m.running_mean.numel() + m.running_var.numel() for m in norms)
    assert frozen == sum(keras_layers(second_rescaling)[:100]) - 7  # without Keras's normalisation constants


def test_frozen_batch_norms_keep_their_statistics_in_training(backbone):
    backbone.freeze_first_layers()
    backbone.eval()
    backbone.train()
    before = {name: value.clone() for name, value in backbone.named_buffers() if name.endswith("running_mean")}
    backbone(torch.randn(2, 3, 128, 64))
    buffers = dict(backbone.named_buffers())
    moved = {name for name, value in before.items() if not torch.equal(value, buffers[name])}
    frozen = {n for n in before if not backbone.get_parameter(n.replace("running_mean", "weight")).requires_grad}
    assert frozen and moved == set(before) - frozen


@pytest.mark.parametrize(("width", "steps"), [(64, 2), (256, 8), (300, 10)])
def test_time_is_reduced_by_32(backbone, width, steps):
    with torch.no_grad():
        maps = backbone.eval()(torch.randn(1, 3, 128, width))
    assert maps.shape == (1, 1280, 4, steps) and (backbone.num_channels, backbone.num_rows) == (1280, 4)


@pytest.mark.parametrize(("width", "steps"), [(64, 4), (256, 16), (300, 19)])
def test_time_is_reduced_by_16_without_the_last_halving(width, steps):
    backbone = EfficientNet(net_config("b", last_time_stride=1)).eval()
    with torch.no_grad():
        maps = backbone(torch.randn(1, 3, 128, width))
    assert maps.shape == (1, 1280, 4, steps)


def test_the_last_halving_has_no_weight(backbone):
    assert EfficientNet(net_config("b", last_time_stride=1)).state_dict().keys() == backbone.state_dict().keys()


def test_a_shallow_start_makes_blocks_with_a_skip_connection_the_identity(backbone):
    backbone.start_shallow()
    backbone.train()
    skipping = [block for stage in backbone.net.blocks for block in stage if block.has_skip]
    assert len(skipping) == 9  # the blocks, of sixteen, that keep size and channels (Tan and Le 2019, table 1)
    for block in skipping:
        x = torch.randn(2, block.conv_pw.in_channels, 6, 8)
        torch.testing.assert_close(block(x), x)


def test_a_shallow_start_has_identity_or_blur_filters(backbone):
    torch.manual_seed(3)
    backbone.start_shallow()
    for module in backbone.net.modules():
        if not isinstance(module, nn.Conv2d) or module.groups == 1:
            continue
        size = module.kernel_size[0]
        mean, spread = module.weight.mean((0, 1)), module.weight.std((0, 1))
        rows = torch.exp(-((3 * (torch.arange(size) - size // 2) / size) ** 2))
        identity = torch.zeros(size, size)
        identity[size // 2, size // 2] = 1
        expected = identity if module.stride[0] == 1 else torch.outer(rows, rows) / rows.square().sum()
        assert expected.square().sum() == pytest.approx(1)
        torch.testing.assert_close(mean, expected, atol=6 * 0.5 / size / len(module.weight) ** 0.5, rtol=0)
        torch.testing.assert_close(spread, torch.full_like(spread, 0.5 / size), rtol=0.6, atol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone_dropout": [0.1]}, r"net.backbone_dropout=\[0.1\].*two rates"),
        ({"channels": [8, 8, 16, 16]}, r"backbone=efficientnet .*channels=\[\]"),
        ({"frequency_pools": [4, 4, 2, 2]}, r"backbone=efficientnet .*frequency_pools=\[\]"),
        ({"last_time_stride": 4}, "net.last_time_stride=4.*1 or 2"),
        ({"stem_stride": 1}, "backbone=efficientnet .*stem_stride=2"),
    ],
)
def test_another_shape_is_refused(change, message):
    with pytest.raises(GenreclfError, match=message):
        EfficientNet(net_config("b", **change))

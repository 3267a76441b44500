import dataclasses

import numpy as np
import pytest
import torch
from bundles import net_config
from torch import nn

from genreclf.errors import GenreclfError
from genreclf.nets.cnn import SECNN, SqueezeExcitation
from genreclf.nets.config import ModelConfig


@pytest.fixture(scope="module")
def config() -> ModelConfig:
    return net_config("a_original")


def test_squeeze_excitation_agrees_with_its_formula():
    torch.manual_seed(0)
    module = SqueezeExcitation(channels=32, ratio=16)
    x = torch.randn(2, 32, 5, 7)
    (w1, b1), (w2, b2) = (
        (layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in (module.gate[0], module.gate[2])
    )
    expected = np.empty(x.shape, dtype=np.float32)
    for example, values in enumerate(x.numpy()):
        squeezed = values.reshape(32, -1).mean(axis=1)
        gate = 1 / (1 + np.exp(-(w2 @ np.maximum(w1 @ squeezed + b1, 0) + b2)))
        expected[example] = values * gate[:, None, None]
    assert w1.shape == (2, 32)
    np.testing.assert_allclose(module(x).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_layers_are_in_the_originals_order(config):
    kinds = (nn.Conv2d, nn.ReLU, nn.BatchNorm2d, SqueezeExcitation, nn.MaxPool2d, nn.Dropout)
    letters = dict(zip(kinds, "crnspd", strict=True))
    blocks = SECNN(config).blocks
    orders = ["".join(letters[type(m)] for m in block if type(m) in letters) for block in blocks]
    assert orders == ["crncrnpd", "crncrnpd", "crncrnspd", "crncrnspd"]
    assert [m.kernel_size for m in blocks.modules() if isinstance(m, nn.MaxPool2d)] == [(4, 2), (4, 2), (2, 2), (2, 2)]
    assert [m.p for m in blocks.modules() if isinstance(m, nn.Dropout)] == [0.1, 0.15, 0.2, 0.2]
    assert {m.eps for m in blocks.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-3}


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("width", [64, 256, 300])
def test_time_is_reduced_by_16(config, width, stride):
    net = SECNN(dataclasses.replace(config, stem_stride=stride)).eval()
    with torch.no_grad():
        maps = net(torch.rand(1, 3, 128, width))
    assert maps.shape == (1, 512, 2, width // 16) and (net.num_channels, net.num_rows) == (512, 2)


@pytest.mark.parametrize(("bands", "pools"), [(80, (4, 2, 2, 2)), (96, (4, 2, 2, 2)), (64, (2, 2, 2, 1))])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_number_of_rows_follows_from_bands_and_pools(config, bands, pools, stride):
    net = SECNN(dataclasses.replace(config, bands=bands, frequency_pools=pools, stem_stride=stride)).eval()
    with torch.no_grad():
        maps = net(torch.rand(1, 3, bands, 64))
    assert maps.shape == (1, 512, net.num_rows, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone_dropout": (0.1,)}, r"backbone_dropout=\[0.1\].*needs 4 rates"),
        ({"channels": (8, 8)}, r"channels=\[8, 8\].*needs 4 numbers of channels"),
        ({"channels": (8, 8, 8, 16)}, r"channels=\[8, 8, 8, 16\].*16 in the last two"),
        ({"stem_stride": 4}, r"net.stem_stride=4.*1 or 2"),
        ({"frequency_pools": (4, 2)}, r"frequency_pools=\[4, 2\].*needs 4 numbers"),
        ({"frequency_pools": (4, 4, 4, 4)}, r"net.frequency_pools=\[4, 4, 4, 4\].*128"),
        ({"frequency_pools": (3, 2, 2, 2), "stem_stride": 2}, r"net.frequency_pools=.*multiple of stem_stride=2"),
        ({"frequency_pools": (4, 0, 2, 2)}, r"net.frequency_pools=.*1 or more"),
    ],
)
def test_an_impossible_shape_is_refused(config, change, message):
    with pytest.raises(GenreclfError, match=message):
        SECNN(dataclasses.replace(config, **change))

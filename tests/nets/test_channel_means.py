"""The mean of each channel, and the layout of its gradient."""

import pytest
import torch
from timm.models._efficientnet_blocks import SqueezeExcite as TimmSqueezeExcite

from genreclf.nets.cpu_gradients import channel_means
from genreclf.nets.efficientnet import SqueezeExcite

LAYOUTS = (torch.channels_last, torch.contiguous_format)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("learns", [False, True])
def test_it_is_the_mean_over_both_axes(layout, learns):
    x = torch.rand(3, 5, 4, 7, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_(learns)
    means = channel_means(x)
    torch.testing.assert_close(means, x.sum(3).sum(2) / 28)
    if learns:
        weights = torch.rand_like(means)
        (means * weights).sum().backward()
        torch.testing.assert_close(x.grad, (weights / 28)[:, :, None, None].expand(x.shape).contiguous())


def test_its_gradient_has_the_layout_of_channels_last():
    seen = []
    x = torch.rand(2, 8, 4, 6).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = x * 2
    y.register_hook(lambda grad: seen.append(grad.is_contiguous(memory_format=torch.channels_last)))
    channel_means(y).sum().backward()
    assert seen == [True]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_squeeze_and_excitation_equals_timms(layout):
    torch.manual_seed(0)
    theirs = TimmSqueezeExcite(32, act_layer=torch.nn.SiLU)
    gradients, outputs = [], []
    for layer in (theirs, SqueezeExcite(theirs)):
        torch.manual_seed(1)
        x = torch.rand(2, 32, 6, 10).contiguous(memory_format=layout).requires_grad_()
        outputs.append(layer(x))
        outputs[-1].square().sum().backward()
        gradients.append(x.grad)
    torch.testing.assert_close(outputs[1], outputs[0])
    torch.testing.assert_close(gradients[1], gradients[0])

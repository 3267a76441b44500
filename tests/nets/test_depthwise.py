import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call

from genreclf.nets.cpu_gradients import DepthwiseConv2d

pytestmark = pytest.mark.usefixtures("one_thread")


def gradients(kind: type[nn.Conv2d], x: torch.Tensor, weight: torch.Tensor, stride: tuple[int, int]) -> list:
    """Returns a layer's output, and the gradients of its sum of squares with respect to input and weight."""
    size = weight.shape[2]
    layer = kind(len(weight), len(weight), size, stride, size // 2, groups=len(weight), bias=False)
    inputs = [x.clone().requires_grad_(), weight.clone().requires_grad_()]
    y = functional_call(layer, {"weight": inputs[1]}, inputs[0])
    return [y, *torch.autograd.grad(y.square().sum(), inputs)]


@given(st.sampled_from([3, 5, 7]), st.sampled_from([(1, 1), (2, 2), (2, 1)]), st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_the_gradients_are_those_of_a_convolution(size, stride, height, width):
    torch.manual_seed(0)
    x = torch.randn(2, 3, height, width, dtype=torch.float64)
    weight = torch.randn(3, 1, size, size, dtype=torch.float64)
    expected = gradients(nn.Conv2d, x, weight, stride)
    for found, value in zip(gradients(DepthwiseConv2d, x, weight, stride), expected, strict=True):
        torch.testing.assert_close(found, value)


@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (2, 1)])
@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_the_gradients_are_near_those_in_double_precision(dtype, tolerance, size, stride):
    torch.manual_seed(0)
    x = torch.randn(2, 32, 8, 16, dtype=dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(32, 1, size, size, dtype=dtype)
    expected = gradients(nn.Conv2d, x.double(), weight.double(), stride)
    for found, value in zip(gradients(DepthwiseConv2d, x, weight, stride), expected, strict=True):
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), value, rtol=tolerance, atol=tolerance * value.abs().max().item())


def test_the_weight_keeps_its_precision_under_autocast():
    layer = DepthwiseConv2d(4, 4, 5, 1, 2, groups=4, bias=False)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(torch.randn(2, 4, 8, 8, dtype=torch.bfloat16))
    y.sum().backward()
    assert y.dtype == torch.bfloat16 and layer.weight.grad.dtype == torch.float32

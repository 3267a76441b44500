"""Operations with gradients that are fast on a CPU: the mean of each channel, and depthwise convolutions."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, pad
from torch.nn.grad import conv2d_weight

FAST_COLUMNS = 3  # for wider kernels, oneDNN 3.10 computes the weight gradient of a dense convolution


def channel_means(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C), the mean over H and W.

    The gradient of a mean over two axes is not in channels_last, and adding it to one that is takes five times as long.
    A mean over one axis of (B, H * W, C), a view of the channels_last tensor, gives both gradients the same layout.
    """
    if x.requires_grad and x.is_contiguous(memory_format=torch.channels_last):
        return x.permute(0, 2, 3, 1).flatten(1, 2).mean(1)
    return x.mean((2, 3))


class DepthwiseConv2d(nn.Conv2d):
    """Convolution without bias that has one filter per channel, of odd size and padded by half its size."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, ceil(H / stride), ceil(W / stride))."""
        if torch.jit.is_scripting() or not self.training or input.device.type != "cpu":
            return self._conv_forward(input, self.weight, self.bias)
        output: Tensor = _Depthwise.apply(input, self.weight, self.stride, self.padding)
        return output


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return conv2d(x, weight, None, stride, padding, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, _, _ = ctx.needs_input_grad
        return (
            _input_gradient(grad, x, weight, ctx.stride, ctx.padding) if of_x else None,
            weight_gradient(grad, x, weight.shape, ctx.stride, ctx.padding).to(weight.dtype) if of_weight else None,
            None,
            None,
        )


def _input_gradient(
    grad: Tensor, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """Computes the input's gradient, in float32 for strided bfloat16, where oneDNN takes twenty times as long."""
    dtype = x.dtype if stride == (1, 1) else torch.promote_types(x.dtype, torch.float32)
    like = torch.empty_like(x, dtype=dtype)  # only its shape and memory format count
    last = (1, 1), False, (0, 0), len(weight), (True, False, False)  # dilation, not transposed, groups, which gradients
    found = torch.ops.aten.convolution_backward(grad.to(dtype), like, weight.to(dtype), None, stride, padding, *last)
    gradient: Tensor = found[0].to(x.dtype)
    return gradient


def weight_gradient(
    grad: Tensor, x: Tensor, size: torch.Size, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """Returns the gradient of a depthwise convolution's weight, which has `size` (C, 1, k, k).

    `grad` is the gradient of the output, (B, C, H', W'), and `x` the input, (B, C, H, W). The columns of a wide kernel
    are computed in two halves that share the middle column. For EfficientNet-B0's 5 x 5 kernels, this takes 0.4 of the
    time (a fifteenth in bfloat16).
    """
    channels, width = len(x[0]), size[3]
    if width <= FAST_COLUMNS:
        return conv2d_weight(x, size, grad, stride, padding, groups=channels)
    half = [*size[:3], width // 2 + 1]
    rows, columns = padding
    left, right = (
        conv2d_weight(pad(x, (*sides, rows, rows)), half, grad, stride, groups=channels)
        for sides in ((columns, 0), (0, columns))
    )
    return torch.cat([left[..., :-1], right], 3)

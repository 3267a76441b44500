"""Stacks matrices of similar shapes, so that one operation processes a whole stack."""

from collections.abc import Sequence
from itertools import accumulate, groupby

import torch
from torch import Tensor

ROW_MULTIPLE = 64  # the rows of stacks are a multiple of this: fewer, larger products
NARROW = 512  # matrices with more columns go to another stack, to save work on zeros


class MatrixStacks:
    """Maps the elements of matrices to places in stacks, for parameters with given shapes and strides.

    A convolution (out, in, height, width) is the matrix (out, in * height * width). A matrix with more rows than
    columns is transposed in its stack. Places that no matrix fills are zero.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.layouts = [(p.numel(), p.shape, p.stride()) for p in parameters]
        shapes = [(len(p), p[0].numel()) for p in parameters]
        of_stack: dict[tuple[int, bool], list[int]] = {}
        for number, shape in enumerate(shapes):
            rows = -(-min(shape) // ROW_MULTIPLE) * ROW_MULTIPLE
            of_stack.setdefault((rows, max(shape) > NARROW), []).append(number)
        self.sizes = [(len(of), rows, max(max(shapes[n]) for n in of)) for (rows, _), of in sorted(of_stack.items())]
        ends = list(accumulate(p.numel() for p in parameters))
        places = [torch.full(size, ends[-1], dtype=torch.int32) for size in self.sizes]  # the last place holds the zero
        found = torch.empty(ends[-1], dtype=torch.int32)
        before = 0
        for stack, (_, of) in zip(places, sorted(of_stack.items()), strict=True):
            inside = torch.arange(before, before + stack.numel(), dtype=torch.int32).view(stack.shape)
            before += stack.numel()
            for layer, number in enumerate(of):
                rows, columns = sorted(shapes[number])
                is_tall = shapes[number][0] > rows
                here = slice(ends[number] - rows * columns, ends[number])
                elements = torch.arange(here.start, here.stop, dtype=torch.int32).view(shapes[number])
                stack[layer, :rows, :columns] = elements.mT if is_tall else elements
                back = inside[layer, :rows, :columns]
                found[here] = _in_memory((back.mT if is_tall else back), parameters[number])
        device = parameters[0].device
        self.places, self.found = [place.flatten().to(device) for place in places], found.to(device)
        self.zero = torch.zeros(1, dtype=parameters[0].dtype, device=device)

    def stacked(self, matrices: Sequence[Tensor]) -> list[list[Tensor]]:
        """Converts matrices or convolutions to stacks (N, rows, columns), rows <= columns, grouped by their rows."""
        flat = torch.cat([*(matrix.flatten() for matrix in matrices), self.zero])
        stacks = [flat.index_select(0, place).view(size) for place, size in zip(self.places, self.sizes, strict=True)]
        return [list(of_one_height) for _, of_one_height in groupby(stacks, key=lambda stack: stack.shape[1])]

    def separate(self, stacks: Sequence[Tensor]) -> list[Tensor]:
        """Converts stacks, in the same order, back to matrices with the strides of the parameters."""
        flat = torch.cat([stack.flatten() for stack in stacks]).index_select(0, self.found)
        pieces = flat.split([count for count, _, _ in self.layouts])
        layouts = zip(pieces, self.layouts, strict=True)
        return [piece.as_strided(shape, stride, piece.storage_offset()) for piece, (_, shape, stride) in layouts]


def _in_memory(values: Tensor, like: Tensor) -> Tensor:
    """Flattens `values` in the order of the elements of `like` in memory."""
    laid = torch.empty_like(like, dtype=values.dtype, device=values.device).copy_(values.reshape(like.shape))
    return laid.as_strided((laid.numel(),), (1,))

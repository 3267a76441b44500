"""The Muon optimizer, which orthogonalizes the momentum of each matrix before a step."""

from collections.abc import Callable, Iterable
from functools import cache
from math import log
from typing import Any

import torch
from torch import Tensor

from genreclf.training.matrix_stacks import MatrixStacks

MOMENTUM = 0.95
BETAS = (0.9, 0.999)  # for vectors: Adam's defaults
# Coefficients of the quintic Newton-Schulz iterations, https://leloykun.github.io/ponder/muon-opt-coeffs
QUINTIC = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
EPSILON = 1e-7
STEP_SIZE = 0.2  # the root mean square of an AdamW step (Liu et al. 2025)
MIN_SIZE, MAX_ASPECT = 4, 128  # of a matrix; others are stepped as vectors, as in timm


class Muon(torch.optim.Optimizer):
    """Muon for matrices and convolutions, NAdamW for everything else; both with Nesterov momentum and decoupled decay.

    The step of each matrix is orthogonalized (Jordan 2024, https://kellerjordan.github.io/posts/muon) and has the size
    of an AdamW step (Liu et al. 2025, arXiv:2502.16982). A convolution is the matrix (out, in * height * width).
    Matrices of similar shapes are orthogonalized together. It equals timm's Muon(nesterov=True), except that the
    iteration runs in float32: a CPU without bfloat16 units takes ten times as long in bfloat16.

    A step reads nothing from the device. A group's `lr` is a number, or a tensor with one number on the device, from
    which a CUDA graph reads the rate of each step. All parameters must have a gradient in each step.
    """

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0})
        self._stacks: dict[tuple[int, ...], MatrixStacks] = {}  # by the ids of the parameters

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Steps all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        stepped = [[p for p in group["params"] if p.grad is not None] for group in self.param_groups]
        parameters = [p for params in stepped for p in params]
        matrices, vectors = [p for p in parameters if is_matrix(p)], [p for p in parameters if not is_matrix(p)]
        step_of = dict(zip(matrices, self._matrix_steps(matrices), strict=True))
        step_of |= zip(vectors, self._vector_steps(vectors), strict=True)
        for group, params in zip(self.param_groups, stepped, strict=True):
            if params:
                steps = [step_of[p] for p in params]
                if group["weight_decay"]:
                    torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_mul_(steps, group["lr"])
                torch._foreach_sub_(params, steps)
        return loss

    def _matrix_steps(self, params: list[Tensor]) -> list[Tensor]:
        """Returns the steps of matrices, for a learning rate of 1."""
        if not params:
            return []
        grads, momenta = _grads(params), [self._state(p, "momentum") for p in params]
        torch._foreach_lerp_(momenta, grads, 1 - MOMENTUM)
        stacks = self._stacks_of(params)
        updates = stacks.stacked(torch._foreach_lerp(grads, momenta, MOMENTUM))
        steps = stacks.separate([each for of_one_height in updates for each in orthogonalized(of_one_height)])
        torch._foreach_mul_(steps, [STEP_SIZE * max(len(p), p[0].numel()) ** 0.5 for p in params])
        return steps

    def _stacks_of(self, params: list[Tensor]) -> MatrixStacks:
        key = tuple(map(id, params))
        if key not in self._stacks:
            self._stacks = {key: MatrixStacks(params)}
        return self._stacks[key]

    def _vector_steps(self, params: list[Tensor]) -> list[Tensor]:
        """Returns the steps of NAdamW as in timm (after Dozat 2016), for a learning rate of 1."""
        if not params:
            return []
        grads, (first, second) = _grads(params), BETAS
        means, squares = ([self._state(p, name) for p in params] for name in ("mean", "square"))
        counts = [self._count(p) for p in params]
        torch._foreach_add_(counts, 1)
        torch._foreach_lerp_(means, grads, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, grads, grads, 1 - second)
        # 1 - beta ** count, the same for all parameters; exact for a beta near 1
        corrections = (-torch.expm1(counts[0] * _log_betas(counts[0].device))).unbind()
        steps = torch._foreach_lerp(means, grads, 1 - first)
        sizes = torch._foreach_sqrt(squares)
        torch._foreach_div_(sizes, corrections[1].sqrt())
        torch._foreach_add_(sizes, EPSILON)
        torch._foreach_mul_(sizes, corrections[0])
        torch._foreach_div_(steps, sizes)
        return list(steps)

    def _state(self, parameter: Tensor, name: str) -> Tensor:
        state = self.state[parameter]
        if name not in state:
            state[name] = torch.zeros_like(parameter)
        return state[name]

    def _count(self, parameter: Tensor) -> Tensor:
        """Returns the number of steps so far, on the parameter's device."""
        state = self.state[parameter]
        if "step" not in state:
            state["step"] = torch.zeros((), device=parameter.device)
        return state["step"]


@cache
def _log_betas(device: torch.device) -> Tensor:
    """Returns (2,) logarithms, copied to the device once."""
    return torch.tensor([log(beta) for beta in BETAS], device=device)


@cache
def _identity(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.eye(size, dtype=dtype, device=device)


def _grads(params: list[Tensor]) -> list[Tensor]:
    return [p.grad for p in params if p.grad is not None]


def is_matrix(parameter: Tensor) -> bool:
    """Returns whether a parameter is stepped as a matrix: depthwise convolutions and very flat matrices are not."""
    if parameter.ndim < 2 or min(parameter.shape[:2]) == 1:
        return False
    small, large = sorted((len(parameter), parameter[0].numel()))
    return small >= MIN_SIZE and large <= MAX_ASPECT * small


def orthogonalized(stacks: list[Tensor]) -> list[Tensor]:
    """Sets the singular values of matrices near 1. The stacks are (N, rows, columns), with equal rows <= columns.

    Newton-Schulz iterations multiply a matrix by polynomials of its Gram matrix. Padding with zeros changes nothing.
    """
    products = _newton_schulz(torch.cat([torch.bmm(stack, stack.mT) for stack in stacks]))
    parts = products.split([len(stack) for stack in stacks])
    return [torch.bmm(product, stack) for product, stack in zip(parts, stacks, strict=True)]


def _newton_schulz(gram: Tensor) -> Tensor:
    """Returns left factors for (N, size, size) Gram matrices that make the singular values about 0.7 to 1.2.

    These products of polynomials of a Gram matrix are symmetric and commute with it.
    """
    square = gram.diagonal(dim1=1, dim2=2).sum(1).clamp(min=EPSILON**2)[:, None, None]  # squared norms of the matrices
    gram = gram / square
    first, *others = QUINTIC
    rest = _without_first(gram, *first)
    product = torch.add(rest, _identity(len(gram[0]), gram.dtype, gram.device), alpha=first[0])
    for before, coefficients in zip(QUINTIC[:-1], others, strict=True):
        gram = torch.baddbmm(gram, rest, gram, beta=before[0])
        gram = torch.baddbmm(gram, gram, rest, beta=before[0])
        rest = _without_first(gram, *coefficients)
        product = torch.baddbmm(product, rest, product, beta=coefficients[0])
    return product * square.rsqrt()


def _without_first(gram: Tensor, _: float, b: float, c: float) -> Tensor:
    """Evaluates the polynomial a + b * gram + c * gram^2 without its first term."""
    return torch.baddbmm(gram, gram, gram, beta=b, alpha=c)

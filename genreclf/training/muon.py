"""Muon: the momentum of each matrix is made orthogonal before it becomes a step."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from timm.optim.nadamw import nadamw
from torch import Tensor

Pair = tuple[Tensor, Tensor]  # a parameter and its gradient

MOMENTUM = 0.95
BETAS = (0.9, 0.999)  # of the vectors: Adam's usual ones
# Coefficients of the quintic Newton-Schulz iterations, https://leloykun.github.io/ponder/muon-opt-coeffs
QUINTIC = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
EPSILON = 1e-7
MIN_SIZE, MAX_ASPECT = 4, 128  # of a matrix; others step as vectors, as in timm


class Muon(torch.optim.Optimizer):
    """Muon for matrices and convolutions, NAdamW for everything else; both with Nesterov momentum and decoupled decay.

    The step of each matrix is made orthogonal (Jordan 2024, https://kellerjordan.github.io/posts/muon), at the size of
    an AdamW step (Liu et al. 2025, arXiv:2502.16982); a convolution is the matrix (out, in * height * width). Matrices
    of one shape are orthogonalized together. Equal to timm's Muon(nesterov=True), except that the iteration runs in
    float32: in bfloat16, a CPU without units for it takes ten times as long.
    """

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            pairs: list[Pair] = [(p, p.grad) for p in group["params"] if p.grad is not None]
            self._step_matrices([pair for pair in pairs if is_matrix(pair[0])], group["lr"], group["weight_decay"])
            self._step_vectors([pair for pair in pairs if not is_matrix(pair[0])], group["lr"], group["weight_decay"])
        return loss

    def _step_matrices(self, pairs: list[Pair], rate: float, decay: float) -> None:
        if not pairs:
            return
        params, grads = map(list, zip(*pairs, strict=True))
        momenta = [self._state(p, "momentum") for p in params]
        torch._foreach_mul_(params, 1 - rate * decay)
        torch._foreach_lerp_(momenta, grads, 1 - MOMENTUM)
        steps = orthogonalized(list(torch._foreach_lerp(grads, momenta, MOMENTUM)))
        torch._foreach_mul_(steps, [-0.2 * rate * max(len(p), p[0].numel()) ** 0.5 for p in params])
        for parameter, step in zip(params, steps, strict=True):
            parameter.add_(step)

    def _step_vectors(self, pairs: list[Pair], rate: float, decay: float) -> None:
        if not pairs:
            return
        params, grads = map(list, zip(*pairs, strict=True))
        for p in params:
            if "step" not in self.state[p]:
                self.state[p]["step"] = torch.zeros(())
        nadamw(
            params,
            grads,
            [self._state(p, "mean") for p in params],
            [self._state(p, "square") for p in params],
            [self.state[p]["step"] for p in params],
            foreach=True,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=rate,
            weight_decay=decay,
            eps=EPSILON,
            caution=False,
            maximize=False,
            capturable=False,
            max_lr=None,
        )

    def _state(self, parameter: Tensor, name: str) -> Tensor:
        state = self.state[parameter]
        if name not in state:
            state[name] = torch.zeros_like(parameter)
        return state[name]


def is_matrix(parameter: Tensor) -> bool:
    """Whether a parameter is stepped as a matrix: depthwise convolutions and very flat matrices are not."""
    if parameter.ndim < 2 or min(parameter.shape[:2]) == 1:
        return False
    small, large = sorted((len(parameter), parameter[0].numel()))
    return small >= MIN_SIZE and large <= MAX_ASPECT * small


def orthogonalized(updates: list[Tensor]) -> list[Tensor]:
    """Each matrix or convolution with its singular values set near 1, by Newton-Schulz iterations; shapes stay."""
    by_shape: dict[tuple[int, int], list[int]] = {}
    for number, update in enumerate(updates):
        small, large = sorted((len(update), update[0].numel()))
        by_shape.setdefault((small, large), []).append(number)
    done = list(updates)
    for (small, _), numbers in by_shape.items():
        # (out, in, height, width) -> (out, in * height * width); the wide one of the matrix and its transpose
        flat = [updates[number].flatten(1) for number in numbers]
        wide = torch.stack([matrix if len(matrix) == small else matrix.mT for matrix in flat])  # (N, small, large)
        for number, matrix, step in zip(numbers, flat, _newton_schulz(wide), strict=True):
            update = updates[number]
            done[number] = (step if len(matrix) == small else step.mT).reshape(update.shape).to(update.dtype)
    return done


def _newton_schulz(x: Tensor) -> Tensor:
    """(N, rows, columns) with rows <= columns -> the same shape, singular values in about 0.7 to 1.2.

    Each iteration multiplies x from the left by a polynomial of its Gram matrix. The product of these polynomials needs
    only Gram matrices, (rows, rows), and meets the larger x once.
    """
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=EPSILON)
    gram = x @ x.mT  # (N, rows, rows)
    first, *others = QUINTIC
    product = _polynomial(gram, *first)
    for coefficients in others:
        product = _polynomial(product @ gram @ product, *coefficients) @ product
    return product @ x


def _polynomial(gram: Tensor, a: float, b: float, c: float) -> Tensor:
    """The matrices a + b * gram + c * gram^2, (N, rows, rows)."""
    polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
    polynomial.diagonal(dim1=1, dim2=2).add_(a)
    return polynomial

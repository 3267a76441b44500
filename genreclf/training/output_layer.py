"""Fits the last layer of a trained net to other music or other classes, on the net's embeddings."""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from genreclf.data.datamodule import SpectrogramDataModule, to_images
from genreclf.nets.classifier import GenreClassifier, gated_sum

# The weight of the squared distance from the initial weights, for embeddings of unit variance and a sum over segments.
# Chosen for 5 to 50 songs of four new genres, where it gives nearly calibrated probabilities. A third of it costs a
# model up to 2 points with 5 to 20 songs of genres that it has (see "New genres from few songs" in scripts/TRIALS.md).
_PENALTY = 300.0
_STEPS = 200  # at most; about 30 are needed


def fit_output_layer(
    net: GenreClassifier, datamodule: SpectrogramDataModule, log_mix: Tensor, temperature: float
) -> None:
    """Fits the last layer of `net` to the training clips of its classes by logistic regression, deterministically.

    The layer stays near its present weights, and the rest of the net does not change. `log_mix` comes from the net's
    loss. `temperature` is the later temperature of the model's probabilities. A net that is trained further from here
    keeps more of its knowledge than with a random layer (Kumar et al. 2022).
    """
    inputs, others, target = _segments(net, datamodule)
    last = net.head[-1]
    assert isinstance(last, nn.Linear)  # as GenreClassifier builds it
    first = last.weight.detach().double() / temperature, last.bias.detach().double() / temperature
    others = others / temperature + log_mix.double()
    with torch.no_grad():
        for parameter, value in zip((last.weight, last.bias), fitted(inputs, others, target, *first), strict=True):
            parameter.copy_(value * temperature)


def _segments(net: GenreClassifier, datamodule: SpectrogramDataModule) -> tuple[Tensor, Tensor, Tensor]:
    """Returns, for the training segments, (N, D) inputs of the last layer, other (N, classes) logits, and targets."""
    net.eval()
    inputs, others, target = [], [], []
    with torch.inference_mode():
        for batch in datamodule.loader(datamodule.dataset("train", overlapping=False), datamodule.batch_size):
            logits, gates, _, context = net.branches(to_images(batch, None)["image"])
            inputs.append(net.head[:-1](context))
            others.append(gated_sum(logits, gates) - logits[0])  # the first gate is open
            target.append(batch["target"])
    net.train()
    return torch.cat(inputs).double(), torch.cat(others).double(), torch.cat(target)


def fitted(inputs: Tensor, others: Tensor, target: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Fits the (classes, D) weight and (classes,) bias of a layer.

    The output of the layer for (N, D) `inputs` is added to the (N, classes) logits `others`. The fit minimizes the
    cross-entropy plus the penalized squared distance from `weight`. `target` is (N,) classes, or (N, classes) with 1
    for each genre; all other arguments are float64.
    """
    mean, scale = inputs.mean(0), inputs.std(0, unbiased=False).clamp(min=1e-6)
    scaled, start = (inputs - mean) / scale, weight * scale
    change, shift = torch.zeros_like(weight), bias + weight @ mean
    change.requires_grad_()
    shift.requires_grad_()
    optimizer = torch.optim.LBFGS([change, shift], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = others + scaled @ (start + change).t() + shift
        value = _cross_entropy(logits, target) + _PENALTY / 2 * change.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    found = ((start + change) / scale).detach()
    return found, (shift - found @ mean).detach()


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Sums the cross-entropy over the segments and, for several genres, over the genres."""
    if target.ndim == 1:
        return cross_entropy(logits, target, reduction="sum")
    return binary_cross_entropy_with_logits(logits, target.double(), reduction="sum")

"""Random changes to training segments, per example, on the batch's device: draw first, then apply."""

from dataclasses import dataclass

import torch
from torch import Tensor

from genreclf.errors import GenreclfError


@dataclass(frozen=True)
class AugmentConfig:
    """Ranges on the [0, 1] scale; mask widths as shares of the axis; a probability of 0 turns a change off.

    Raises GenreclfError for a number that is out of its range.
    """

    name: str
    brightness: float
    contrast: float
    flip_probability: float
    time_mask_probability: float
    frequency_mask_probability: float
    mask_share: tuple[float, ...]

    def __post_init__(self) -> None:
        for key, value in vars(self).items():
            if isinstance(value, float) and not 0 <= value <= 1:
                raise GenreclfError(f"augment.{key}={value}: give 0 to 1")
        if len(self.mask_share) != 2 or not 0 <= self.mask_share[0] <= self.mask_share[1] <= 1:
            raise GenreclfError(f"augment.mask_share={list(self.mask_share)}: give the least and the largest, 0 to 1")


@dataclass(frozen=True)
class Draws:
    """What happens to each example: (B, 1, 1, 1) shifts, factors and flips, (B, 1, 1, W) and (B, 1, H, 1) masks."""

    brightness: Tensor
    contrast: Tensor
    flip: Tensor
    time_mask: Tensor
    frequency_mask: Tensor


def augment(images: Tensor, config: AugmentConfig) -> Tensor:
    """(B, C, 128, 256) uint8 or float in [0, 255] -> float32 in [0, 255], drawn from torch's global generator."""
    return apply(images, draw(images.shape, config, images.device))


def draw(shape: torch.Size, config: AugmentConfig, device: torch.device) -> Draws:
    """Independent draws for each of the B examples of a (B, C, H, W) batch."""
    batch, _, height, width = shape

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(batch, 1, 1, 1, device=device).uniform_(low, high)

    def mask(size: int, probability: float) -> Tensor:  # (B, 1, 1, size)
        low, high = config.mask_share
        length = (uniform(low, high) * size).round()
        start = (uniform(0, 1) * (size - length + 1)).floor()
        place = torch.arange(size, device=device)
        return (place >= start) & (place < start + length) & (uniform(0, 1) < probability)

    return Draws(
        brightness=uniform(-config.brightness, config.brightness),
        contrast=uniform(1 - config.contrast, 1 + config.contrast),
        flip=uniform(0, 1) < config.flip_probability,
        time_mask=mask(width, config.time_mask_probability),
        frequency_mask=mask(height, config.frequency_mask_probability).transpose(2, 3),  # (B, 1, 1, H) -> (B, 1, H, 1)
    )


def apply(images: Tensor, draws: Draws) -> Tensor:
    """Brightness, contrast about each channel's own mean, flip in time, masks to 0, clip; in the original's order."""
    x = images.float() / 255 + draws.brightness
    mean = x.mean(dim=(2, 3), keepdim=True)
    x = (x - mean) * draws.contrast + mean
    x = torch.where(draws.flip, x.flip(3), x)
    x = x.masked_fill(draws.time_mask | draws.frequency_mask, 0.0)
    return x.clamp(0, 1) * 255

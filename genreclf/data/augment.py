"""Random changes to training segments, per example, on the batch's device: draw first, then apply."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from genreclf.errors import GenreclfError

MAX_BAND_SHIFT = 64  # half of the bands
EQUALISER_KNOTS = 8
LOW_PASS_FROM_BAND = 80  # about 3 kHz: telephones and rates of 8 kHz end there
LOW_PASS_SLOPE = 0.25  # of the [0, 1] scale, a band: 20 dB


@dataclass(frozen=True)
class AugmentConfig:
    """Ranges on the [0, 1] scale; mask widths as shares of the axis; a probability or range of 0 turns a change off.
    Masks hold `mask_fill`, or where that is None the example's mean.

    `equaliser` is the deviation of a smooth curve over the bands that is added: another room, microphone or mix.
    `low_pass` is the probability that the bands above a random one, from the 80th on, fade away: another rate or codec.
    `noise_floor` is how high silence may rise, mostly by little, before all is stretched to [0, 1] again: another
    recording's noise. With `pairs` each segment is shown in two forms, once without these two.
    `band_shift` moves the picture by up to so many bands: another key. `stretch` is how much faster or slower a segment
    is at most, as a share (drawn where segments are cut). `mixup` is Beta's parameter for `mix`. Raises GenreclfError
    for a number that is out of its range.
    """

    name: str
    brightness: float
    contrast: float
    flip_probability: float
    time_mask_probability: float
    frequency_mask_probability: float
    mask_share: tuple[float, ...]
    mask_fill: float | None
    low_pass: float
    noise_floor: float
    equaliser: float
    band_shift: int
    stretch: float
    mixup: float
    pairs: bool

    def __post_init__(self) -> None:
        for key, value in vars(self).items():
            if isinstance(value, float) and not 0 <= value <= 1:
                raise GenreclfError(f"augment.{key}={value}: give 0 to 1")
        if self.noise_floor == 1:
            raise GenreclfError("augment.noise_floor=1.0: nothing would be left; give less than 1")
        if not 0 <= self.band_shift <= MAX_BAND_SHIFT:
            raise GenreclfError(f"augment.band_shift={self.band_shift}: give 0 to {MAX_BAND_SHIFT}")
        if len(self.mask_share) != 2 or not 0 <= self.mask_share[0] <= self.mask_share[1] <= 1:
            raise GenreclfError(f"augment.mask_share={list(self.mask_share)}: give the least and the largest, 0 to 1")

    def forms(self) -> "tuple[AugmentConfig, ...]":
        """What happens to each form that a segment is shown in: through another channel, and in pairs as it was."""
        return (self, replace(self, low_pass=0.0, noise_floor=0.0)) if self.pairs else (self,)


@dataclass(frozen=True)
class Draws:
    """What happens to each example: (B, 1, 1, 1) floors, shifts, factors and flips, (B, 1, 1, W) and (B, 1, H, 1)
    masks, and (B, 1, H, 1) what the low-pass takes away and the equaliser's curve, on the [0, 1] scale.
    """

    low_pass: Tensor
    noise_floor: Tensor
    band_shift: Tensor
    equaliser: Tensor
    brightness: Tensor
    contrast: Tensor
    flip: Tensor
    time_mask: Tensor
    frequency_mask: Tensor


def augment(images: Tensor, config: AugmentConfig) -> Tensor:
    """(B, C, 128, 256) uint8 or float in [0, 255] -> float32 in [0, 255], drawn from torch's global generator."""
    return apply(images, draw(images.shape, config, images.device), config.mask_fill)


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

    knots = config.equaliser * torch.randn(batch, 1, EQUALISER_KNOTS, device=device)
    curve = interpolate(knots, height, mode="linear", align_corners=True)  # (B, 1, H)
    reach = config.band_shift
    cutoff = uniform(min(LOW_PASS_FROM_BAND, height), height)
    above = (torch.arange(height, device=device)[None, None, :, None] - cutoff).clamp(min=0)  # (B, 1, H, 1)
    return Draws(
        low_pass=LOW_PASS_SLOPE * above * (uniform(0, 1) < config.low_pass),
        noise_floor=config.noise_floor * uniform(0, 1).square(),
        band_shift=torch.randint(-reach, reach + 1, (batch, 1, 1, 1), device=device),
        equaliser=curve[..., None],  # (B, 1, H, 1)
        brightness=uniform(-config.brightness, config.brightness),
        contrast=uniform(1 - config.contrast, 1 + config.contrast),
        flip=uniform(0, 1) < config.flip_probability,
        time_mask=mask(width, config.time_mask_probability),
        frequency_mask=mask(height, config.frequency_mask_probability).transpose(2, 3),  # (B, 1, 1, H) -> (B, 1, H, 1)
    )


def apply(images: Tensor, draws: Draws, mask_fill: float | None) -> Tensor:
    """Low-pass, noise floor, shift along the bands, equaliser; then in the original's order brightness, contrast
    about the own mean, flip in time, masks, clip.
    """
    x = images.float() / 255 - draws.low_pass
    x = (x - draws.noise_floor).clamp(min=0) / (1 - draws.noise_floor)
    x = shifted(x, draws.band_shift) + draws.equaliser + draws.brightness
    mean = x.mean(dim=(2, 3), keepdim=True)
    x = (x - mean) * draws.contrast + mean
    x = torch.where(draws.flip, x.flip(3), x)
    fill = mean if mask_fill is None else torch.full_like(mean, mask_fill)
    x = torch.where(draws.time_mask | draws.frequency_mask, fill, x)
    return x.clamp(0, 1) * 255


def shifted(images: Tensor, bands: Tensor) -> Tensor:
    """(B, C, H, W) moved up by (B, 1, 1, 1) whole bands; the bands at the edge fill what becomes free."""
    height = images.shape[2]
    source = torch.arange(height, device=images.device)[None, None, :, None] - bands  # (B, 1, H, 1)
    return images.gather(2, source.clamp(0, height - 1).expand_as(images))


def mix(images: Tensor, target: Tensor, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """Each example blended with another of the batch (mixup: Zhang et al. 2018), by a share from Beta(alpha, alpha).

    (B, C, H, W) and (B,) targets -> images, the (B,) targets of the others, and the (B,) shares of the examples' own,
    at least a half, so that an example keeps its own class before the other's.
    """
    alphas = torch.full((len(images),), alpha, device=images.device)
    share = torch.distributions.Beta(alphas, alphas, validate_args=False).sample()  # validation waits for the device
    share = torch.maximum(share, 1 - share)
    other = torch.randperm(len(images), device=images.device)
    weight = share[:, None, None, None]
    return images * weight + images[other] * (1 - weight), target[other], share

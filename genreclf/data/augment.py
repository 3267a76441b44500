"""Random changes to training segments, drawn per example from torch's global generator, on the batch's device."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from genreclf.errors import GenreclfError
from genreclf.frontend.segments import Span, ViewConfig, spans

MAX_BAND_SHIFT = 64  # half of the bands
EQUALISER_KNOTS = 8
LOW_PASS_FROM_BAND = 80  # about 3 kHz: telephones and sample rates of 8 kHz end there
LOW_PASS_SLOPE = 0.25  # per band, on the [0, 1] scale: 20 dB


@dataclass(frozen=True)
class AugmentConfig:
    """What may happen to a training segment. Levels are on the [0, 1] scale; 0 turns a change off.

    Raises GenreclfError for a number out of its range.
    """

    brightness: float  # the largest level added or subtracted
    contrast: float  # the largest change of the deviations from the mean level, as a share
    flip_probability: float  # of reversing time
    time_mask_probability: float
    frequency_mask_probability: float
    mask_share: tuple[float, ...]  # the smallest and largest width of a mask, as shares of its axis
    mask_fill: float | None  # the level inside a mask; None: the example's mean
    low_pass: float  # probability that the bands above a random one, from the 80th on, fade out: another rate or codec
    noise_floor: float  # the largest level below which all becomes silence, mostly less: another recording's noise
    raised_floor: float  # the largest level to which quieter parts are raised, in half of the examples: fewer decibels
    equaliser: float  # standard deviation of a smooth curve added along the bands: another room, microphone or mix
    band_shift: int  # the largest shift along the bands: another key
    stretch: float  # how much faster or slower the music is at most, as a share; drawn where segments are cut
    mixup: float  # parameter of the Beta distribution of `mix`
    consistency: float  # weight of the consistency loss between two views of a segment; above 0 makes two views

    def __post_init__(self) -> None:
        for key, value in vars(self).items():
            if isinstance(value, float) and key != "consistency" and not 0 <= value <= 1:
                raise GenreclfError(f"augment.{key}={value}: give 0 to 1")
        if self.noise_floor == 1:
            raise GenreclfError("augment.noise_floor=1.0: would leave only silence; give less than 1")
        if not 0 <= self.band_shift <= MAX_BAND_SHIFT:
            raise GenreclfError(f"augment.band_shift={self.band_shift}: give 0 to {MAX_BAND_SHIFT}")
        if len(self.mask_share) != 2 or not 0 <= self.mask_share[0] <= self.mask_share[1] <= 1:
            raise GenreclfError(f"augment.mask_share={list(self.mask_share)}: give [smallest, largest], 0 to 1")
        if not 0 <= self.consistency < math.inf:
            raise GenreclfError(f"augment.consistency={self.consistency}: give 0 or more")

    @property
    def two_views(self) -> bool:
        """Whether each segment is shown in two views: as by another recording channel, and without that change."""
        return self.consistency > 0

    def views(self) -> "tuple[AugmentConfig, ...]":
        """The changes of each view: all of them, and for a second view all but low-pass and floors."""
        return (self, replace(self, low_pass=0.0, noise_floor=0.0, raised_floor=0.0)) if self.two_views else (self,)


@dataclass(frozen=True)
class Draws:
    """What happens to each of B examples of (H bands, W columns); levels on the [0, 1] scale."""

    low_pass: Tensor  # (B, 1, H, 1) levels to subtract
    noise_floor: Tensor  # (B, 1, 1, 1) levels
    raised_floor: Tensor  # (B, 1, 1, 1) levels
    band_shift: Tensor  # (B, 1, 1, 1) bands
    equaliser: Tensor  # (B, 1, H, 1) levels to add
    brightness: Tensor  # (B, 1, 1, 1) levels to add
    contrast: Tensor  # (B, 1, 1, 1) factors
    flip: Tensor  # (B, 1, 1, 1) bool
    time_mask: Tensor  # (B, 1, 1, W) bool
    frequency_mask: Tensor  # (B, 1, H, 1) bool


def random_span(frames: int, view: ViewConfig, stretch: float) -> Span:
    """(start, length) in frames of one segment at a random place in a clip of `frames` frames.

    It holds up to 1 + `stretch` times as much or as little music as the view's segment, so it sounds faster or slower.
    A clip that is not longer than a segment is shown whole.
    """
    last_start, length = spans(frames, view)[-1]
    if stretch and length < frames:
        factor = (1 + stretch) ** float(torch.empty(()).uniform_(-1, 1))
        length = min(frames, max(1, round(length * factor)))
        last_start = frames - length
    return int(torch.randint(last_start + 1, ())), length


def augment(images: Tensor, config: AugmentConfig) -> Tensor:
    """(B, C, 128, 256) uint8 or float32 in [0, 255] -> float32 in [0, 255], with all changes but mixup and stretch."""
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
        index = torch.arange(size, device=device)
        return (index >= start) & (index < start + length) & (uniform(0, 1) < probability)

    knots = config.equaliser * torch.randn(batch, 1, EQUALISER_KNOTS, device=device)
    # Linear between the knots: (B, 1, knots) -> (B, 1, H)
    curve = interpolate(knots, height, mode="linear", align_corners=True)
    cutoff = uniform(min(LOW_PASS_FROM_BAND, height), height)
    above = (torch.arange(height, device=device)[None, None, :, None] - cutoff).clamp(min=0)  # (B, 1, H, 1)
    return Draws(
        low_pass=LOW_PASS_SLOPE * above * (uniform(0, 1) < config.low_pass),
        noise_floor=config.noise_floor * uniform(0, 1).square(),
        raised_floor=config.raised_floor * uniform(0, 1).sqrt() * (uniform(0, 1) < 0.5),
        band_shift=torch.randint(-config.band_shift, config.band_shift + 1, (batch, 1, 1, 1), device=device),
        equaliser=curve[..., None],  # (B, 1, H, 1)
        brightness=uniform(-config.brightness, config.brightness),
        contrast=uniform(1 - config.contrast, 1 + config.contrast),
        flip=uniform(0, 1) < config.flip_probability,
        time_mask=mask(width, config.time_mask_probability),
        frequency_mask=mask(height, config.frequency_mask_probability).transpose(2, 3),  # (B, 1, 1, H) -> (B, 1, H, 1)
    )


def apply(images: Tensor, draws: Draws, mask_fill: float | None) -> Tensor:
    """Applies the draws to (B, C, H, W) images in [0, 255].

    From brightness on, in the original notebook's order. Contrast scales the deviations from the example's mean.
    """
    x = images.float() / 255 - draws.low_pass
    x = (x - draws.noise_floor).clamp(min=0) / (1 - draws.noise_floor)
    x = torch.maximum(x, draws.raised_floor)
    x = shifted(x, draws.band_shift) + draws.equaliser + draws.brightness
    mean = x.mean(dim=(2, 3), keepdim=True)
    x = (x - mean) * draws.contrast + mean
    x = torch.where(draws.flip, x.flip(3), x)
    fill = mean if mask_fill is None else torch.full_like(mean, mask_fill)
    x = torch.where(draws.time_mask | draws.frequency_mask, fill, x)
    return x.clamp(0, 1) * 255


def shifted(images: Tensor, bands: Tensor) -> Tensor:
    """(B, C, H, W) moved up by (B, 1, 1, 1) bands; the band at the edge is repeated."""
    height = images.shape[2]
    source = torch.arange(height, device=images.device)[None, None, :, None] - bands  # (B, 1, H, 1)
    return images.gather(2, source.clamp(0, height - 1).expand_as(images))


def mix(images: Tensor, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """Blends each example with another of the batch (mixup: Zhang et al. 2018): lam * example + (1 - lam) * other.

    (B, C, H, W) images -> blended images, the (B,) numbers of the others in the batch, (B,) lam. lam is drawn from
    Beta(alpha, alpha); it is at least 0.5, so that the example's class counts at least as much as the other's.
    """
    alphas = torch.full((len(images),), alpha, device=images.device)
    lam = torch.distributions.Beta(alphas, alphas, validate_args=False).sample()  # validation would wait for the GPU
    lam = torch.maximum(lam, 1 - lam)
    other = torch.randperm(len(images), device=images.device)
    weight = lam[:, None, None, None]
    return images * weight + images[other] * (1 - weight), other, lam

"""Augments training segments on the batch's device, with random changes drawn from torch's global generator."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from genreclf.config import BELOW_1, FROM_0, SHARE, Limits, check_fields
from genreclf.errors import GenreclfError
from genreclf.frontend.segments import ViewConfig, spans

EQUALISER_KNOTS = 8
LOW_PASS_FROM_BAND = 80  # about 3 kHz, the upper limit of telephones and sample rates of 8 kHz
LOW_PASS_SLOPE = 0.25  # per band, on the [0, 1] scale: 20 dB


@dataclass(frozen=True)
class AugmentConfig:
    """Settings of the augmentation. Levels are on the [0, 1] scale; 0 turns a change off.

    Raises GenreclfError if a number is out of range.
    """

    brightness: Annotated[float, SHARE]  # the largest level added or subtracted
    contrast: Annotated[float, SHARE]  # the largest relative change of the deviations from the mean level
    flip_probability: Annotated[float, SHARE]  # probability of reversing time
    time_mask_probability: Annotated[float, SHARE]
    frequency_mask_probability: Annotated[float, SHARE]
    mask_share: Annotated[tuple[float, ...], SHARE]  # the smallest and largest width of a mask, as shares of its axis
    mask_fill: Annotated[float | None, SHARE]  # the level inside a mask; None: the example's mean
    low_pass: Annotated[float, SHARE]  # probability that bands above a random one from the 80th on fade out: a codec
    noise_floor: Annotated[float, BELOW_1]  # the largest level below which all becomes silence, mostly less: noise
    raised_floor: Annotated[float, SHARE]  # the largest level to which quieter parts are raised, in half the examples
    equaliser: Annotated[float, SHARE]  # standard deviation of a smooth curve added along the bands: room, microphone
    band_shift: Annotated[int, Limits(at_least=0, at_most=64)]  # the largest shift along the bands: another key
    stretch: Annotated[float, SHARE]  # the largest relative change of tempo; drawn where segments are cut
    mixup: Annotated[float, SHARE]  # parameter of the Beta distribution of `mix`
    consistency: Annotated[float, FROM_0]  # weight of the loss between two views of a segment; above 0 makes two views

    def __post_init__(self) -> None:
        check_fields(self, "augment")
        if len(self.mask_share) != 2 or self.mask_share[0] > self.mask_share[1]:
            raise GenreclfError(f"augment.mask_share={list(self.mask_share)}: give [smallest, largest]")

    @property
    def views(self) -> int:
        """The number of copies of a segment: one with a simulated channel, and for a consistency loss one without."""
        return 2 if self.consistency > 0 else 1


@dataclass(frozen=True)
class Draws:
    """The random changes to B examples of (H bands, W columns), with levels on the [0, 1] scale."""

    low_pass: Tensor  # (B, 1, H, 1) levels to subtract
    noise_floor: Tensor  # (B, 1, 1, 1) levels
    raised_floor: Tensor  # (B, 1, 1, 1) levels
    band_shift: Tensor  # (B, 1, 1, 1) bands
    equaliser: Tensor  # (B, 1, H, 1) levels to add
    brightness: Tensor  # (B, 1, 1, 1) levels to add
    contrast: Tensor  # (B, 1, 1, 1) factors
    flip: Tensor | None  # (B, 1, 1, 1) bool; None if no example is flipped
    time_mask: Tensor  # (B, 1, 1, W) bool
    frequency_mask: Tensor  # (B, 1, H, 1) bool


def random_spans(frames: np.ndarray, view: ViewConfig, stretch: float, rng: np.random.Generator) -> np.ndarray:
    """Draws one segment at a random place in each of N clips of (N,) `frames`: (N, 2) starts and lengths in frames.

    A segment is up to 1 + `stretch` times longer or shorter than the view's, so it sounds faster or slower. A clip that
    is not longer than a segment is used whole.
    """
    plain = np.array([spans(int(each), view)[0][1] for each in frames])
    factor = (1 + stretch) ** rng.uniform(-1, 1, len(frames))
    drawn = np.clip(np.round(plain * factor).astype(np.int64), 1, frames)
    length = np.where(plain < frames, drawn, plain)
    return np.stack([rng.integers(np.maximum(frames - length, 0) + 1), length], 1)


def augment(images: Tensor, config: AugmentConfig) -> Tensor:
    """Applies all changes except mixup and stretch to a batch.

    (B, C, 128, 256) uint8 or float32 in [0, 255] -> (V * B, C, 128, 256) float32 in [0, 255] with V `views`. The second
    view of a segment has its own draws, without low-pass and floors.
    """
    draws = draw(config.views * len(images), images.shape[2:], config, images.device)
    if config.views > 1:
        for channel in (draws.low_pass, draws.noise_floor, draws.raised_floor):
            channel[len(images) :] = 0
    return apply(images.repeat(config.views, 1, 1, 1), draws, config.mask_fill)


def draw(batch: int, size: Sequence[int], config: AugmentConfig, device: torch.device) -> Draws:
    """Draws the changes to each of `batch` examples independently. `size` is (bands, columns)."""
    bands, columns = (torch.arange(length, device=device) for length in size)
    bands = bands[:, None]  # (H, 1), for (B, 1, H, 1)
    low, high, chance = _limits(config, tuple(size), device)
    # All uniform numbers are drawn at once, because on a GPU one large operation costs as much as one small one.
    uniform = torch.rand(len(low), batch, 1, 1, 1, device=device)
    knots = config.equaliser * torch.randn(batch, 1, EQUALISER_KNOTS, device=device)
    # Linear between the knots: (B, 1, knots) -> (B, 1, H)
    curve = interpolate(knots, size[0], mode="linear", align_corners=True)
    edge, _, noise, raised, _, shift, brightness, contrast, *_ = low.lerp(high, uniform)
    _, has_low_pass, _, _, is_raised, _, _, _, flip, *_ = uniform < chance
    starts, ends = _mask_places(low, high, chance, uniform)
    return Draws(
        low_pass=LOW_PASS_SLOPE * (bands - edge).clamp(min=0) * has_low_pass,
        noise_floor=noise.square(),
        raised_floor=raised.sqrt() * is_raised,
        band_shift=shift.floor().clamp(max=config.band_shift).long(),
        equaliser=curve[..., None],  # (B, 1, H, 1)
        brightness=brightness,
        contrast=contrast,
        flip=flip if config.flip_probability else None,
        time_mask=(columns >= starts[0]) & (columns < ends[0]),
        frequency_mask=(bands >= starts[1]) & (bands < ends[1]),
    )


@cache
def _limits(config: AugmentConfig, size: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Returns, for each of an example's 15 uniform draws, the lowest and highest value of its range, and the
    probability of the event that it decides: (15, 1, 1, 1, 1) each. They are copied to the device once.
    """
    height, width = size
    drawn = [
        *((min(LOW_PASS_FROM_BAND, height), height, 0.0), (0.0, 1.0, config.low_pass)),
        (0.0, config.noise_floor**0.5, 0.0),  # square root, so that small values are frequent
        *((0.0, config.raised_floor**2, 0.0), (0.0, 1.0, 0.5)),  # square, so that large values are
        (-config.band_shift, config.band_shift + 1, 0.0),
        (-config.brightness, config.brightness, 0.0),
        (1 - config.contrast, 1 + config.contrast, 0.0),
        (0.0, 1.0, config.flip_probability),
    ]
    for length, probability in ((width, config.time_mask_probability), (height, config.frequency_mask_probability)):
        smallest, largest = config.mask_share
        drawn += [(smallest * length, largest * length, 0.0), (0.0, length + 1.0, 0.0), (0.0, 1.0, probability)]
    low, high, chance = torch.tensor(drawn, device=device).T[..., None, None, None, None]
    return low, high, chance


def _mask_places(low: Tensor, high: Tensor, chance: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Returns (2, B, 1, 1, 1) starts and ends of the time and frequency masks from the last draws; equal if no mask."""
    shares, places, happens = (slice(row, None, 3) for row in (-6, -5, -4))
    lengths = low[shares].lerp(high[shares], uniform[shares]).round()
    starts = (uniform[places] * (high[places] - lengths)).floor()
    return starts, starts + lengths * (uniform[happens] < chance[happens])


def apply(images: Tensor, draws: Draws, mask_fill: float | None) -> Tensor:
    """Applies the draws to (B, C, H, W) images in [0, 255].

    From brightness on, the order is that of the original notebook. Contrast scales the deviations from the example's
    mean.
    """
    x = images.float() / 255 - draws.low_pass
    x = (x - draws.noise_floor).clamp(min=0) / (1 - draws.noise_floor)
    x = torch.maximum(x, draws.raised_floor)
    x = shifted(x, draws.band_shift) + (draws.equaliser + draws.brightness)
    mean = x.mean(dim=(2, 3), keepdim=True)
    x = mean.lerp(x, draws.contrast)
    if draws.flip is not None:
        x = torch.where(draws.flip, x.flip(3), x)
    fill = mean if mask_fill is None else torch.full_like(mean, mask_fill)
    x = torch.where(draws.time_mask | draws.frequency_mask, fill, x)
    return x.clamp(0, 1) * 255


def shifted(images: Tensor, bands: Tensor) -> Tensor:
    """Moves (B, C, H, W) images up by (B, 1, 1, 1) bands, and repeats the band at the edge."""
    height = images.shape[2]
    source = torch.arange(height, device=images.device)[None, None, :, None] - bands  # (B, 1, H, 1)
    return images.gather(2, source.clamp(0, height - 1).expand_as(images))


def mix(images: Tensor, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """Blends each example with another one of the batch: lam * example + (1 - lam) * other (mixup, Zhang et al. 2018).

    (V, B, C, H, W) images, V views of B examples -> blended images, (B,) indices of the other examples, (B,) lam. All
    views of an example are blended alike. lam is drawn from Beta(alpha, alpha) and is at least 0.5, so that the
    example's class counts at least as much as the other one's.
    """
    batch = images.shape[1]
    # A Beta distribution is a Dirichlet distribution of two shares. Validating the arguments would wait for the GPU.
    alphas = torch.full((batch, 2), alpha, device=images.device)
    shares = torch.distributions.Dirichlet(alphas, validate_args=False).sample()
    lam = shares.amax(1)
    other = torch.rand(batch, device=images.device).argsort()  # a random order
    return torch.lerp(images[:, other], images, lam[:, None, None, None]), other, lam

"""Test-time augmentation: changed copies of a segment, whose probabilities are averaged."""

from collections.abc import Callable
from functools import partial

import numpy as np

from genreclf.config import check_choice

Copy = Callable[[np.ndarray], np.ndarray]  # (N, 128, 256) uint8 -> (N, 128, 256) uint8
_SHIFT_BANDS = 2  # half of the largest shift in training (augment.band_shift)


def _plain(segments: np.ndarray) -> np.ndarray:
    return segments


def _reversed(segments: np.ndarray) -> np.ndarray:
    return segments[:, :, ::-1]


def _shift(segments: np.ndarray, bands: int) -> np.ndarray:
    """Shifts segments up by `bands`. The outermost band fills the gap."""
    last = segments.shape[1] - 1
    return segments[:, np.clip(np.arange(last + 1) - bands, 0, last)]


def _brightness(segments: np.ndarray, factor: float) -> np.ndarray:
    return _to_levels(segments * factor)


def _contrast(segments: np.ndarray, factor: float) -> np.ndarray:
    mean = segments.mean(axis=(1, 2), keepdims=True)  # (N, 1, 1)
    return _to_levels((segments - mean) * factor + mean)


def _to_levels(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(values.clip(0, 255)), np.uint8)


# pitch_shift: smaller transpositions than in training. flip and six: as in the original's evaluation and its prediction
# of single images; both reverse time, which only augment=original trains on.
TTA: dict[str, tuple[Copy, ...]] = {
    "none": (_plain,),
    "pitch_shift": (_plain, partial(_shift, bands=-_SHIFT_BANDS), partial(_shift, bands=_SHIFT_BANDS)),
    "flip": (_plain, _reversed),
    "six": (_plain, _reversed, *(partial(change, factor=f) for change in (_brightness, _contrast) for f in (1.1, 0.9))),
}


def check_tta(name: str) -> None:
    """Raises GenreclfError for a name that is not in `TTA`."""
    check_choice("tta", name, TTA)

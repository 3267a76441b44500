"""Test-time augmentation: the copies of a segment whose probabilities are averaged."""

from collections.abc import Callable

import numpy as np

from genreclf.errors import GenreclfError

Copy = Callable[[np.ndarray], np.ndarray]  # (N, 128, 256) uint8 -> the same
_SHIFT_BANDS = 2  # half of the largest shift in training (augment.band_shift)


def _plain(segments: np.ndarray) -> np.ndarray:
    return segments


def _reversed(segments: np.ndarray) -> np.ndarray:
    return segments[:, :, ::-1]


def _shift(bands: int) -> Copy:
    def copy(segments: np.ndarray) -> np.ndarray:
        """Moved up by `bands`; the band at the edge fills what becomes free."""
        source = np.clip(np.arange(segments.shape[1]) - bands, 0, segments.shape[1] - 1)
        return np.take(segments, source, axis=1)

    return copy


def _brightness(factor: float) -> Copy:
    return lambda segments: _to_levels(segments * factor)


def _contrast(factor: float) -> Copy:
    def copy(segments: np.ndarray) -> np.ndarray:
        mean = segments.mean(axis=(1, 2), keepdims=True)  # (N, 1, 1)
        return _to_levels((segments - mean) * factor + mean)

    return copy


def _to_levels(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(values.clip(0, 255)), np.uint8)


# pitch_shift: transpositions by less than training has seen. flip and six: the original's evaluation and its prediction
# of single images; both reverse time, which only augment=original trains on.
TTA: dict[str, tuple[Copy, ...]] = {
    "none": (_plain,),
    "pitch_shift": (_plain, _shift(-_SHIFT_BANDS), _shift(_SHIFT_BANDS)),
    "flip": (_plain, _reversed),
    "six": (_plain, _reversed, _brightness(1.1), _brightness(0.9), _contrast(1.1), _contrast(0.9)),
}


def check_tta(name: str) -> None:
    """Raises GenreclfError for a name that is not in `TTA`."""
    if name not in TTA:
        raise GenreclfError(f"tta={name}: unknown; choose one of {', '.join(TTA)}")

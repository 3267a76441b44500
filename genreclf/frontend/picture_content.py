"""What the levels of a picture tell: which way round they are, and whether it can be a mel spectrogram.

Numbers were measured on 709 pictures of GTZAN and 3,011 of other music, each also reversed and upside down.
"""

import numpy as np

from genreclf.frontend.log_mel import N_BANDS

_COLUMNS = 400  # that are looked at
_MIN_COLUMNS = 32  # too few columns tell nothing
# Music is louder in the bass: the correlation of a row's mean level with its number.
_MIN_SLOPE = 0.3
# The same of a grey array, which is rarely turned and must be read exactly: one of the pictures has 0.64 as it is.
ARRAY_SLOPE = 0.65
# Of both signs, to reverse colours and rows of a picture whose bass seems to be where it belongs: none of those.
_SURE = 3.0
_MIN_ROWS = 32  # different ones. Mel spectrograms have 40 or more, chroma 12, MFCC 13 to 40
# The correlation of neighbours in time and in frequency, without the means of rows and columns. In music at most 0.88
# along both axes and 0.96 in time; photos are smooth along both axes, tempograms in time.
_SMOOTH, _SMOOTH_IN_TIME = 0.9, 0.97


def upright(levels: np.ndarray, least_slope: float = _MIN_SLOPE) -> np.ndarray:
    """(rows, columns) uint8 levels as drawn, the bottom row first -> loud is high, low frequency first.

    The bass is loud in music; where the picture seems quiet at the bottom, either its colours or its rows are reversed.
    Sounds begin suddenly and fade, and stand out as lines: that tells which. Nothing is reversed up to `least_slope`.
    """
    seen = _reduced(levels)
    if seen is None:
        return levels
    slope, polarity, direction = _slope(seen), _polarity(seen), _direction(seen)
    if slope > least_slope:
        return 255 - levels if direction > polarity else levels[::-1]
    if slope < -_MIN_SLOPE and max(direction, polarity) < -_SURE:
        return 255 - levels[::-1]
    return levels


def fault_of_array(levels: np.ndarray) -> str:
    """Why (128, columns) levels of a grey picture are plainly no mel spectrogram; empty if they may be one."""
    seen = _reduced(levels)
    if seen is None:
        return ""
    rows = _different_rows(levels)
    if rows < _MIN_ROWS:
        return f"only {rows} rows differ, as in a chroma or MFCC plot"
    in_time, over_bands = _smoothness(seen)
    if min(in_time, over_bands) > _SMOOTH:
        return "smooth in all directions, as a photo"
    if in_time > _SMOOTH_IN_TIME:
        return "smooth in time, as a tempogram"
    return ""


def fault_of_plot(levels: np.ndarray, bands: np.ndarray) -> str:
    """`fault_of_array` for (rows, columns) of a plot, whose (128, columns) bands must also be louder in the bass."""
    seen = _reduced(bands)
    if seen is None or np.ptp(levels) == 0:
        return "too small, or of one colour"
    if _slope(seen) > -_MIN_SLOPE:
        return "not louder at low frequencies"
    return fault_of_array(levels)


def _reduced(levels: np.ndarray) -> np.ndarray | None:
    """(128, at most 400) float32, without repeated columns; None if there are too few."""
    rows = levels[((np.arange(N_BANDS) + 0.5) * len(levels) / N_BANDS).astype(int)]
    rows = rows[:, np.append(True, (rows[:, 1:] != rows[:, :-1]).any(axis=0))]
    if rows.shape[1] < _MIN_COLUMNS:
        return None
    kept = np.linspace(0, rows.shape[1] - 1, min(_COLUMNS, rows.shape[1])).astype(int)
    return np.asarray(rows[:, kept], np.float32)


def _slope(seen: np.ndarray) -> float:
    means = seen.mean(axis=1)
    return float(np.corrcoef(np.arange(N_BANDS), means)[0, 1]) if np.ptp(means) else 0.0


def _polarity(seen: np.ndarray) -> float:
    """Above 0 if loud is high, as a logit: levels rise fast and fall slowly, and stand out as narrow lines."""
    in_time, over_bands = np.diff(seen, axis=1), -np.diff(seen, n=2, axis=0)
    return 7.57 * _skewness(in_time) - 16.56 * _skewness(over_bands)


def _direction(seen: np.ndarray) -> float:
    """Above 0 if the first rows are the low ones, as a logit: high bands are wider, so that neighbours are alike."""
    moves = np.abs(np.diff(seen, axis=1)).mean(axis=1)
    quieter = np.log((moves[4:40].mean() + 0.1) / (moves[70:110].mean() + 0.1))
    return float(3.88 * quieter + 8.86 * (_likeness(seen[100:120]) - _likeness(seen[:16])))


def _skewness(values: np.ndarray) -> float:
    return float((values**3).mean() / ((values**2).mean() ** 1.5 + 1e-6))


def _likeness(rows: np.ndarray) -> float:
    """The correlation of neighbouring rows, without their means."""
    rows = rows - rows.mean(axis=1, keepdims=True)
    return float((rows[1:] * rows[:-1]).mean() / (np.sqrt((rows[1:] ** 2).mean() * (rows[:-1] ** 2).mean()) + 1e-6))


def _smoothness(seen: np.ndarray) -> tuple[float, float]:
    """The correlations of neighbours in time and in frequency, without the means of rows and columns."""
    rest = seen - seen.mean(axis=1, keepdims=True)
    rest -= rest.mean(axis=0)
    variance = rest.var() + 1e-6
    in_time, over_bands = (rest[:, 1:] * rest[:, :-1]).mean(), (rest[1:] * rest[:-1]).mean()
    return float(in_time / variance), float(over_bands / variance)


def _different_rows(levels: np.ndarray) -> int:
    changes = np.abs(np.diff(levels.astype(np.int16), axis=0)).mean(axis=1)
    return 1 + int((changes > 0.15 * np.percentile(changes, 98)).sum())

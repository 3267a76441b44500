"""Judges the levels of a picture: which way up they are, and whether they can be a mel spectrogram.

Numbers were measured on 709 pictures from GTZAN and 3,011 of other music, each also reversed and upside down.
"""

import numpy as np

from genreclf.frontend.log_mel import N_BANDS

_COLUMNS = 400  # the most columns that are judged
_ALIKE_COLUMNS = 200  # number of columns that are compared
_MIN_COLUMNS = 32  # fewer columns cannot be judged
# Music is louder in the bass: correlation of a row's mean level with its number
_MIN_SLOPE, _NO_BASS = 0.3, "not louder at low frequencies"
# The same for a grey array, which is rarely turned and must be read exactly: one correct picture has 0.64.
ARRAY_SLOPE = 0.65
# Limits of `_polarity`, with and without `_silence_is_low`, and of `_direction` to reverse what seems upright. None of
# the pictures, and none of 4,030 that were cut, filtered, resized or saved as JPEG, exceeds them.
_SURE, _SILENCE_SURE = 1.5, 1.0
_MIN_ROWS = 32  # least number of different rows: mel spectrograms have 40 or more, chroma 12, MFCC 13 to 40
# Correlation of neighbours in time and in frequency, without the means of rows and columns. In music it is at most 0.88
# along both axes and 0.98 in time (slow chords). Photos are smooth along both axes, tempograms in time.
_SMOOTH, _SMOOTH_IN_TIME = 0.9, 0.985
# Median of all levels above the floor, between the lowest and highest level: 0.11 or more in music, 0.14 in its upper
# 40 dB, up to 0.05 in power and amplitudes, and 0.09 in nine of ten arrays of log1p.
_NO_DECIBELS = 0.1
_BLOCK_BANDS, _BLOCK_COLUMNS = 8, 16
# Mean and standard deviation of each of `measures` in music, and its weight in a logistic model that separates other
# pictures (above 0) from music; scripts/fit_picture_content.py fits such numbers. They were fitted to half of the
# artists and photos. In the other half, no picture of music is rejected (0 of 1,860), but 95 % of the photos are, with
# the rules above.
_USUAL = np.array([-0.877, 0.589, 0.0566, 0.156, -0.629, -0.858, -1, 0.539, 0.659, 0.119])
_SPREAD = np.array([0.0908, 0.159, 0.0461, 0.0917, 0.449, 0.302, 0.499, 0.537, 0.101, 0.0447])
_WEIGHTS = np.array([0.871, -0.863, 0.804, 0.687, -3.13, -2.38, 3.94, -0.337, 1.61, -0.399])
_BIAS = -11.7
_FARTHEST = 8.0  # standard deviations: larger distances of one measure are clipped


def upright(levels: np.ndarray, least_slope: float = _MIN_SLOPE, loud_is_high: bool | None = None) -> np.ndarray:
    """Turns (rows, columns) uint8 levels as drawn, bottom row first, to loud as high and low frequencies first.

    The bass is loud in music. If the picture seems quiet at the bottom, either its colours or its rows are reversed.
    Sounds show which it is, because they begin suddenly, fade and stand out as lines, and so does silence, which is cut
    at one level. With a slope up to `least_slope`, nothing is reversed unless that is certain. `loud_is_high` is what a
    colour bar shows, if there is one.
    """
    seen = reduced(levels)
    if seen is None:
        return levels
    slope, polarity, silence, direction = _slope(seen), _polarity(seen), _silence_is_low(seen), _direction(seen)
    if slope > least_slope or (slope > _MIN_SLOPE and min(polarity + silence, direction) < -_SURE):
        if loud_is_high is None:
            loud_is_high = polarity + silence >= direction
        return levels[::-1] if loud_is_high else 255 - levels
    if slope < -_MIN_SLOPE and max(polarity + _SURE, silence + _SILENCE_SURE) < 0 and not loud_is_high:
        return 255 - levels[::-1]
    return levels


def turned(drawn: np.ndarray, levels: np.ndarray, of_grey: bool) -> str:
    """Returns what `upright` has done, for a note, because its decision may be wrong.

    In JPEG, even greys cannot be told from matplotlib's Greys, which are not.
    """
    name = " reversed (gray_r, not Greys)" if of_grey else " reversed"
    names = ("", name, " upside down", f"{name}, upside down")
    kinds = (drawn, 255 - drawn, drawn[::-1], 255 - drawn[::-1])
    return next(name for name, kind in zip(names, kinds, strict=True) if np.array_equal(levels, kind))


def fault_of_array(levels: np.ndarray) -> str:
    """Returns why (128, columns) levels of a grey picture are clearly not a mel spectrogram, or "" if they may be."""
    seen = reduced(levels)
    if seen is None:  # too narrow for the other rules, or steady sound, which is judged elsewhere
        is_narrow = np.ptp(levels) and levels.shape[1] < _MIN_COLUMNS
        return _NO_BASS if is_narrow and _slope(levels) > -_MIN_SLOPE else ""
    if len(np.unique(levels)) == 2:
        return "only two levels"
    return _fault_of_scale(seen) or _fault_of_rows(levels, seen) or _fault_of_levels(seen)


def fault_of_plot(levels: np.ndarray, bands: np.ndarray, is_scale_known: bool) -> str:
    """Returns `fault_of_array` for a plot's (rows, columns), whose (128, columns) bands must also have a loud bass.

    If the scale is known to be decibels, it is not judged.
    """
    seen, rows_seen = reduced(bands), reduced(levels)
    if seen is None or np.ptp(levels) == 0:
        return "too small, or of one colour"
    if not is_scale_known and (fault := _fault_of_scale(seen)):
        return fault
    if _slope(seen) > -_MIN_SLOPE:
        return _NO_BASS
    return (_fault_of_rows(levels, rows_seen) if rows_seen is not None else "") or _fault_of_levels(seen)


def likeness(levels: np.ndarray, others: np.ndarray) -> float:
    """Returns the correlation of two (rows, columns) of equal length, without the means of rows and columns."""
    rests = []
    for one in (levels, others):
        columns = ((np.arange(_ALIKE_COLUMNS) + 0.5) * one.shape[1] / _ALIKE_COLUMNS).astype(int)
        rests.append(_without_profiles(one[:, columns].astype(np.float32)).ravel())
    norm = float(np.sqrt((rests[0] @ rests[0]) * (rests[1] @ rests[1])))
    return float(rests[0] @ rests[1]) / norm if norm else 0.0


def measures(seen: np.ndarray) -> np.ndarray:
    """Returns features of (128, columns) levels that separate music from photos, drawings, text and noise: (10,).

    They do not depend on contrast. In spectrograms of music:
    0. the bass is loud: the correlation of a row's mean with its number is near -1;
    1. rows differ: their means have most of the variance;
    2. a coarse picture is almost only a profile over frequency plus one over time: the share of the rest is low;
    3. so is the detail: the deviation of the logarithm of its amount, without both profiles, is low;
    4. to 6. neighbours in time, in frequency and across both differ like noise: logarithm of the differences' RMS.
       Photos are smooth, and drawings have few, large steps;
    7. sounds begin suddenly and fade: skewness of the differences in time;
    8. and 9. loud places are few: the 90 % quantile between the lowest and the highest level, and the range of the
       uppermost 0.5 %. Paper and sky are white.
    """
    variance = float(seen.var()) + 1e-3
    in_time, over_bands = np.diff(seen, axis=1), np.diff(seen, axis=0)
    across = np.diff(in_time, axis=0)
    coarse, detail = _blocks(seen), np.log(_blocks(np.abs(across)) + 0.5)
    low, high = float(seen.min()), float(seen.max())
    loud, loudest = (np.quantile(seen[::2, ::2], (0.9, 0.995)) - low) / (high - low + 1e-3)
    return np.array([
        _slope(seen),
        seen.mean(axis=1).var() / variance,
        _without_profiles(coarse).var() / (coarse.var() + 1e-3),
        _without_profiles(detail).std(),
        *(0.5 * np.log(float(np.square(steps).mean()) / variance + 1e-6) for steps in (in_time, over_bands, across)),
        _skewness(in_time),
        loud,
        1 - loudest,
    ])  # fmt: skip


def _fault_of_scale(seen: np.ndarray) -> str:
    low, high = float(seen.min()), float(seen.max())
    above = seen[seen > low + (high - low) / 128]
    of_decibels = not len(above) or np.median(above) >= low + _NO_DECIBELS * (high - low)
    return "" if of_decibels else "its levels are not decibels, but power, amplitudes, PCEN or log1p"


def _fault_of_levels(seen: np.ndarray) -> str:
    distances = np.clip((measures(seen) - _USUAL) / _SPREAD, -_FARTHEST, _FARTHEST)
    return "its levels are those of a photo, a drawing or noise" if distances @ _WEIGHTS + _BIAS > 0 else ""


def _fault_of_rows(levels: np.ndarray, seen: np.ndarray) -> str:
    changes = np.abs(np.diff(levels.astype(np.int16), axis=0)).mean(axis=1)
    rows = 1 + int((changes > 0.15 * np.percentile(changes, 98)).sum())
    if rows < _MIN_ROWS:
        return f"only {rows} rows differ, as in a chroma or MFCC plot"
    rest = _without_profiles(seen)
    in_time, over_bands = _likeness(rest.T), _likeness(rest)
    if min(in_time, over_bands) > _SMOOTH:
        return "smooth in all directions, like a photo"
    if in_time > _SMOOTH_IN_TIME:
        return "smooth in time, like a tempogram"
    return ""


def _blocks(values: np.ndarray) -> np.ndarray:
    """Returns the means of blocks of 8 bands x 16 columns. Incomplete blocks at the ends are left out."""
    height, width = values.shape[0] // _BLOCK_BANDS, values.shape[1] // _BLOCK_COLUMNS
    inside = values[: height * _BLOCK_BANDS, : width * _BLOCK_COLUMNS]
    return np.asarray(inside.reshape(height, _BLOCK_BANDS, width, _BLOCK_COLUMNS).mean(axis=(1, 3)))


def _without_profiles(values: np.ndarray) -> np.ndarray:
    """Subtracts the means of rows and columns."""
    rest: np.ndarray = values - values.mean(axis=1, keepdims=True)
    rest -= rest.mean(axis=0)
    return rest


def reduced(levels: np.ndarray) -> np.ndarray | None:
    """Reduces (rows, columns) levels to (128, at most 400) float32 without repeated columns. None if too few."""
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
    """Returns a logit that loud is high: levels rise fast and fall slowly, and stand out as narrow lines."""
    in_time, over_bands = np.diff(seen, axis=1), -np.diff(seen, n=2, axis=0)
    return 7.57 * _skewness(in_time) - 16.56 * _skewness(over_bands)


def _silence_is_low(seen: np.ndarray) -> float:
    """Returns a logit that is above 0 if more levels are lowest than highest: silence is cut, but loudness is not."""
    low, high = float(seen.min()), float(seen.max())
    near = (high - low) / 64
    return float(np.log(((seen <= low + near).mean() + 1e-3) / ((seen >= high - near).mean() + 1e-3)))


def _direction(seen: np.ndarray) -> float:
    """Returns a logit that the first rows are the low ones: high bands are wider, so that neighbours are more alike."""
    moves = np.abs(np.diff(seen, axis=1)).mean(axis=1)
    rest = seen - seen.mean(axis=1, keepdims=True)
    quieter = np.log((moves[4:40].mean() + 0.1) / (moves[70:110].mean() + 0.1))
    return float(3.88 * quieter + 8.86 * (_likeness(rest[100:120]) - _likeness(rest[:16])))


def _skewness(values: np.ndarray) -> float:
    squares = values * values  # NumPy's values**3 takes ten times as long
    return float((squares * values).mean() / (squares.mean() ** 1.5 + 1e-6))


def _likeness(rows: np.ndarray) -> float:
    """Returns the correlation of neighbouring rows, whose means are 0."""
    return float((rows[1:] * rows[:-1]).mean() / (np.sqrt((rows[1:] ** 2).mean() * (rows[:-1] ** 2).mean()) + 1e-6))

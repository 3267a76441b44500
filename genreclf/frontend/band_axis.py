"""Finds the frequency axis of a plot's rows, among the axes that librosa and matplotlib draw.

Rows that show the same band or bin are equal. Where rows repeat reveals the axis, unless the plot was resized.
"""

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from genreclf.errors import GenreclfError
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.log_mel import N_BANDS, hertz_of_mel, mel_of_hertz

KINDS = ("bands", "mel", "linear", "log")
AUTO = "auto"
NYQUIST_HZ = SAMPLE_RATE_HZ / 2
_MIN_TOP_HZ, _MAX_TOP_HZ = 500, 200_000  # from telephones to the highest usual sample rate

_TOPS_HZ = (NYQUIST_HZ, 8_000.0, 22_050.0, 24_000.0, 16_000.0, 20_000.0, 10_000.0, 5_512.5, 4_000.0)
_BANDS = (128, 64, 80, 96, 256, 40, 48, 100, 120, 160, 192, 224, 229)
_BINS = (1025, 513, 2049, 129, 257)  # from librosa's usual n_fft, and from matplotlib's specgram
# matplotlib's symlog axes as set by librosa.display: Hz up to which they are linear, and height of that part in octaves
_SYMLOG = {"mel": (1000.0, 2.0), "log": (65.406, 1.0)}
# Ends of the parts of these axes that people show, from 0 Hz on, and the handicap of a part
_SHOWN_HZ = (8_192.0, 4_096.0, 2_048.0, 1_024.0, 8_000.0, 10_000.0, 6_000.0, 5_000.0, 4_000.0, 3_000.0, 2_000.0)
_PART = 0.05
# Numbers of rows below and above the plot that the frame hides, or that blend with it
_SHIFTS = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
_FINER = ((-0.3, -0.15, 0.0, 0.15, 0.3), (-0.1, -0.05, 0.0, 0.05, 0.1))
_ROUGH = ((0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 2.0))
_MIN_ROWS = 32
_FITTED = 6  # number of best candidates that are fitted, besides the usual ones
# Handicap of an unusual axis in correlation, and its increase for each top before its own. JPEG and frames narrower
# than a pixel blur the difference between similar axes: in most plots, the right one leads by 0.05 to 0.08.
_UNUSUAL, _RARER = 0.03, 0.01
_BLURRED = 0.05  # if fewer rows than this share differ less than this share of the usual change, they were blurred
_NEAR = 9  # rows
_MATCH = 0.5  # least correlation; the right axis has 0.57 to 1, others and noise have up to 0.45
_SURE = 0.9  # least correlation of an unusual size, or a part, that is not called assumed: wrong ones have up to 0.89
_RIVAL = 0.02  # least lead of an unusual size over other kinds of axes
# If bins between rows were left out, a row differs from the next as much as from the next but one: the ratio of both
# differences is 1.05 to 1.46 for linear axes, but 1.76 and more if bands fill several rows or were blurred.
_UNLIKE, _MANY_ROWS = 1.55, 160
# Least drop of levels from the bands at 85 to 95 % of the height to the uppermost 1 %: reached by 8 of 10 plots that
# end at half the sample rate, and not by 22 of 24 others.
_FADES = 22


@dataclass(frozen=True)
class FigureAxis:
    """The user's settings for the frequency axis of spectrogram figures. Raises GenreclfError for an unknown one."""

    kind: str  # one of KINDS, or "auto": detected from the rows
    top_hz: float  # the end of the axis, if the rows do not show it

    def __post_init__(self) -> None:
        if self.kind not in (AUTO, *KINDS):
            raise GenreclfError(f"figure={self.kind!r}: unknown; known: {', '.join((AUTO, *KINDS))}")
        if not _MIN_TOP_HZ <= self.top_hz <= _MAX_TOP_HZ:
            raise GenreclfError(f"figure_hz={self.top_hz}: give {_MIN_TOP_HZ} to {_MAX_TOP_HZ:,}")


@dataclass(frozen=True)
class BandAxis:
    """The frequency axis of a plot's rows."""

    kind: str  # one of KINDS
    top_hz: float  # the end of what the axis shows
    hertz: np.ndarray  # (rows,) float64: the centre of each row's band or bin
    seen: bool  # whether the axis was detected or given by the user; otherwise it is the most usual possible one
    count: int = 0  # number of bands or bins, if it was detected


@dataclass(frozen=True)
class _Candidate:
    kind: str
    top_hz: float
    count: int  # number of bands or bins
    edges: np.ndarray  # (count - 1,) edges between them, as fractions of the axis
    handicap: float  # 0 for librosa's usual size with the user's top, by default half the sample rate
    shown_hz: float  # the end of what is shown of it


@dataclass(frozen=True)
class _Fit:
    axis: _Candidate
    match: float  # correlation with the changes from row to row
    below: float  # rows of the axis hidden by the frame, below the plot
    above: float  # and above it


ANY_AXIS = FigureAxis(AUTO, NYQUIST_HZ)


def find_axis(levels: np.ndarray, settings: FigureAxis) -> BandAxis:
    """Finds the axis of (rows, columns) uint8 levels, low frequency first.

    Repeated rows reveal it. Without them it is given by the user's `settings`, or else it is "linear" if no row
    resembles the next one and there are many rows or a usual number of bins, and "bands" otherwise.
    """
    rows, kind = len(levels), settings.kind
    if rows != N_BANDS and rows >= _MIN_ROWS:
        steps = np.abs(np.diff(levels.astype(np.int16), axis=0)).mean(axis=1)
        fits = _fits(_relative(steps), settings)
        is_blurred = bool(np.quantile(steps, _BLURRED) > _BLURRED * np.median(steps))
        if best := _best(fits, levels, is_blurred) if kind == AUTO else _closest(fits):
            return _detected(levels, best, fits, settings.top_hz)
    if kind == AUTO:
        kind = "linear" if (rows > _MANY_ROWS or rows in _BINS) and _unlike(levels) else "bands"
    seen = rows == N_BANDS or settings.kind != AUTO
    return BandAxis(kind, settings.top_hz, _unseen(kind, rows, settings.top_hz), seen)


def _fits(changes: np.ndarray, settings: FigureAxis) -> list[_Fit]:
    """Fits the most likely axes, and the usual ones, to (rows - 1,) changes from row to row."""
    rows = len(changes) + 1
    candidates = [one for one in _candidates(settings.top_hz) if settings.kind in (AUTO, one.kind)]
    rough = [_matches(changes, _cells(one, rows, np.array(_ROUGH))).max() for one in candidates]
    usual = (number for number, one in enumerate(candidates) if not one.handicap)
    likely = sorted({*np.argsort(rough)[::-1][:_FITTED].tolist(), *usual})
    return [_best_fit(changes, rows, candidates[number]) for number in likely]


def _closest(fits: list[_Fit]) -> _Fit | None:
    """Returns the best fit, of equal ones that with the fewest hidden rows, or None if it is no match."""
    best = max(fits, key=lambda fit: (fit.match - fit.axis.handicap, -abs(fit.below) - abs(fit.above)))
    return best if best.match - best.axis.handicap >= _MATCH else None


def _best(fits: list[_Fit], levels: np.ndarray, is_blurred: bool) -> _Fit | None:
    """Like `_closest`, for levels of any kind of axis, without the kinds that others are mistaken for."""
    # Bands that imshow has blurred resemble twice as many linear bins.
    best = _closest([fit for fit in fits if fit.axis.kind != "linear" or not is_blurred])
    # 513 bins of which some rows are left out resemble 128 bands.
    are_bins = best and best.axis.kind == "bands" and len(levels) >= 2 * best.axis.count and _unlike(levels)
    return None if are_bins else best


def _detected(levels: np.ndarray, best: _Fit, fits: list[_Fit], user_hz: float) -> BandAxis:
    """Returns the axis of the best of `fits`, and whether it is sure enough to be called seen."""
    found, (numbers,) = best.axis, _cells(best.axis, len(levels), np.array([[best.below, best.above]]))
    closest = max(fits, key=lambda fit: fit.match).axis
    shown_hz, top_hz = found.shown_hz, found.top_hz
    if shown_hz == top_hz:
        shown_hz = top_hz = _top_of_data(levels, found, user_hz)
    same = [(one.kind, one.top_hz, one.shown_hz) for one in (closest, found)]
    is_usual = found.count in (_BANDS[0], _BINS[0]) and found.shown_hz == found.top_hz
    rivals = [fit.match + _RIVAL for fit in fits if fit.axis.kind != found.kind]  # 256 bands look as 257 bins
    is_sure = is_usual or best.match >= max([_SURE, *rivals])
    seen = same[0] == same[1] == (found.kind, top_hz, shown_hz) and is_sure
    return BandAxis(found.kind, shown_hz, _centres(found.kind, numbers, found.count, top_hz), seen, found.count)


def _top_of_data(levels: np.ndarray, found: _Candidate, user_hz: float) -> float:
    """Returns the frequency where the bands end, which may be above the end of a mel axis if its fmax is only a label.

    Recordings fade out below half their sample rate, so if the uppermost bands fade out, they reach it.
    """
    if found.kind != "mel" or found.top_hz >= user_hz:
        return found.top_hz
    rows, means = len(levels), levels.mean(axis=1)
    below = means[int(0.85 * rows) : int(0.95 * rows)].mean()
    return user_hz if below - means[-int(0.012 * rows) - 1 :].mean() > _FADES else found.top_hz


def _unlike(levels: np.ndarray) -> bool:
    """Returns whether no row resembles the next one, as on a linear axis that shows only some of 1,025 bins."""
    inner = levels[len(levels) // 10 : len(levels) * 7 // 10].astype(np.int16)
    near, next_but_one = np.abs(inner[1:] - inner[:-1]).mean(), np.abs(inner[2:] - inner[:-2]).mean()
    return bool(0 < next_but_one < _UNLIKE * near)


@cache
def _candidates(top_hz: float) -> list[_Candidate]:
    """Returns the axes that are tried: even ones with one end, which does not show, and unusual sizes with few ends."""
    tops = sorted({top_hz, *_TOPS_HZ}, key=lambda hz: hz != top_hz)
    found = []
    for whole, kind in product((True, False), KINDS):
        sizes = _BANDS if kind in ("bands", "mel") else _BINS
        for count in sizes:
            ends = 1 if kind in ("bands", "linear") else len(tops) if count == sizes[0] else 4
            for number, top in enumerate(tops[:ends]):
                handicap = 0 if (number, count) == (0, sizes[0]) else _UNUSUAL + _RARER * number
                parts = _SHOWN_HZ if kind in _SYMLOG and count == sizes[0] and not whole else ()
                for shown in (top, *(part for part in parts if part < top)):
                    edges = _between(_drawn(kind, count, top), kind, whole, top, shown)
                    found.append(_Candidate(kind, top, count, edges, handicap + _PART * (shown < top), shown))
    return found


def _drawn(kind: str, count: int, top_hz: float) -> np.ndarray:
    """Returns where librosa draws the centres of bands or bins: (count,) Hz, or numbers of bands."""
    if kind == "bands":
        return np.arange(count)
    return hertz_of_mel(np.linspace(0, mel_of_hertz(top_hz), count)) if kind == "mel" else np.linspace(0, top_hz, count)


def _between(centres: np.ndarray, kind: str, whole: bool, top_hz: float, shown_hz: float) -> np.ndarray:
    """Returns the edges between pcolormesh's cells, as fractions of what is shown of an axis, 1 and more if above it.

    A complete axis shows the outer cells whole or ends at their centres, depending on librosa's version.
    """
    middle = (centres[1:] + centres[:-1]) / 2
    ends = np.array([2 * centres[0] - middle[0], 2 * centres[-1] - middle[-1]]) if whole else centres[[0, -1]]
    low, high = _height(ends if shown_hz == top_hz else np.array([0, shown_hz]), kind)
    return np.asarray((_height(middle, kind) - low) / (high - low))


def _height(hertz: np.ndarray, kind: str) -> np.ndarray:
    """Returns the height of frequencies on an axis, in a unit that depends on its kind."""
    if kind not in _SYMLOG:
        return hertz
    knee, linear = _SYMLOG[kind]
    return np.where(hertz <= knee, hertz / knee * linear, linear + np.log2(np.maximum(hertz, knee) / knee))


def _centres(kind: str, numbers: np.ndarray, count: int, top_hz: float) -> np.ndarray:
    """Returns the centres of bands or bins with these numbers, of `count`, whatever the labels of the axis, in Hz."""
    if kind in ("linear", "log"):
        return numbers / (count - 1) * top_hz
    return hertz_of_mel((numbers + 1) / (count + 1) * mel_of_hertz(top_hz))


def _unseen(kind: str, rows: int, top_hz: float) -> np.ndarray:
    """Returns the rows' frequencies on librosa's usual axis of a kind that was not detected: (rows,) Hz."""
    usual = next(one for one in _candidates(top_hz) if one.kind == kind)
    middle = (usual.edges[1:] + usual.edges[:-1]) / 2  # of all cells except the first and the last
    places = np.concatenate([[usual.edges[0] / 2], middle, [(usual.edges[-1] + 1) / 2]])
    numbers = np.interp((np.arange(rows) + 0.5) / rows, places, np.arange(usual.count))
    return _centres(kind, numbers, usual.count, top_hz)


def _cells(axis: _Candidate, rows: int, hidden: np.ndarray) -> np.ndarray:
    """Returns the band or bin at each row's centre, (N, rows) int64, if (N, 2) rows are hidden below and above."""
    below, above = hidden[:, :1], hidden[:, 1:]
    fractions: np.ndarray = (np.arange(rows) + 0.5 + below) / (rows + below + above)
    return np.searchsorted(axis.edges, fractions, side="right")


def _best_fit(changes: np.ndarray, rows: int, axis: _Candidate) -> _Fit:
    """Returns the best fit of an axis to (rows - 1,) changes from row to row; of equal ones, with the fewest hidden."""
    fit = _Fit(axis, 0, 0, 0)
    for steps in (_SHIFTS, *_FINER):
        hidden = np.array([(fit.below + below, fit.above + above) for below, above in product(steps, steps)])
        matches = _matches(changes, _cells(axis, rows, hidden))
        best = np.lexsort((np.abs(hidden).sum(axis=1), -matches.round(9)))[0]
        fit = _Fit(axis, float(matches[best]), *hidden[best].tolist())
    return fit


def _matches(changes: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Correlates (rows - 1,) changes from row to row with those of (N, rows) cells: (N,), 0 if few rows repeat."""
    changing = np.diff(cells) > 0
    repeats = (~changing).sum(axis=1)
    expected = _relative(changing.astype(float))
    changes, expected = changes - changes.mean(), expected - expected.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.square(changes).sum() * np.square(expected).sum(axis=1))
    # Not a matrix product, in which equal rows may give sums that differ in the last digit.
    found: np.ndarray = np.divide((changes * expected).sum(axis=1), norms, out=np.zeros(len(cells)), where=norms > 0)
    return np.where(repeats >= len(changes) // 16, found, 0)


def _relative(changes: np.ndarray) -> np.ndarray:
    """Returns (..., N) changes relative to the mean of nearby ones, at most 4; 1 where nothing changes."""
    if changes.shape[-1] < _NEAR:
        return np.ones(changes.shape)
    first, last = (np.repeat(end, _NEAR // 2, axis=-1) for end in (changes[..., :1], changes[..., -1:]))
    sums = np.cumsum(np.concatenate([np.zeros_like(first[..., :1]), first, changes, last], axis=-1), axis=-1)
    near = (sums[..., _NEAR:] - sums[..., :-_NEAR]) / _NEAR
    relative: np.ndarray = np.divide(changes, near, out=np.ones(changes.shape), where=near > 1e-3)
    return np.asarray(np.minimum(relative, 4.0))

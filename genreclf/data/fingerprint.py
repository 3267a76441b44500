"""Which clips hold the same recording: shifted, cut to a part, encoded again, louder, quieter, filtered, noisy.

Tokens find candidates: 30 signs of a small patch of the spectrogram, each a difference of energies along
bands and time (as in Haitsma and Kalker, "A highly robust audio fingerprinting system", ISMIR 2002) with the weakest
bits also tried the other way, as they propose; taken at places that the music itself marks (as landmarks are: Wang, "An
industrial-strength audio search algorithm", ISMIR 2003). Of the candidates, those stay whose changes in the seconds
about it agree, by Haitsma and Kalker's bit error rate; and the correlation of the two spectrograms over all that the
clips share decides. All is smoothed over half a second, so that a picture of thinned columns and the audio that
it was made from meet.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from genreclf.frontend.log_mel import FRAME_RATE_HZ, N_BANDS

SKETCH_BANDS = 32
SKETCH_STEP = 6  # frames, 0.14 s
_SMOOTH_FRAMES = 24

# Noise and filters spoil a part of the bands, seldom all three.
_REGIONS = ((0, 12), (8, 20), (16, 32))
_FLUX_FRAMES = 10
_PEAK_RADIUS = 8
_PATCH_OFFSETS = np.arange(-48, 49, 6)  # frames: 2.2 s in 17 steps
_BAND_WAVES, _TIME_WAVES = 5, 6  # 30 signs and a region's number make 32 bits
_WEAK_BITS = 3

# A token that many clips share tells little: each is compared with its next neighbours only, which bounds the cost.
_NEIGHBOURS = 32
_WINDOW_STEPS = 64
_CHANGE_STEPS = 3
MAX_BIT_ERROR_RATE = 0.35  # Haitsma and Kalker's
_BATCH = 1 << 14
_NO_HITS = np.zeros((0, 4), np.int64)
MATCH_CONFIDENCE = 0.77
MIN_OVERLAP_FRAMES = 172  # 4 s
_OFFSETS_TRIED = 3
_LAGS = (-3, 0, 3)  # frames: copies of thinned columns mark their places a little apart


@dataclass(frozen=True)
class Fingerprint:
    """`sketch` is (steps, 32) uint8, a row each 0.14 s; `tokens` (tokens, 2) uint32: a token and its frame."""

    sketch: np.ndarray
    tokens: np.ndarray


@dataclass(frozen=True)
class Match:
    """Two clips, by number, that share `overlap_seconds` of one recording.

    The second begins `offset_seconds` after the first, before it where negative. `confidence` is the correlation of the
    two over the shared time, from 0.77 up to 1: the mean over the better half of the bands.
    """

    first: int
    second: int
    confidence: float
    offset_seconds: float
    overlap_seconds: float


def fingerprint(levels: np.ndarray, frames: int) -> Fingerprint:
    """Of (128, columns) uint8 levels over `frames` frames. Under 2.6 s there is no token, and no match."""
    smooth = _smoothed(levels, frames)
    tokens = np.concatenate([_region_tokens(smooth, region) for region in range(len(_REGIONS))])
    # A sum over 4 bands and 24 frames is back on 0..255.
    sketch = np.rint(smooth[:, SKETCH_STEP // 2 :: SKETCH_STEP].T / (N_BANDS // SKETCH_BANDS * _SMOOTH_FRAMES))
    return Fingerprint(sketch.astype(np.uint8), tokens)


def _smoothed(levels: np.ndarray, frames: int) -> np.ndarray:
    """(32, frames): sums over four bands and 24 frames. Whole numbers: all that follows is the same on any machine."""
    every = N_BANDS // SKETCH_BANDS
    # Four sums of whole arrays: NumPy's sum over so short an axis takes ten times as long.
    bands = sum(levels[part::every].astype(np.int32) for part in range(every))  # (32, columns)
    column = np.arange(frames) * levels.shape[1] // frames
    padded = np.pad(bands[:, column], ((0, 0), (_SMOOTH_FRAMES // 2 + 1, _SMOOTH_FRAMES // 2 - 1)), mode="edge")
    total = padded.cumsum(axis=1)  # in an hour, 4e8
    return (total[:, _SMOOTH_FRAMES:] - total[:, :-_SMOOTH_FRAMES]).astype(np.float64)


def _region_tokens(smooth: np.ndarray, region: int) -> np.ndarray:
    """(tokens, 2) uint32. A token that returns is kept once: a loop is not to outvote the rest of a clip."""
    low, high = _REGIONS[region]
    bands = smooth[low:high] - smooth[low:high].mean(axis=0)  # louder or quieter, it is the same
    times = _marked_times(bands)
    if not len(times):
        return np.zeros((0, 2), np.uint32)
    patches = bands[:, times[:, None] + _PATCH_OFFSETS]  # (bands, marks, steps)
    # Not by BLAS: for products as small as these its threads cost more than they bring, beside those that read clips.
    by_time = np.einsum("bms,ts->bmt", patches, _cosines(len(_PATCH_OFFSETS), _TIME_WAVES))  # (bands, marks, 6)
    waves = np.einsum("wb,bmt->mwt", _cosines(high - low, _BAND_WAVES), by_time)  # (marks, 5, 6)
    waves = waves.reshape(len(times), _BAND_WAVES * _TIME_WAVES)  # (marks, 30)
    tokens = _with_weak_bits_flipped(waves) | np.uint32(region << 30)  # (marks, 8)
    found, first = np.unique(tokens, return_index=True)
    return np.stack([found, times[first // tokens.shape[1]].astype(np.uint32)], axis=1)


def _marked_times(bands: np.ndarray) -> np.ndarray:
    """Frames at which the spectrum changes most, among those around them, and about which a whole patch lies."""
    change = bands[:, 2 * _FLUX_FRAMES :] - bands[:, : -2 * _FLUX_FRAMES]
    flux = np.zeros(bands.shape[1] + 2 * _PEAK_RADIUS)
    first = _PEAK_RADIUS + _FLUX_FRAMES
    flux[first : first + change.shape[1]] = np.einsum("bf,bf->f", change, change)
    around = sliding_window_view(flux, 2 * _PEAK_RADIUS + 1).max(axis=1)
    flux = flux[_PEAK_RADIUS:-_PEAK_RADIUS]
    times = np.flatnonzero((flux == around) & (flux > 0))
    reach = _PATCH_OFFSETS[-1]
    return times[(times >= reach) & (times < len(flux) - reach)]


@functools.cache
def _cosines(points: int, waves: int) -> np.ndarray:
    """(waves, points): the cosine transform's first waves, without the constant one."""
    angles = np.outer(np.arange(1, waves + 1), np.arange(points) + 0.5) * np.pi / points
    return np.cos(angles)


def _with_weak_bits_flipped(waves: np.ndarray) -> np.ndarray:
    """(marks, 30) -> (marks, 8) uint32: the signs, and these with any of the three weakest turned."""
    powers = np.uint32(1) << np.arange(waves.shape[1], dtype=np.uint32)
    signs = ((waves > 0) * powers).sum(axis=1, dtype=np.uint32)
    strength = np.abs(waves) / np.maximum(np.abs(waves).mean(axis=0), 1e-9)
    weak = powers[np.argsort(strength, axis=1, kind="stable")[:, :_WEAK_BITS]]  # (marks, 3)
    chosen = (np.arange(2**_WEAK_BITS)[:, None] >> np.arange(_WEAK_BITS)) & 1  # (8, 3)
    return signs[:, None] ^ (weak[:, None, :] * chosen).sum(axis=2, dtype=np.uint32)


@dataclass(frozen=True)
class Fingerprints:
    """Those of many clips, one behind the other: clip i has `sketches[sketch_ends[i - 1] : sketch_ends[i]]`."""

    sketches: np.ndarray
    sketch_ends: np.ndarray
    tokens: np.ndarray
    token_ends: np.ndarray

    @classmethod
    def of(cls, each: Sequence[Fingerprint]) -> "Fingerprints":
        """Joins fingerprints in memory."""
        return cls(
            np.concatenate([one.sketch for one in each]),
            np.cumsum([len(one.sketch) for one in each]),
            np.concatenate([one.tokens for one in each]),
            np.cumsum([len(one.tokens) for one in each]),
        )

    def of_clip(self, clip: int) -> Fingerprint:
        """That of one clip."""
        return Fingerprint(
            self.sketches[_start(self.sketch_ends, clip) : self.sketch_ends[clip]],
            self.tokens[_start(self.token_ends, clip) : self.token_ends[clip]],
        )


def _start(ends: np.ndarray, clip: int | np.ndarray) -> np.ndarray:
    """Where the rows of a clip, or of each of several, begin."""
    return np.where(np.asarray(clip) > 0, ends[np.asarray(clip) - 1], 0)


def find_matches(library: Fingerprints, report: Callable[[int, int], None] = lambda done, total: None) -> list[Match]:
    """All pairs of clips that hold the same recording, in order. Cost grows with the tokens, not with the pairs."""
    change = _change_bits(library.sketches)
    candidates = np.concatenate([_NO_HITS, *(_plausible(change, library, hits) for hits in _hits(library, report))])
    by_pair = candidates[np.lexsort((candidates[:, 1], candidates[:, 0]))]
    borders = np.flatnonzero((np.diff(by_pair[:, :2], axis=0) != 0).any(axis=1)) + 1
    found = (_best_match(library, pair) for pair in np.split(by_pair, borders) if len(pair))
    return [match for match in found if match is not None]


def _hits(library: Fingerprints, report: Callable[[int, int], None]) -> Iterator[np.ndarray]:
    """(hits, 4) int64 a time: two clips and the frame in each at which they have a token in common."""
    clip_of = np.repeat(np.arange(len(library.token_ends)), np.diff(library.token_ends, prepend=0)).astype(np.int32)
    for region in range(len(_REGIONS)):
        report(region, len(_REGIONS))
        chosen = np.flatnonzero(library.tokens[:, 0] >> 30 == region)
        token = library.tokens[chosen, 0]
        order = np.argsort(token, kind="stable")
        token, clip, time = token[order], clip_of[chosen[order]], library.tokens[chosen[order], 1]
        for distance in range(1, _NEIGHBOURS + 1):
            same = np.flatnonzero(token[distance:] == token[:-distance])
            if not len(same):
                break
            other = same + distance
            yield np.stack([clip[same], clip[other], time[same], time[other]], axis=1).astype(np.int64)
    report(len(_REGIONS), len(_REGIONS))


def _plausible(change: np.ndarray, library: Fingerprints, hits: np.ndarray) -> np.ndarray:
    """The hits (n, 4) about which the two clips change alike: at most 35 % of the bits in some 9 s differ."""
    kept = [_NO_HITS]
    for start in range(0, len(hits), _BATCH):
        some = hits[start : start + _BATCH]
        kept.append(some[_bit_error_rate(change, library, some) <= MAX_BIT_ERROR_RATE])
    return np.concatenate(kept)


def _bit_error_rate(change: np.ndarray, library: Fingerprints, hits: np.ndarray) -> np.ndarray:
    around = np.arange(_WINDOW_STEPS) - _WINDOW_STEPS // 2
    words, inside = [], True
    for clip, time in ((hits[:, 0], hits[:, 2]), (hits[:, 1], hits[:, 3])):
        start, end = _start(library.sketch_ends, clip), library.sketch_ends[clip]
        step = (start + time // SKETCH_STEP)[:, None] + around  # (hits, steps)
        inside = inside & (step >= start[:, None]) & (step < end[:, None] - _CHANGE_STEPS)
        words.append(change[step.clip(0, len(change) - 1)])
    differing = (np.bitwise_count(words[0] ^ words[1]) * inside).sum(axis=1)
    return differing / np.maximum(SKETCH_BANDS * inside.sum(axis=1), 1)


def _change_bits(sketches: np.ndarray) -> np.ndarray:
    """(steps,) uint32, a bit a band: whether it gained on the next band in the 0.4 s from here."""
    words = np.zeros(len(sketches), np.uint32)
    for start in range(0, len(sketches), _BATCH):
        bits = _gains(sketches[start : start + _BATCH + _CHANGE_STEPS].astype(np.int16))
        words[start : start + len(bits)] = np.packbits(bits, axis=1).view(np.uint32)[:, 0]
    return words


def _gains(sketch: np.ndarray) -> np.ndarray:
    """(steps, 32) signed -> (steps - 3, 32): whether the next band gained more in the 0.4 s from each step."""
    gain = sketch[_CHANGE_STEPS:] - sketch[:-_CHANGE_STEPS]
    return np.roll(gain, -1, axis=1) > gain


def _confidence(first: np.ndarray, second: np.ndarray) -> float:
    """Of two sketches (steps, 32) of equal length.

    The correlation of their changes over 0.4 s, as a fade or a crescendo makes any two clips alike; the mean over the
    better half of the bands, as noise and filters spoil the rest. Taken with and without what is common to all bands,
    the loudness: an encoder's holes in quiet music are there in all of them.
    """
    first, second = (each[_CHANGE_STEPS:] - each[:-_CHANGE_STEPS] for each in (first, second))
    whole = _band_correlation(first, second)
    return max(whole, _band_correlation(*(each - each.mean(axis=1, keepdims=True) for each in (first, second))))


def _band_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """The mean of the better half of the bands' correlations; a band in which either does not move counts as 0."""
    first, second = (each - each.mean(axis=0) for each in (first, second))
    norm = np.sqrt(np.square(first).sum(axis=0) * np.square(second).sum(axis=0))
    correlation = (first * second).sum(axis=0) / np.maximum(norm, 1e-3)  # (32,)
    return float(np.sort(correlation)[SKETCH_BANDS // 2 :].mean())


def _best_match(library: Fingerprints, hits: np.ndarray) -> Match | None:
    """What the hits (n, 4) of one pair of clips come to."""
    first, second = (int(clip) for clip in hits[0, :2])
    one, other = (library.of_clip(clip).sketch.astype(np.float64) for clip in (first, second))
    offsets, votes = np.unique(hits[:, 2] - hits[:, 3], return_counts=True)
    likeliest = offsets[np.argsort(-votes, kind="stable")[:_OFFSETS_TRIED]]
    tried = {int(offset) + lag for offset in likeliest for lag in _LAGS}
    confidence, offset, overlap = max(aligned(one, other, offset) for offset in sorted(tried))
    if confidence < MATCH_CONFIDENCE:
        return None
    return Match(first, second, confidence, offset / FRAME_RATE_HZ, overlap * SKETCH_STEP / FRAME_RATE_HZ)


def aligned(one: np.ndarray, other: np.ndarray, offset: int) -> tuple[float, int, int]:
    """Confidence when `other` begins `offset` frames after `one`; the offset; the steps that they share.

    The confidence is 0 for too short an overlap, and where the changes differ in too many bits over all of it.
    """
    whole, part = divmod(offset, SKETCH_STEP)
    if part:  # between two steps of `one`: half a second's mean is smooth enough for a straight line
        one = one[:-1] + (one[1:] - one[:-1]) * (part / SKETCH_STEP)
    start, begin = max(0, whole), max(0, -whole)
    steps = min(len(one) - start, len(other) - begin)
    if steps * SKETCH_STEP < MIN_OVERLAP_FRAMES:
        return 0.0, offset, 0
    one, other = one[start : start + steps], other[begin : begin + steps]
    differing = np.mean(_gains(one) != _gains(other))
    return _confidence(one, other) if differing <= MAX_BIT_ERROR_RATE else 0.0, offset, steps

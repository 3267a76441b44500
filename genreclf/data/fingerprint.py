"""Finds clips of the same recording, even if shifted, cut, re-encoded, louder or quieter, filtered or noisy.

1. Tokens find candidates. A token is 30 sign bits of a small patch of the spectrogram, each the sign of an energy
   difference along bands and time (Haitsma and Kalker, "A highly robust audio fingerprinting system", ISMIR 2002). As
   they propose, the weakest bits are also tried flipped. Patches lie where the spectrum changes most, so that they are
   in the same places in two copies (like landmarks: Wang, "An industrial-strength audio search algorithm", ISMIR 2003).
2. Candidates are kept if the changes in the surrounding seconds agree, by Haitsma and Kalker's bit error rate.
3. The correlation of the two spectrograms over the whole overlap decides.

Everything is smoothed over half a second, so that a downsampled spectrogram matches the audio it was made from.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from genreclf.data.token_hits import BATCH, TokenTable, hits_between, hits_within
from genreclf.frontend.log_mel import FRAME_RATE_HZ, N_BANDS
from genreclf.progress import Report

# Constants without a source were set by hand; scripts/recordings.py measures their combined effect. A frame is 23.2 ms.
SKETCH_BANDS = 32  # so that one bit per band fills a 32-bit word, as in Haitsma and Kalker
SKETCH_STEP = 6  # frames, 0.14 s: a quarter of the smoothing, so linear interpolation between steps is accurate
_SMOOTH_FRAMES = 24  # 0.56 s: seven columns of GTZAN's usual pictures, which show 30 s on 387 columns

_REGIONS = ((0, 12), (8, 20), (16, 32))  # of the 32 bands; noise and filters rarely spoil all three
_FLUX_FRAMES = 10  # a change is the difference of spectra 20 frames (0.46 s) apart, a little less than the smoothing
_PEAK_RADIUS = 8  # frames on each side in which a patch's change is the largest: at most five patches per second
_PATCH_OFFSETS = np.arange(-48, 49, 6)  # frames: 2.2 s in 17 steps, four times the smoothing
_BAND_WAVES, _TIME_WAVES = 5, 6  # 30 signs and the region's number make a 32-bit token
_WEAK_BITS = 3  # bits tried flipped: 8 tokens per patch, all of which have to be stored

_WINDOW_STEPS = 64  # 8.9 s around a common token (Haitsma and Kalker: 3 s, in steps of 11.6 ms)
_CHANGE_STEPS = 3  # 0.42 s, a little less than the smoothing
MAX_BIT_ERROR_RATE = 0.35  # Haitsma and Kalker's threshold
MATCH_CONFIDENCE = 0.77  # measured: two drones of the demo music reach 0.76, different versions of a real piece 0.66
MIN_OVERLAP_FRAMES = 172  # 4 s: of copies cut to 4 s, 100 % of audio and 82 % of pictures are still found
_OFFSETS_TRIED = 3  # offsets with the most tokens in common
_LAGS = (-3, 0, 3)  # frames around each offset: the patches of downsampled copies are a few frames apart


@dataclass(frozen=True)
class Fingerprint:
    """Features of one clip that identify its recording."""

    sketch: np.ndarray  # (steps, 32) uint8: the smoothed spectrogram, a row every 0.14 s
    tokens: np.ndarray  # (tokens, 2) uint32: a token and its frame


NO_PRINTS = Fingerprint(np.zeros((0, SKETCH_BANDS), np.uint8), np.zeros((0, 2), np.uint32))


@dataclass(frozen=True)
class Match:
    """Two clips that share part of one recording."""

    first: int  # the clips' numbers
    second: int
    confidence: float  # 0.77 to 1: the correlation over the shared time, averaged over the better half of the bands
    offset_seconds: float  # how much later than the first clip the second one begins; negative: earlier
    overlap_seconds: float  # the shared time


def fingerprint(levels: np.ndarray, frames: int) -> Fingerprint:
    """Computes the fingerprint of (128, columns) uint8 levels that cover `frames`.

    Clips shorter than 2.6 s have no tokens, and therefore no matches.
    """
    smooth = _smoothed(levels, frames)
    tokens = [_region_tokens(smooth[low:high], region) for region, (low, high) in enumerate(_REGIONS)]
    # The sums over 4 bands and 24 frames become means, 0 to 255.
    sketch = np.rint(smooth[:, SKETCH_STEP // 2 :: SKETCH_STEP].T / (N_BANDS // SKETCH_BANDS * _SMOOTH_FRAMES))
    return Fingerprint(sketch.astype(np.uint8), np.concatenate(tokens))


def _smoothed(levels: np.ndarray, frames: int) -> np.ndarray:
    """Returns (32, frames): sums over four bands and 24 frames. Integer sums are the same on every machine."""
    step = N_BANDS // SKETCH_BANDS
    # Adding four arrays is ten times as fast as NumPy's sum over such a short axis.
    bands = functools.reduce(np.add, (levels[band::step].astype(np.int32) for band in range(step)))  # (32, columns)
    column = np.arange(frames) * levels.shape[1] // frames
    padded = np.pad(bands[:, column], ((0, 0), (_SMOOTH_FRAMES // 2 + 1, _SMOOTH_FRAMES // 2 - 1)), mode="edge")
    total = padded.cumsum(axis=1)  # at most 4e8 in an hour, within int32
    return (total[:, _SMOOTH_FRAMES:] - total[:, :-_SMOOTH_FRAMES]).astype(np.float64)


def _region_tokens(bands: np.ndarray, region: int) -> np.ndarray:
    """Returns (tokens, 2) uint32. A repeated token is kept only once, so that a loop cannot outvote the other music."""
    bands = bands - bands.mean(axis=0)  # independent of loudness
    times = _patch_times(bands)
    if not len(times):
        return np.zeros((0, 2), np.uint32)
    patches = bands[:, times[:, None] + _PATCH_OFFSETS]  # (bands, patches, steps)
    # einsum, not BLAS: clips are read in threads, so for products this small BLAS threads cost more than they save.
    by_time = np.einsum("bps,ts->bpt", patches, _cosines(len(_PATCH_OFFSETS), _TIME_WAVES))  # (bands, patches, 6)
    waves = np.einsum("wb,bpt->pwt", _cosines(len(bands), _BAND_WAVES), by_time)
    waves = waves.reshape(len(times), _BAND_WAVES * _TIME_WAVES)  # (patches, 5, 6) -> (patches, 30)
    tokens = _with_weak_bits_flipped(waves) | np.uint32(region << 30)  # (patches, 8)
    found, first = np.unique(tokens, return_index=True)
    return np.stack([found, times[first // tokens.shape[1]].astype(np.uint32)], axis=1)


def _patch_times(bands: np.ndarray) -> np.ndarray:
    """Returns the frames where the spectrum changes more than at all neighbours and around which a whole patch fits."""
    change = bands[:, 2 * _FLUX_FRAMES :] - bands[:, : -2 * _FLUX_FRAMES]
    flux = np.zeros(bands.shape[1] + 2 * _PEAK_RADIUS)
    first = _PEAK_RADIUS + _FLUX_FRAMES
    flux[first : first + change.shape[1]] = np.einsum("bf,bf->f", change, change)
    largest = sliding_window_view(flux, 2 * _PEAK_RADIUS + 1).max(axis=1)
    flux = flux[_PEAK_RADIUS:-_PEAK_RADIUS]
    times = np.flatnonzero((flux == largest) & (flux > 0))
    reach = _PATCH_OFFSETS[-1]
    return times[(times >= reach) & (times < len(flux) - reach)]


@functools.cache
def _cosines(points: int, waves: int) -> np.ndarray:
    """Returns (waves, points): the first basis functions of the cosine transform (DCT-II), without the constant one."""
    return np.cos(np.outer(np.arange(1, waves + 1), np.arange(points) + 0.5) * np.pi / points)


def _with_weak_bits_flipped(waves: np.ndarray) -> np.ndarray:
    """Returns the sign bits, with each combination of the three weakest bits flipped.

    (patches, 30) -> (patches, 8) uint32
    """
    powers = np.uint32(1) << np.arange(waves.shape[1], dtype=np.uint32)
    signs = ((waves > 0) * powers).sum(axis=1, dtype=np.uint32)
    strength = np.abs(waves) / np.maximum(np.abs(waves).mean(axis=0), 1e-9)
    weak = powers[np.argsort(strength, axis=1, kind="stable")[:, :_WEAK_BITS]]  # (patches, 3)
    chosen = (np.arange(2**_WEAK_BITS)[:, None] >> np.arange(_WEAK_BITS)) & 1  # (8, 3)
    return signs[:, None] ^ (weak[:, None, :] * chosen).sum(axis=2, dtype=np.uint32)


@dataclass(frozen=True)
class Fingerprints:
    """The fingerprints of many clips, concatenated."""

    sketches: np.ndarray  # clip i has sketches[sketch_borders[i] : sketch_borders[i + 1]]
    sketch_borders: np.ndarray
    tokens: np.ndarray  # likewise with token_borders
    token_borders: np.ndarray

    @classmethod
    def of(cls, each: Sequence[Fingerprint]) -> "Fingerprints":
        """Concatenates fingerprints in memory."""
        sketches, tokens = [one.sketch for one in each], [one.tokens for one in each]
        ends = borders(map(len, tokens))
        return cls(np.concatenate(sketches), borders(map(len, sketches)), np.concatenate(tokens), ends)

    def of_clip(self, clip: int) -> Fingerprint:
        """Returns the fingerprint of one clip."""
        sketch = self.sketches[self.sketch_borders[clip] : self.sketch_borders[clip + 1]]
        return Fingerprint(sketch, self.tokens[self.token_borders[clip] : self.token_borders[clip + 1]])


def borders(sizes: Iterable[int]) -> np.ndarray:
    """Returns where each clip's rows begin, and where the last clip's rows end: (clips + 1,)."""
    return np.cumsum([0, *sizes])


def _tokens(library: Fingerprints) -> TokenTable:
    return TokenTable(library.tokens, np.diff(library.token_borders))


def find_matches(library: Fingerprints, report: Report = lambda done, total: None) -> list[Match]:
    """Finds all pairs of clips of the same recording, in order. The cost grows with the tokens, not with the pairs."""
    return _matches(library, library, hits_within(_tokens(library), len(_REGIONS), report))


def find_matches_between(
    one: Fingerprints, other: Fingerprints, report: Report = lambda done, total: None
) -> list[Match]:
    """Finds all pairs of a clip in `one` (`Match.first`) and a clip in `other` (`Match.second`), as `find_matches`."""
    return _matches(one, other, hits_between(_tokens(one), _tokens(other), len(_REGIONS), report))


def _matches(one: Fingerprints, other: Fingerprints, hits: Iterable[np.ndarray]) -> list[Match]:
    change = _change_bits(one.sketches)
    changes = change, change if other is one else _change_bits(other.sketches)
    plausible = (some[_bit_error_rate(changes, (one, other), some) <= MAX_BIT_ERROR_RATE] for some in hits)
    candidates = np.concatenate([np.zeros((0, 4), np.int64), *plausible])
    by_pair = candidates[np.lexsort((candidates[:, 1], candidates[:, 0]))]
    borders = np.flatnonzero((np.diff(by_pair[:, :2], axis=0) != 0).any(axis=1)) + 1
    found = (_best_match(one, other, pair) for pair in np.split(by_pair, borders) if len(pair))
    return [match for match in found if match is not None]


def _bit_error_rate(
    changes: tuple[np.ndarray, np.ndarray], libraries: tuple[Fingerprints, Fingerprints], hits: np.ndarray
) -> np.ndarray:
    """Returns the share of bits that differ in about 9 s around each hit, where both clips have bits: (hits,)."""
    around = np.arange(_WINDOW_STEPS) - _WINDOW_STEPS // 2
    words, inside = [], np.ones((len(hits), _WINDOW_STEPS), bool)
    sides = ((hits[:, 0], hits[:, 2]), (hits[:, 1], hits[:, 3]))
    for change, library, (clip, time) in zip(changes, libraries, sides, strict=True):
        start, end = library.sketch_borders[clip, None], library.sketch_borders[clip + 1, None]  # (hits, 1)
        step = start + time[:, None] // SKETCH_STEP + around  # (hits, steps)
        inside &= (step >= start) & (step < end - _CHANGE_STEPS)
        words.append(change[step.clip(0, len(change) - 1)])
    differing = (np.bitwise_count(words[0] ^ words[1]) * inside).sum(axis=1)
    return differing / np.maximum(SKETCH_BANDS * inside.sum(axis=1), 1)


def _change_bits(sketches: np.ndarray) -> np.ndarray:
    """Returns a bit per band, which is set if the next band rises more in the 0.4 s from each step: (steps,) uint32."""
    words = np.zeros(len(sketches), np.uint32)
    for start in range(0, len(sketches), BATCH):
        bits = _rises(_changes(sketches[start : start + BATCH + _CHANGE_STEPS].astype(np.int16)))
        words[start : start + len(bits)] = np.packbits(bits, axis=1).view(np.uint32)[:, 0]
    return words


def _changes(sketch: np.ndarray) -> np.ndarray:
    """Returns how much each band rises in 0.4 s: (steps, 32) -> (steps - 3, 32).

    Two clips that fade have similar levels, but not similar changes.
    """
    return sketch[_CHANGE_STEPS:] - sketch[:-_CHANGE_STEPS]


def _rises(change: np.ndarray) -> np.ndarray:
    return np.roll(change, -1, axis=1) > change


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the mean correlation of the better half of the bands, because noise and filters spoil the others.

    The correlation of a constant band is 0.
    """
    first, second = (each - each.mean(axis=0) for each in (first, second))
    norm = np.sqrt(np.square(first).sum(axis=0) * np.square(second).sum(axis=0))
    correlation = (first * second).sum(axis=0) / np.maximum(norm, 1e-3)  # (32,)
    return float(np.sort(correlation)[SKETCH_BANDS // 2 :].mean())


def _best_match(library: Fingerprints, other_library: Fingerprints, hits: np.ndarray) -> Match | None:
    """Returns the best match of one pair of clips, given its (n, 4) hits, or None if the recordings differ."""
    first, second = (int(clip) for clip in hits[0, :2])
    one = library.of_clip(first).sketch.astype(np.float64)
    other = other_library.of_clip(second).sketch.astype(np.float64)
    offsets, votes = np.unique(hits[:, 2] - hits[:, 3], return_counts=True)
    most_common = offsets[np.argsort(-votes, kind="stable")[:_OFFSETS_TRIED]]
    tried = {int(offset) + lag for offset in most_common for lag in _LAGS}
    confidence, offset, overlap = max(aligned(one, other, offset) for offset in sorted(tried))
    if confidence < MATCH_CONFIDENCE:
        return None
    return Match(first, second, confidence, offset / FRAME_RATE_HZ, overlap * SKETCH_STEP / FRAME_RATE_HZ)


def aligned(one: np.ndarray, other: np.ndarray, offset: int) -> tuple[float, int, int]:
    """Returns (confidence, offset, shared steps) of two sketches if `other` begins `offset` frames after `one`.

    The confidence is 0 if the overlap is too short, or if too many bits of the changes differ over the whole overlap.
    """
    whole, part = divmod(offset, SKETCH_STEP)
    if part:  # between two steps of `one`; means over half a second are smooth enough for linear interpolation
        one = one[:-1] + (one[1:] - one[:-1]) * (part / SKETCH_STEP)
    start, begin = max(0, whole), max(0, -whole)
    steps = min(len(one) - start, len(other) - begin)
    if steps * SKETCH_STEP < MIN_OVERLAP_FRAMES:
        return 0.0, offset, 0
    one, other = _changes(one[start : start + steps]), _changes(other[begin : begin + steps])
    if np.mean(_rises(one) != _rises(other)) > MAX_BIT_ERROR_RATE:
        return 0.0, offset, steps
    # Also correlate without the loudness common to all bands, because an encoder may mute all bands of quiet music.
    quiet = _correlation(*(each - each.mean(axis=1, keepdims=True) for each in (one, other)))
    return max(_correlation(one, other), quiet), offset, steps

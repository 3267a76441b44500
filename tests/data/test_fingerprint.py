import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn
from scipy.signal import butter, sosfilt

from genreclf.data.build_store import build_store
from genreclf.data.demo import write_demo
from genreclf.data.fingerprint import (
    MATCH_CONFIDENCE,
    MIN_OVERLAP_FRAMES,
    SKETCH_STEP,
    Fingerprint,
    Fingerprints,
    Match,
    find_matches,
    find_matches_between,
    fingerprint,
)
from genreclf.data.sources import list_sources
from genreclf.frontend.audio import read_audio
from genreclf.frontend.clip import read_clip
from genreclf.frontend.log_mel import FRAME_RATE_HZ, log_mel
from genreclf.frontend.picture import read_picture

RATE_HZ = 22_050


def music(seed: int, frames: int = 900) -> np.ndarray:
    """Noise that is smooth in time and along the bands, like music: (128, frames) uint8."""
    rng = np.random.default_rng(seed)
    levels = rng.normal(size=(128, frames + 40))
    levels = np.cumsum(levels, axis=1)[:, 20:] - np.cumsum(levels, axis=1)[:, :-20]
    levels = sum(np.roll(levels, shift, axis=0) for shift in range(-4, 5))
    levels = levels[:, :frames]
    return np.clip(128 + 60 * levels / levels.std(), 0, 255).astype(np.uint8)


def downsampled(levels: np.ndarray) -> np.ndarray:
    """Keeps every 3.34th frame, as in pictures that show 30 s on 387 columns."""
    columns = np.arange(int(levels.shape[1] / 3.34))
    return levels[:, ((columns + 0.5) * 3.34).astype(int)]


def matches_of(*clips: np.ndarray, frames: list[int] | None = None) -> list[Match]:
    frames = frames or [clip.shape[1] for clip in clips]
    return find_matches(Fingerprints.of([fingerprint(*clip) for clip in zip(clips, frames, strict=True)]))


def slow_confidence(one: Fingerprint, other: Fingerprint, steps: int) -> float:
    """Computes the confidence if `other` begins `steps` sketch rows after `one`, with NumPy's correlation per band."""
    a, b = one.sketch.astype(float), other.sketch.astype(float)
    a, b = a[max(0, steps) :], b[max(0, -steps) :]
    shared = min(len(a), len(b))
    a, b = a[3:shared] - a[: shared - 3], b[3:shared] - b[: shared - 3]
    means = []
    for x, y in ((a, b), (a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True))):
        bands = [np.corrcoef(x[:, band], y[:, band])[0, 1] for band in range(32)]
        means.append(np.mean(sorted(bands)[16:]))
    return max(means)


@pytest.mark.parametrize("offset_steps", [-60, 0, 17, 100])
def test_a_shifted_clip_is_found_with_offset_overlap_and_confidence(offset_steps):
    whole = music(0, 1_500)
    start, begin = max(0, -offset_steps) * SKETCH_STEP, max(0, offset_steps) * SKETCH_STEP
    one, other = whole[:, start : start + 800], whole[:, begin : begin + 800]
    (match,) = matches_of(one, music(1), other)
    assert (match.first, match.second) == (0, 2)
    assert match.offset_seconds == pytest.approx(offset_steps * SKETCH_STEP / FRAME_RATE_HZ, abs=0.03)
    assert match.overlap_seconds == pytest.approx((800 - abs(offset_steps) * SKETCH_STEP) / FRAME_RATE_HZ, abs=0.3)
    expected = slow_confidence(fingerprint(one, 800), fingerprint(other, 800), offset_steps)
    assert match.confidence == pytest.approx(expected, abs=1e-9) and match.confidence > 0.95


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(1, 10**6), cut=st.integers(0, 400), length=st.integers(250, 500), flip=st.booleans())
def test_any_part_of_a_clip_is_found_wherever_it_begins(seed, cut, length, flip):
    whole = music(seed)
    part = whole[:, cut : cut + length]
    clips = [part, music(seed + 1), whole] if flip else [whole, music(seed + 1), part]
    (match,) = matches_of(*clips)
    assert (match.first, match.second) == (0, 2)
    assert match.offset_seconds * (-1 if flip else 1) == pytest.approx(cut / FRAME_RATE_HZ, abs=0.05)
    assert match.overlap_seconds == pytest.approx(length / FRAME_RATE_HZ, abs=0.3)


def test_a_downsampled_spectrogram_matches_the_whole_one():
    whole = music(0, 1_293)
    (match,) = matches_of(whole, downsampled(whole), music(1), frames=[1_293, 1_293, 900])
    assert (match.first, match.second) == (0, 1) and abs(match.offset_seconds) < 0.1


def test_a_louder_or_quieter_copy_or_one_of_another_range_matches():
    whole = music(0)
    changed = [whole // 2, 255 - (255 - whole) // 2, np.clip(whole.astype(int) + 40, 0, 255).astype(np.uint8)]
    found = matches_of(whole, *changed)
    assert {(match.first, match.second) for match in found} == {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}


def test_different_clips_do_not_match():
    assert matches_of(*(music(seed) for seed in range(60))) == []


@pytest.mark.parametrize("fill", [0, 128, 255])
def test_silence_and_constant_levels_match_nothing(fill):
    flat = np.full((128, 900), fill, np.uint8)
    assert len(fingerprint(flat, 900).tokens) == 0
    assert matches_of(flat, flat, music(0)) == []


def test_a_short_clip_has_no_token():
    for frames in (1, 30, 96):
        print_of = fingerprint(music(0, frames), frames)
        assert len(print_of.tokens) == 0 and len(print_of.sketch) == -(-(frames - SKETCH_STEP // 2) // SKETCH_STEP)


def test_an_overlap_below_four_seconds_is_not_enough():
    whole = music(0, 1_500)
    assert matches_of(whole[:, :800], whole[:, 800 - MIN_OVERLAP_FRAMES + 24 : 1_400]) == []
    assert len(matches_of(whole[:, :800], whole[:, 800 - 2 * MIN_OVERLAP_FRAMES : 1_400])) == 1


def test_a_loop_matches_only_its_copies():
    loop = np.tile(music(0, 86), 10)
    assert matches_of(loop, music(1), music(2)) == []
    assert [(match.first, match.second) for match in matches_of(loop, music(1), loop[:, 10:])] == [(0, 2)]


@settings(max_examples=10, deadline=None)
@given(order=st.permutations(range(6)))
def test_the_pairs_do_not_depend_on_the_order_of_the_clips(order):
    whole = music(0)
    clips = [whole, music(1), whole[:, 100:], music(2), whole[:, :700], music(1)[:, 37:]]
    number = {clip: place for place, clip in enumerate(order)}
    expected = {frozenset(number[clip] for clip in pair) for pair in ((0, 2), (0, 4), (2, 4), (1, 5))}
    found = matches_of(*(clips[clip] for clip in order))
    assert {frozenset((match.first, match.second)) for match in found} == expected
    assert all(match.first < match.second for match in found)


def test_more_clips_do_not_change_the_matches_of_others():
    old = [music(seed) for seed in range(5)] + [music(3)[:, 60:]]
    before = matches_of(*old)
    assert matches_of(*old, *(music(seed) for seed in range(10, 40))) == before and len(before) == 1


def test_every_token_is_the_signs_of_a_patch_at_its_frame():
    """Each token differs from the signs of SciPy's cosine transform in at most three bits."""
    levels = music(0)
    padded = np.pad(levels.reshape(32, 4, -1).sum(axis=1).astype(float), ((0, 0), (13, 11)), mode="edge")
    smooth = np.stack([padded[:, t + 1 : t + 25].sum(axis=1) for t in range(900)], axis=1)
    tokens = fingerprint(levels, 900).tokens
    assert len(tokens) > 100
    for token, frame in tokens.tolist():
        low, high = ((0, 12), (8, 20), (16, 32))[token >> 30]
        bands = smooth[low:high] - smooth[low:high].mean(axis=0)
        waves = dctn(bands[:, frame + np.arange(-48, 49, 6)], type=2)[1:6, 1:7].ravel()
        signs = sum(1 << bit for bit, wave in enumerate(waves) if wave > 0)
        assert ((token & (1 << 30) - 1) ^ signs).bit_count() <= 3


def copies_of(clip: np.ndarray) -> Fingerprints:
    """Returns the fingerprints of a hundred copies."""
    return Fingerprints.of([fingerprint(clip, clip.shape[1])] * 100)


def test_a_hundred_copies_are_one_chain():
    """A token that a hundred clips share is compared only with its neighbours, but the matches still form one chain."""
    found = find_matches(copies_of(music(0)[:, :400]))
    reached = {0}
    for match in found:
        if match.first in reached:
            reached.add(match.second)
    assert reached == set(range(100))


# ---- between two libraries ----


def library(clips: list[np.ndarray]) -> Fingerprints:
    return Fingerprints.of([fingerprint(clip, clip.shape[1]) for clip in clips])


@settings(max_examples=10, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 6), st.integers(1, 6)), cuts=st.lists(st.integers(0, 300), min_size=6, max_size=6)
)
def test_matches_between_two_libraries_are_those_of_their_union_that_cross(sizes, cuts):
    one = [music(seed) for seed in range(sizes[0])]
    other = [music(seed % 4, 700)[:, cut:] for seed, cut in zip(range(2, 2 + sizes[1]), cuts, strict=False)]
    crossing = [match for match in matches_of(*one, *other) if match.first < len(one) <= match.second]
    expected = [dataclasses.replace(match, second=match.second - len(one)) for match in crossing]
    assert find_matches_between(library(one), library(other)) == expected


def test_every_clip_of_a_hundred_copies_is_found_from_either_side():
    one, copies = library([music(0)]), copies_of(music(0)[:, :400])
    assert {match.second for match in find_matches_between(one, copies)} == set(range(100))
    assert {match.first for match in find_matches_between(copies, one)} == set(range(100))


def test_nothing_matches_an_empty_library():
    unreadable = Fingerprint(np.zeros((0, 32), np.uint8), np.zeros((0, 2), np.uint32))
    empty, some = Fingerprints.of([unreadable]), library([music(0)])
    assert find_matches_between(empty, some) == find_matches_between(some, empty) == []


# ---- on sound ----


@pytest.fixture(scope="module")
def tracks(tmp_path_factory) -> list[np.ndarray]:
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder, 1, 12.0, 3, None)
    return [read_audio(path).waveform for path in sorted(folder.rglob("*.wav"))]


def encoded(samples: np.ndarray, folder: Path) -> np.ndarray:
    """Encodes samples as MP3 at about 64 kbit/s, and decodes them."""
    path = folder / "x.mp3"
    soundfile.write(path, samples, RATE_HZ, bitrate_mode="CONSTANT", compression_level=0.6)
    assert 50_000 < path.stat().st_size * 8 / (len(samples) / RATE_HZ) < 75_000
    return read_audio(path).waveform


def noisy(samples: np.ndarray, _: Path) -> np.ndarray:
    """Adds noise 30 dB below the music. At 20 dB below, some demo clips are missed (scripts/RESULTS.md)."""
    noise = np.random.default_rng(0).normal(size=len(samples)) * np.sqrt((samples**2).mean()) * 10 ** (-30 / 20)
    return (samples + noise).astype(np.float32)


def filtered(samples: np.ndarray, _: Path) -> np.ndarray:
    return sosfilt(butter(4, [300, 3_400], "band", fs=RATE_HZ, output="sos"), samples).astype(np.float32)


CHANGES = {
    "shifted": lambda samples, _: samples[31_234:],
    "cut": lambda samples, _: samples[31_234 : 31_234 + 7 * RATE_HZ],
    "quieter": lambda samples, _: samples * 0.05,
    "encoded": encoded,
    "noisy": noisy,
    "filtered": filtered,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_of_each_track_is_found_and_nothing_else(tracks, tmp_path, change):
    copies = [CHANGES[change](track, tmp_path) for track in tracks]
    levels = [log_mel(np.ascontiguousarray(samples)) for samples in (*tracks, *copies)]
    found = matches_of(*levels)
    assert [(match.first, match.second) for match in found] == [(number, number + 10) for number in range(10)]
    cut_seconds = 31_234 / RATE_HZ if change in ("shifted", "cut") else 0
    assert all(match.offset_seconds == pytest.approx(cut_seconds, abs=0.1) for match in found)
    assert min(match.confidence for match in found) >= MATCH_CONFIDENCE


# ---- in the store ----


@pytest.fixture
def folder(tmp_path, tracks) -> Path:
    """Two classes of three tracks each. A part of one track is in the other class."""
    for number, name in enumerate(("a/0", "a/1", "a/2", "b/3", "b/4")):
        path = tmp_path / "music" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tracks[number], RATE_HZ)
    soundfile.write(tmp_path / "music" / "b" / "part.flac", tracks[1][60_000:] * 0.3, RATE_HZ)
    return tmp_path / "music"


def test_the_store_groups_equal_recordings(folder, tmp_path):
    store = build_store(folder, list_sources(folder), tmp_path / "cache", 30.0)
    group = {row.path: row.group for row in store.rows}
    assert group["b/part.flac"] == group["a/1.wav"] == "a/1.wav"
    assert len(set(group.values())) == 5
    (match,) = store.matches
    assert [store.rows[clip].path for clip in (match.first, match.second)] == ["a/1.wav", "b/part.flac"]
    assert match.offset_seconds == pytest.approx(60_000 / RATE_HZ, abs=0.03)
    prints = [fingerprint(store.spectrogram(clip), row.frames) for clip, row in enumerate(store.rows)]
    assert find_matches(Fingerprints.of(prints)) == [match]


def test_a_store_with_more_clips_copies_known_ones_from_the_older_store(folder, tracks, tmp_path, monkeypatch):
    build_store(folder, list_sources(folder), tmp_path / "cache", 30.0)
    soundfile.write(folder / "a" / "new.wav", tracks[7], RATE_HZ)
    (folder / "a" / "0.wav").rename(folder / "b" / "moved.wav")
    alone = build_store(folder, list_sources(folder), tmp_path / "other", 30.0).folder
    read = []

    def counting(path, **settings):
        read.append(path.name)
        return read_clip(path, **settings)

    monkeypatch.setattr("genreclf.data.clip_reader.read_clip", counting)
    grown = build_store(folder, list_sources(folder), tmp_path / "cache", 30.0).folder
    assert read == ["new.wav"]
    names = sorted(path.name for path in alone.iterdir() if path.name != "lock")
    assert {name: (grown / name).read_bytes() for name in names} == {
        name: (alone / name).read_bytes() for name in names
    }


# ---- on real music ----


def test_real_pictures_match_where_they_are_identical_and_only_within_a_title(gtzan):
    with (gtzan / "clips.csv").open(newline="") as file:
        title = {row["clip"]: (row["artist"], row["title"]) for row in csv.DictReader(file)}
    paths = sorted((gtzan / "pictures").rglob("*.png"))
    levels = [read_picture(path).levels for path in paths]
    first: dict[bytes, int] = {}
    identical = {(first.setdefault(one.tobytes(), number), number) for number, one in enumerate(levels)}
    identical = {pair for pair in identical if pair[0] != pair[1]}
    found = matches_of(*levels, frames=[1_292] * len(levels))
    pairs = {(match.first, match.second) for match in found}
    assert len(identical) == 10 and identical <= pairs
    named = [tuple(paths[clip].stem for clip in pair) for pair in pairs]
    spelt_otherwise = {("metal.00042", "metal.00063"), ("jazz.00045", "jazz.00071")}  # by a space, by a letter
    assert len(pairs) > 40
    assert [pair for pair in named if title[pair[0]] != title[pair[1]] and pair not in spelt_otherwise] == []

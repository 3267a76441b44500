import dataclasses
import io
import json
from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from data_config import made_row as row
from data_config import split_config
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from genreclf.data.audit import audit, class_balance, leak_summary, pairs
from genreclf.data.audit_page import MAX_LISTED, PAIRS_DRAWN, STRIP_ROWS, WIDTH, audit_page, draw_pair
from genreclf.data.findings import FINDINGS, findings, notes
from genreclf.data.fingerprint import Fingerprints, Match, fingerprint
from genreclf.data.leaks import (
    RANDOM_SEEDS,
    SHARED,
    VERDICTS,
    Column,
    Leak,
    compared_leaks,
    has_leak,
    held_out_leaks,
    leak_line,
    leaking_clips,
    not_compared,
    random_leaks,
    shared_keys,
)
from genreclf.data.membership import Membership, membership
from genreclf.data.store import Store
from genreclf.data.table import ClipMetadata
from genreclf.evaluation.provenance import describe_leaks
from genreclf.frontend.audio import CLIPPED, TRUNCATED, UNDECODED
from genreclf.frontend.log_mel import FRAME_RATE_HZ

HASHED = split_config("hashed")
FRAMES = 1_292  # 30 s


# --- Leaks ------------------------------------------------------------------------------------------------------------

KNOWN = st.lists(
    st.tuples(
        st.sampled_from(["train", "val", "test", None]),
        st.sampled_from("abcdef"),  # the recording
        st.sampled_from(["", "Queen", " queen!", "QUEEN", "Abba", "?"]),
        st.sampled_from(["", "One", "one.", "Two", "Track 1"]),
        st.sampled_from(["", "live", "studio"]),
        st.sampled_from([30.0, 4.1, 3.9]),  # seconds
    ),
    max_size=30,
)
SAME = {"": None, "Queen": "queen", " queen!": "queen", "QUEEN": "queen", "Abba": "abba", "?": None}


def keyed(clips: list[tuple]) -> tuple[list[str | None], dict[str, Column]]:
    metadata = [ClipMetadata(artist=artist, title=title, group=group) for _, _, artist, title, group, _ in clips]
    rows = [row(group=clip[1], frames=int(clip[5] * FRAME_RATE_HZ)) for clip in clips]
    return [clip[0] for clip in clips], shared_keys(rows, metadata)


def slowly(clips: list[tuple], part: str) -> dict[str, Leak]:
    """Compares each clip of `part` with each training clip."""

    def title(clip: tuple) -> str | None:
        plain = clip[3].lower().strip(".") or None
        return None if plain == "track 1" and not SAME[clip[2]] else plain

    known = {
        "recording": lambda clip: clip[5] > 4,
        "artist": lambda clip: SAME[clip[2]],
        "title": title,
        "group": lambda clip: clip[4],
    }
    same = {
        "recording": lambda one, other: one[1] == other[1],
        "artist": lambda one, other: SAME[one[2]] and SAME[one[2]] == SAME[other[2]],
        "title": lambda one, other: SAME[one[2]] == SAME[other[2]] and title(one) and title(one) == title(other),
        "group": lambda one, other: one[4] and one[4] == other[4],
    }
    held_out, training = ([clip for clip in clips if clip[0] == name] for name in (part, "train"))
    found = {}
    for shared, is_known in known.items():
        leaking = [any(same[shared](one, other) for other in training) for one in held_out]
        of = sum(leak or bool(is_known(one)) for leak, one in zip(leaking, held_out, strict=True))
        found[shared] = Leak(sum(leaking), of, len(held_out) - of)
    return found


@given(KNOWN)
def test_leaks_are_what_a_comparison_of_all_pairs_finds(clips):
    splits, keys = keyed(clips)
    expected = {part: slowly(clips, part) for part in ("val", "test")}
    assert held_out_leaks(splits, keys) == expected
    listed = leaking_clips([str(number) for number in range(len(clips))], splits, keys)
    for part, found in expected.items():
        for shared, leak in found.items():
            assert sum(clip.split == part and shared in clip.training for clip in listed) == leak.clips
    for clip in listed:
        for shared, other in clip.training.items():
            column = keys[shared].keys
            assert column[int(clip.path)] == column[int(other)] and splits[int(other)] == "train"
    assert has_leak(expected) == any(found[s].clips for found in expected.values() for s in SHARED)


@given(KNOWN)
def test_random_splits_are_of_the_same_sizes_and_the_same_each_time(clips):
    splits, keys = keyed(clips)
    found = random_leaks(splits, keys, "test")
    assert found == random_leaks(splits, keys, "test")
    for leak in found.values():
        assert leak.of + leak.unknown == pytest.approx(splits.count("test"))
        assert leak.share is None or 0 <= leak.share <= 1


def test_random_splits_leak_at_the_rate_of_chance():
    pairs_of_clips, train = 500, 700
    splits = ["train"] * train + ["val"] * 150 + ["test"] * 150
    recordings = [str(clip // 2) for clip in range(2 * pairs_of_clips)]
    keys = {"recording": Column(recordings, [True] * len(recordings))}
    share = random_leaks(splits, keys, "test")["recording"].share
    chance = train / (2 * pairs_of_clips - 1)  # that the other of the pair is in training
    assert share == pytest.approx(chance, abs=4 * (chance * (1 - chance) / 150 / RANDOM_SEEDS) ** 0.5)


def test_published_lists_are_compared_if_the_names_are_gtzans():
    keys = shared_keys([row(group="x")] * 2, [ClipMetadata(), ClipMetadata()])
    paths = ["blues/blues.00029.wav", "blues/blues00000.png"]  # of the training and the validation list
    compared = compared_leaks(paths, ["train", "train"], keys)
    assert compared["published"]["val"]["recording"] == Leak(1, 1)
    assert "published" not in compared_leaks(["a.wav", "b.wav"], ["train", "test"], keys)


def test_the_split_that_a_data_sets_tables_publish_is_compared():
    keys = shared_keys([row(group="x")] * 2, [ClipMetadata(), ClipMetadata()])
    compared = compared_leaks(["a.wav", "b.wav"], ["train", "train"], keys, ("train", "test"))
    assert compared["published"]["test"]["recording"] == Leak(1, 1)


NONE_ABSENT = {"train": [], "val": [], "test": [], "none": []}


def test_the_line_beside_an_accuracy_names_what_is_shared():
    found = {"recording": Leak(1, 30), "artist": Leak(0, 0), "title": Leak(0, 0), "group": Leak(0, 0)}
    line = leak_line(found, "test", NONE_ABSENT)
    assert line.startswith("test clips ") and "1 of 30" in line and "artists unknown" in line and "group" not in line
    assert "not compared" not in line
    line = leak_line({**found, "artist": Leak(4, 28), "title": Leak(3, 8), "group": Leak(2, 9)}, "val", NONE_ABSENT)
    assert line.startswith("validation clips ") and all(one in line for one in ("4 of 28", "3 of 8", "2 of 9"))


def test_the_line_beside_an_accuracy_counts_and_names_what_was_not_compared():
    found = {"recording": Leak(0, 0, 5), "artist": Leak(0, 0, 5), "title": Leak(0, 0, 5), "group": Leak(0, 0, 5)}
    absent = {"train": [f"a/{n}" for n in range(20)], "val": ["b/v"], "test": [f"c/{n}" for n in range(5)], "none": []}
    line = leak_line(found, "test", absent)
    assert "0 of 0" in line and "20 training" in line and "5 test" in line and "'c/0'" in line and "b/v" not in line


@given(KNOWN)
def test_clips_under_four_seconds_are_listed_in_their_split_and_are_not_known_to_be_of_other_recordings(clips):
    rows = [row(f"a/{n}", frames=int(clip[5] * FRAME_RATE_HZ)) for n, clip in enumerate(clips)]
    split_of = {clip: one[0] for clip, one in enumerate(clips)}
    expected = [(clip[0] or "none", f"a/{n}") for n, clip in enumerate(clips) if clip[5] < 4]
    found = not_compared(rows, split_of)
    assert sorted((part, path) for part, paths in found.items() for path in paths) == sorted(expected)
    splits, keys = keyed(clips)
    for part, held_out in held_out_leaks(splits, keys).items():
        assert held_out["recording"].unknown <= len(found[part])


# --- Single clips -----------------------------------------------------------------------------------------------------

NOISE = np.random.default_rng(0).integers(0, 256, (128, FRAMES), np.uint8)


@pytest.mark.parametrize(
    ("clip", "expected"),
    [
        ({}, set()),
        ({"problem": "colours: magma"}, set()),
        ({"columns": 0, "problem": f"no; {TRUNCATED}"}, {"unreadable"}),
        ({"columns": 0, "problem": "/x/a/odd.wav: silence: no sound"}, {"silent"}),
        ({"columns": 0, "problem": "/x/a/odd.wav: test tone: the spectrum never changes"}, {"no_music"}),
        ({"columns": 0, "problem": "/x/a/odd.wav: noise: steady"}, {"no_music"}),
        ({"columns": 0, "problem": "/x/a/odd.wav: no mel spectrogram: a photo"}, {"no_spectrogram"}),
        ({"columns": 0, "problem": "/silence: x/a/odd.wav: not audio"}, {"unreadable"}),
        ({"problem": f"{TRUNCATED}: header says 30.0 s"}, {"truncated"}),
        ({"problem": f"30% of the file {UNDECODED}"}, {"truncated"}),
        ({"problem": f"{CLIPPED}: 1.2 % of the samples"}, {"clipped"}),
        ({"problem": f"{TRUNCATED}: no end page; {CLIPPED}: 2 % of the samples"}, {"truncated", "clipped"}),
        ({"frames": FRAMES // 2 - 1}, {"too_short"}),
        ({"frames": FRAMES // 2}, set()),
        ({"source_rate_hz": 16_000}, {"wrong_rate"}),
        ({"source_rate_hz": 44_100}, {"other_rate"}),
        ({"source_rate_hz": 0}, set()),
        ({"frames": 40, "source_rate_hz": 8_000}, {"too_short", "wrong_rate"}),
    ],
)
def test_each_fault_is_found_and_no_other(clip, expected):
    found = findings([row("a/1.wav"), row("a/odd.wav", **clip), row("b/2.wav"), row("b/3.wav")])
    assert tuple(found) == FINDINGS
    assert {kind for kind, clips in found.items() if clips} == expected
    for kind in expected:
        (one,) = found[kind]
        assert one.path == "a/odd.wav" and one.why


def test_the_most_frequent_notes_are_shown_once_with_the_number_of_clips():
    noted = [row(f"a/{number}.png", problem="x" * min(number, 5)) for number in range(9)]
    left_out = row("b/1.png", problem="unreadable", columns=0)
    assert notes([*noted, left_out]) == [
        "4 clips: xxxxx ('a/5.png', 'a/6.png', 'a/7.png', ...)",
        "1 clip: x ('a/1.png')",
        "1 clip: xx ('a/2.png')",
        "2 clips: other notes, see clips.csv in the store ('a/3.png', 'a/4.png')",
    ]


# --- Duplicates -------------------------------------------------------------------------------------------------------


def test_pairs_hold_matches_and_equal_files_and_the_worst_come_first():
    rows = [row(f"a/{number}.wav", digest=digest) for number, digest in enumerate("xxxyz")]
    rows += [row("b/5.wav"), row("a/6.wav", digest="u", columns=0), row("b/7.wav", digest="u", columns=0)]
    matches = [Match(0, 1, 0.99, 0.0, 29.0), Match(3, 4, 0.9, -2.5, 20.0), Match(3, 5, 0.81, 1.0, 10.0)]
    found = pairs(rows, matches, {0: "train", 1: "train", 2: "train", 3: "train", 4: "test", 5: None})
    assert [(pair.first[2], pair.second[2]) for pair in found] == [("3", "4"), ("3", "5"), ("0", "2"), ("0", "1")]
    assert [pair.divided for pair in found] == [True, False, False, False]
    assert [pair.same_bytes for pair in found] == [False, False, True, True]
    assert [pair.offset_seconds for pair in found] == [-2.5, 1.0, 0.0, 0.0]
    assert found[1].classes == ("a", "b") and found[1].splits == ("train", None)


@given(st.integers(-1_000, 1_000), st.integers(200, 2_000), st.integers(200, 2_000))
def test_two_clips_of_one_recording_are_drawn_one_above_the_other(offset, first_frames, second_frames):
    recording = np.random.default_rng(0).integers(0, 256, (128, 5_000), np.uint8)
    first = recording[:, 1_500 : 1_500 + first_frames]
    second = recording[:, 1_500 + offset : 1_500 + offset + second_frames]
    drawn = draw_pair(first, first_frames, second, second_frames, offset / FRAME_RATE_HZ)
    with Image.open(io.BytesIO(drawn.png)) as image:
        picture = np.asarray(image)
    upper, lower = picture[:STRIP_ROWS], picture[STRIP_ROWS + 8 : 2 * STRIP_ROWS + 8]
    bar = picture[STRIP_ROWS + 3]
    there = [(strip != 254).any(axis=0) for strip in (upper, lower)]
    np.testing.assert_array_equal(bar == 255, there[0] & there[1])
    begin, end = min(0, offset), max(first_frames, offset + second_frames)
    for columns, frames in zip(there, (first_frames, second_frames), strict=True):
        assert columns.sum() == pytest.approx(frames / (end - begin) * WIDTH, abs=1.01)
    shared = max(0, min(first_frames, offset + second_frames) - max(0, offset))
    assert (bar == 255).sum() == pytest.approx(shared / (end - begin) * WIDTH, abs=1.01)
    # Rounding may move a column's border by a frame.
    equal = (upper == lower).all(axis=0)[bar == 255]
    assert equal.mean() > 0.98 if len(equal) > 50 else True
    assert any(at == 0 for _, at in drawn.ticks) and 2 <= len(drawn.ticks) <= 7
    assert all(0 <= place <= 1 for place, _ in drawn.ticks)


def test_a_drawn_clip_has_its_high_bands_on_top():
    low = np.zeros((128, 300), np.uint8)
    low[:20] = 255
    with Image.open(io.BytesIO(draw_pair(low, 300, low, 300, 0.0).png)) as image:
        picture = np.asarray(image)
    for top in (0, STRIP_ROWS + 8):
        assert (picture[top : top + STRIP_ROWS - 10] == 0).all()
        assert (picture[top + STRIP_ROWS - 10 : top + STRIP_ROWS] == 253).all()


# --- The verdict ------------------------------------------------------------------------------------------------------


def of_data(store: Store, member: Membership) -> Any:
    """The part of a datamodule that `describe_leaks` reads."""
    return SimpleNamespace(store=store, membership=member)


@pytest.mark.parametrize(
    ("short", "groups", "verdict"),
    [
        ((), False, "none found"),
        (("train", "val", "test"), False, "unknown"),
        (("train",), False, "unknown"),
        (("val", "test"), False, "unknown"),
        (("train", "val", "test"), True, "none found so far"),
        (("test0",), False, "none found so far"),
        (("test",), False, "none found so far"),
    ],
)
def test_what_was_not_compared_is_not_called_clean(tmp_path, short, groups, verdict):
    """`short` are words in the names of clips of 3.9 s. The other clips have 30 s."""
    names = [f"{label}/{part}{number}.wav" for label in "ab" for part in ("train", "val", "test") for number in (0, 1)]
    lengths = [3.9 if any(word in name for word in short) else 30.0 for name in names]
    rows = [row(name, frames=int(length * FRAME_RATE_HZ)) for name, length in zip(names, lengths, strict=True)]
    member = Membership(
        clips=tuple(range(len(rows))),
        splits=tuple(name[2:-5] for name in names),
        groups=tuple(names),
        metadata=tuple(ClipMetadata(group=name if groups else "") for name in names),
        genres=tuple((name[0],) for name in names),
        conflicts=(),
        refusals=(),
    )
    prints = Fingerprints.of([fingerprint(NOISE, FRAMES)])
    store = Store(tmp_path, tuple(rows), NOISE.T, prints, (), "digest")
    found = audit(store, member)
    assert found.verdict == found.summary()["verdict"] == verdict and verdict in VERDICTS
    pieces = dataclasses.replace(member, wholes=("song",) * len(names))
    divided = audit(store, pieces)
    assert divided.verdict == "unknown" and divided.divided_pieces == [name for name in names if "train" not in name]
    # An evaluation has the same verdict, here on the test clips alone.
    of_test = describe_leaks(of_data(store, pieces), "test")
    listed = [name for name in names if "test" in name]
    assert of_test["audit_verdict"] == "unknown" and f"{len(listed)} held-out clips" in of_test["audit"]
    assert listed[0] in of_test["audit"] and "data.group=stem" in of_test["audit"]
    alone = "unknown" if short == ("test",) else verdict  # no test clip could be compared
    assert describe_leaks(of_data(store, member), "test")["audit_verdict"] == alone


# --- A whole store ----------------------------------------------------------------------------------------------------


def test_the_audit_of_a_store_agrees_with_its_table(tiny_data, tiny_store):
    member = membership(tiny_store.rows, tiny_data, HASHED)
    found = audit(tiny_store, member)
    assert [one.path for one in found.findings["unreadable"]] == ["tone/broken.wav"]
    assert ("noise/again.wav", "noise/noise.00000.wav") in {(pair.first, pair.second) for pair in found.pairs}
    assert all(set(group) <= {one.path for one in tiny_store.rows} for group in found.duplicate_groups)
    assert not found.chosen_leaks and not found.leaking and not found.refusals
    counts = sum(map(Counter, found.classes.values()), Counter())
    assert counts.total() == found.clips == len(tiny_store.rows) and counts["left_out"] == 1
    assert counts == Counter(member.splits) + Counter(left_out=1)
    plain = json.loads(json.dumps(found.plain()))
    fields = {field.name for field in dataclasses.fields(found)}
    assert set(plain) == {"summary", *fields} - {"clips", "leaks"}
    assert [one["path"] for one in plain["findings"]["unreadable"]] == ["tone/broken.wav"]
    assert plain["summary"]["not_compared"] == {part: len(paths) for part, paths in found.not_compared.items()}
    assert sum(plain["summary"]["not_compared"].values()) > 0


def test_the_summary_of_a_training_has_the_audits_counts_but_compares_no_other_split(tiny_data, tiny_store):
    member = membership(tiny_store.rows, tiny_data, HASHED)
    full, short = audit(tiny_store, member).summary(), leak_summary(tiny_store, member)
    assert set(short["leaks"]) == {"chosen"} and {"chosen", "random"} <= set(full["leaks"])
    named = short.pop("not_compared_clips")
    assert short == {**full, "leaks": {"chosen": full["leaks"]["chosen"]}}
    assert {part: len(paths) for part, paths in named.items()} == full["not_compared"]
    json.dumps(short)


def test_every_clip_is_counted_in_its_class_once():
    rows = [row("a/0.wav"), row("a/1.wav"), row("b/2.wav"), row("b/3.wav", columns=0)]
    assert class_balance(rows, {0: "train", 1: "test", 2: None}) == {
        "a": {"train": 1, "val": 0, "test": 1, "none": 0, "left_out": 0},
        "b": {"train": 0, "val": 0, "test": 0, "none": 1, "left_out": 1},
    }


def test_the_page_draws_some_pairs_lists_some_and_counts_the_rest(tiny_data, tiny_store):
    found = audit(tiny_store, membership(tiny_store.rows, tiny_data, HASHED))
    again = next(pair for pair in found.pairs if pair.first == "noise/again.wav")
    many = dataclasses.replace(found, pairs=[again] * (PAIRS_DRAWN + MAX_LISTED + 7))
    about = {"name": "tiny", "path": "a <b>\n", "table": "", "split": "hashed"}
    text = audit_page(many, tiny_store, about)
    assert text.count("<img ") == PAIRS_DRAWN and f"Pairs not drawn: {MAX_LISTED + 7}" in text
    assert text.count('<li><span class="path">noise/again.wav</span> <span class="quiet">(noise, ') == MAX_LISTED
    assert "7 more are in audit.json." in text
    absent = [path for part in ("train", "val", "test") for path in found.not_compared[part]]
    assert f"{len(absent)} clips of the split" in text and all(path in text for path in absent)
    assert r"a &lt;b&gt;\n" in text and "a <b>" not in text

import hashlib
import json
import math
import os
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from data_config import split_config
from hypothesis import assume, given
from hypothesis import strategies as st
from torchaudio.datasets import gtzan

from genreclf.data.clip_name import gtzan_name
from genreclf.data.gtzan_lists import published, published_missing
from genreclf.data.split import SPLITS, SplitConfig, assign, rank_in_class
from genreclf.data.split_refusals import divided_groups, refusals
from genreclf.errors import GenreclfError

ROOT = Path(__file__).resolve().parents[2]


NAMES = ("hashed", "folds", "published", "table", "folders", "all")
HASHED, FOLDS, PUBLISHED, TABLE, FOLDERS, ALL = map(split_config, NAMES)
SHARES = (0.7, 0.15, 0.15)

# A clip: its class, its content and its group.
Clip = tuple[str, str, str]


def digest(content: object) -> str:
    return hashlib.sha256(str(content).encode()).hexdigest()


def split(config: SplitConfig, clips: list[Clip], names: list[str] | None = None) -> list[str | None]:
    labels, digests, groups = ([clip[i] for clip in clips] for i in range(3))
    return assign(config, names or digests, labels, digests, groups, [""] * len(labels))


def singletons(count: int, label: str = "rock", start: int = 0) -> list[Clip]:
    return [(label, digest((label, i)), digest((label, i))) for i in range(start, start + count)]


@st.composite
def clips_in_groups(draw, label: st.SearchStrategy[str] = st.sampled_from(["blues", "jazz", "rock"])) -> list[Clip]:  # noqa: B008
    """Different clips in groups of 1 to 5. A group may contain several classes."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=30))
    return [(draw(label), digest((g, i)), f"group {g}") for g, size in enumerate(sizes) for i in range(size)]


one_class = clips_in_groups(st.just("rock"))
splits_by_hash = st.builds(
    lambda config, salt: replace(config, salt=salt),
    st.sampled_from([HASHED, *(replace(FOLDS, fold=fold) for fold in range(5))]),
    st.sampled_from(["genreclf", "another", ""]),
)


def test_the_default_shares():
    assert (HASHED.name, HASHED.shares) == ("hashed", SHARES)


# --- Same content, same split -----------------------------------------------------------------------------------------


@given(clips_in_groups(), splits_by_hash, st.randoms(use_true_random=False))
def test_neither_order_nor_names_nor_the_names_of_groups_matter(clips, config, rng):
    before = {clip[1]: where for clip, where in zip(clips, split(config, clips), strict=True)}
    groups = sorted({group for _, _, group in clips})
    renamed = dict(zip(groups, rng.sample([f"renamed {i}" for i in range(len(groups))], len(groups)), strict=True))
    shuffled = [(label, content, renamed[group]) for label, content, group in clips]
    rng.shuffle(shuffled)
    after = split(config, shuffled, names=[f"/elsewhere/{rng.randrange(9)}.mp3" for _ in shuffled])
    assert {clip[1]: where for clip, where in zip(shuffled, after, strict=True)} == before


PROGRAM = """
import json, sys
from genreclf.data.split import SplitConfig, assign
clips, configs = json.load(sys.stdin)
labels, digests, groups = zip(*clips)
print(json.dumps([assign(SplitConfig(**config), digests, labels, digests, groups, labels) for config in configs]))
"""


def test_the_hash_seed_of_python_does_not_matter():
    rng = random.Random(0)
    clips = [(rng.choice("abc"), digest(i), f"group {rng.randrange(40)}") for i in range(90)]
    configs = [HASHED, FOLDS]
    stdin = json.dumps([clips, [vars(config) for config in configs]])
    expected = [split(config, clips) for config in configs]
    for seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        out = subprocess.run(
            [sys.executable, "-c", PROGRAM], input=stdin, capture_output=True, text=True, check=True, env=environment
        )
        assert json.loads(out.stdout) == expected


def test_the_assignment_of_known_content_never_changes():
    """Published results depend on it: clips are ranked by the SHA-256 of "genreclf", a zero byte and the content."""
    clips = singletons(20)
    ranked = sorted(clips, key=lambda clip: hashlib.sha256(b"genreclf\0" + clip[1].encode()).hexdigest())
    found = dict(zip(clips, split(HASHED, clips), strict=True))
    assert [found[clip] for clip in ranked] == ["train"] * 14 + ["val"] * 3 + ["test"] * 3


def test_the_salt_changes_the_split():
    clips = singletons(200)
    others = [split(replace(HASHED, salt=salt), clips) for salt in ("one", "two", "three")]
    for other in others:
        same = sum(a == b for a, b in zip(split(HASHED, clips), other, strict=True))
        assert same == pytest.approx(200 * sum(share**2 for share in SHARES), abs=30)  # as by chance


# --- Groups and shares ------------------------------------------------------------------------------------------------


@given(clips_in_groups(), splits_by_hash)
def test_groups_are_never_parted(clips, config):
    where = defaultdict(set)
    for (_, _, group), place in zip(clips, split(config, clips), strict=True):
        where[group].add(place)
    assert all(len(places) == 1 for places in where.values())


@given(st.integers(1, 300), st.sampled_from([SHARES, (0.5, 0.25, 0.25), (0.8, 0.1, 0.1), (1 / 3, 1 / 3, 1 / 3)]))
def test_shares_are_exact_within_a_clip(count, shares):
    found = Counter(split(replace(HASHED, shares=shares), singletons(count)))
    for name, share in zip(SPLITS, shares, strict=True):
        assert abs(found[name] - share * count) <= 1
    assert abs(found["train"] - shares[0] * count) <= 0.5 + 1e-6
    assert abs(found["test"] - shares[2] * count) <= 0.5 + 1e-6


def test_each_class_has_its_own_shares():
    clips = singletons(100, "blues") + singletons(40, "jazz") + singletons(60, "rock")
    found = Counter(zip((clip[0] for clip in clips), split(HASHED, clips), strict=True))
    assert found == {
        ("blues", "train"): 70, ("blues", "val"): 15, ("blues", "test"): 15,
        ("jazz", "train"): 28, ("jazz", "val"): 6, ("jazz", "test"): 6,
        ("rock", "train"): 42, ("rock", "val"): 9, ("rock", "test"): 9,
    }  # fmt: skip


def ranked_groups(clips: list[Clip], salt: str) -> list[list[Clip]]:
    """Returns the groups of one class: those with more than 15 % of it, then the others, each by a content hash."""
    members = defaultdict(list)
    for clip in clips:
        members[clip[2]].append(clip)
    key = {g: hashlib.sha256(f"{salt}\0{min(c[1] for c in cs)}".encode()).hexdigest() for g, cs in members.items()}
    return [members[group] for group in sorted(members, key=lambda group: (group not in large(clips), key[group]))]


def large(clips: list[Clip]) -> set[str]:
    return {group for group, size in Counter(clip[2] for clip in clips).items() if size > 0.15 * len(clips)}


@given(one_class, st.sampled_from(["genreclf", "a", "b"]))
def test_no_other_border_between_groups_is_nearer_to_a_cut(clips, salt):
    config = replace(HASHED, salt=salt)
    found = dict(zip(clips, split(config, clips), strict=True))
    borders, end = [0], 0
    for group in ranked_groups(clips, salt):
        borders.append(end := end + len(group))
    count = Counter(found.values())
    for cut, wanted in ((count["train"], 0.7), (count["train"] + count["val"], 0.85)):
        assert cut in borders
        assert abs(cut - wanted * end) <= min(abs(border - wanted * end) for border in borders) + 1e-6
    # Everything on one side of a cut ranks before everything on the other side.
    order = [SPLITS.index(found[group[0]]) for group in ranked_groups(clips, salt)]
    assert order == sorted(order)


def test_a_group_over_two_classes_counts_in_its_most_frequent_one():
    """metal.00058 is rock.00016: a tie goes to metal, the first by name, and the shares of rock stay exact."""
    clips = [*singletons(19, "metal"), ("metal", "x", "both"), ("rock", "x", "both"), *singletons(20, "rock")]
    found = split(HASHED, clips)
    assert found[19] == found[20]
    rock_alone = [where for clip, where in zip(clips, found, strict=True) if clip[0] == "rock" and clip[2] != "both"]
    assert Counter(rock_alone) == {"train": 14, "val": 3, "test": 3}


@given(st.integers(1, 200), st.integers(0, 10_000), splits_by_hash)
def test_one_clip_more_moves_two_others_at_most(count, extra, config):
    """One clip at each of the two cuts moves; with k folds one at each of k - 1, and each can change two splits."""
    clips = singletons(count)
    added = [*clips, *singletons(1, start=1_000 + extra)]
    before, after = split(config, clips), split(config, added)[:-1]
    moved = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(moved) <= (2 if config.name == "hashed" else config.folds - 1)


@given(clips_in_groups(), clips_in_groups(), splits_by_hash)
def test_clips_of_other_classes_move_nothing(clips, others, config):
    others = [(f"other {label}", digest(("other", content)), f"other {group}") for label, content, group in others]
    assert split(config, clips + others)[: len(clips)] == split(config, clips)


@given(one_class, st.integers(1, 4))
def test_adding_a_group_moves_only_clips_at_the_cuts(clips, size):
    """In order of rank, the clips that changed lie between the old cut and the new one, without others among them."""
    added = [*clips, *(("rock", digest(("new", i)), "new") for i in range(size))]
    assume(large(added) - {"new"} == large(clips))  # a group that is no longer large is ranked among the others
    before = dict(zip(clips, split(HASHED, clips), strict=True))
    after = dict(zip(added, split(HASHED, added), strict=True))
    ranked = [clip for group in ranked_groups(clips, HASHED.salt) for clip in group]
    largest = max(Counter(clip[2] for clip in added).values())
    for cut in (0, 1):
        old, new = ([SPLITS.index(where[clip]) > cut for clip in ranked] for where in (before, after))
        assert sum(a != b for a, b in zip(old, new, strict=True)) <= size + largest
        assert new == sorted(new)


def test_a_large_group_leaves_the_test_to_others():
    """Whatever its hash: an artist with a third of a class would fill the class's test set, or leave it empty."""
    for number in range(30):
        clips = [*(("pop", digest((number, i)), "star") for i in range(10)), *singletons(20, "pop")]
        found = split(HASHED, clips)
        assert set(found[:10]) == {"train"}
        assert Counter(found[10:])["test"] in (4, 5) and Counter(found[10:])["val"] in (4, 5)


# --- Folds ------------------------------------------------------------------------------------------------------------


@given(clips_in_groups(), st.integers(3, 10))
def test_each_clip_is_test_in_one_fold_and_val_in_one(clips, folds):
    runs = [split(replace(FOLDS, folds=folds, fold=fold), clips) for fold in range(folds)]
    for found in zip(*runs, strict=True):
        assert Counter(found) == {"test": 1, "val": 1, "train": folds - 2}
        assert found[(found.index("test") - 1) % folds] == "val"  # what is val in fold f is test in fold f + 1


@given(st.integers(1, 200), st.integers(3, 10))
def test_folds_are_equal_within_a_clip(count, folds):
    sizes = [Counter(split(replace(FOLDS, folds=folds, fold=fold), singletons(count)))["test"] for fold in range(folds)]
    assert max(sizes) - min(sizes) <= 1
    assert sum(sizes) == count


def test_ranks_are_midpoints_inside_the_class():
    clips = [*singletons(3), ("rock", "z", "pair"), ("rock", "y", "pair"), *singletons(1, "jazz")]
    rank = rank_in_class(*([clip[i] for clip in clips] for i in range(3)), salt="", smallest=1.0)
    assert rank[3] == rank[4]
    assert rank[5] == 0.5
    ends = sorted([(place, 1) for place in rank[:3]] + [(rank[3], 2)])
    start = 0
    for place, size in ends:
        assert place == pytest.approx((start + size / 2) / 5)
        start += size


# --- Published lists --------------------------------------------------------------------------------------------------


def all_gtzan() -> list[str]:
    return [f"{genre}.{number:05d}" for genre in gtzan.gtzan_genres for number in range(100)]


def test_published_lists_have_their_known_sizes():
    found = Counter(published(all_gtzan()))
    assert found == {"train": 443, "val": 197, "test": 290, None: 70}


@pytest.mark.parametrize(
    "spelling",
    [
        "{genre}.{number}.wav",
        "{genre}{number}.png",
        "{genre}.{number}",
        "{genre}{number}.JPG",
        "{genre}.{number}.au",
        "/data/genres/{genre}/{genre}.{number}.flac",
        "C:\\music\\{genre}\\{genre}{number}.mp3",
    ],
)
def test_published_lists_know_the_usual_spellings(spelling):
    names = [spelling.format(genre=name[:-6], number=name[-5:]) for name in all_gtzan()]
    assert published(names) == published(all_gtzan())
    assert {gtzan_name(name) for name in names} == set(all_gtzan())


def test_clips_on_no_list_are_left_out():
    unlisted = ["mine.wav", "blues.00000.backup.wav", "blues.000001.wav", "xblues.00029x.wav", "polka.00000.wav"]
    names = ["blues.00029.wav", *unlisted, "blues00000.png"]
    clips = [("blues", digest(i), digest(i)) for i in range(len(names))]
    assert split(PUBLISHED, clips, names) == ["train", None, None, None, None, None, "val"]


def test_lists_that_know_no_clip_are_refused():
    with pytest.raises(GenreclfError, match=r"^split=published: .*a/x\.wav.*; use split=hashed"):
        published(["a/x.wav", "b/y.wav"])


# --- Folds of a table -------------------------------------------------------------------------------------------------


def given_folds(folds: list[str], fold: int) -> list[str | None]:
    clips = singletons(len(folds))
    labels, digests, groups = ([clip[i] for clip in clips] for i in range(3))
    return assign(replace(TABLE, fold=fold), digests, labels, digests, groups, folds)


def test_the_tables_folds_are_taken_in_the_order_of_their_numbers():
    folds = ["10", "2", "1", "", "3", "2"]
    assert given_folds(folds, 0) == ["train", "val", "test", None, "train", "val"]
    assert given_folds(folds, 3) == ["test", "train", "val", None, "train", "train"]
    assert given_folds(["10.0", "2.0", "1.0"], 2) == ["test", "train", "val"]
    assert given_folds(["fold10", "fold2", "fold1"], 2) == ["test", "train", "val"]
    assert given_folds(["b", "a", "c", "a"], 1) == ["test", "train", "val", "train"]


@given(st.lists(st.sampled_from(["", "1", "2", "3", "4"]), min_size=4))
def test_each_clip_with_a_fold_is_tested_once(folds):
    known = len(set(folds) - {""})
    assume(known >= 3)
    tested = [[split == "test" for split in given_folds(folds, fold)] for fold in range(known)]
    assert [sum(times) for times in zip(*tested, strict=True)] == [int(bool(name)) for name in folds]


@pytest.mark.parametrize(
    ("folds", "fold"), [(["", ""], 0), (["1", "2"], 0), (["1", "2", "3"], 3), (["1", "2", "3"], -1)]
)
def test_a_table_without_the_fold_is_refused(folds, fold):
    known = len(set(folds) - {""})
    message = r"^split\.fold=-1: .*more" if fold < 0 else rf"column fold .* {known} folds; give .*split\.fold={fold}"
    with pytest.raises(GenreclfError, match=message):
        given_folds(folds, fold)


@pytest.mark.parametrize(
    "words", [("train", "val", "test"), ("Training", "VALID", "testing"), ("train set", "validation", "Test-Set")]
)
def test_folds_named_as_splits_are_these_splits(words):
    train, val, test = words
    assert given_folds([val, train, "", test, train], 0) == ["val", "train", None, "test", "train"]
    without = assign(replace(TABLE, validation=False), *[["a", "b"]] * 4, [train, val])
    assert without == ["train", "train"]
    with pytest.raises(GenreclfError, match=r"remove split\.fold=1$"):
        given_folds([val, train, test], 1)


def test_splits_and_folds_in_one_column_are_refused():
    with pytest.raises(GenreclfError, match=r"'1', '2', 'test'; name either"):
        given_folds(["1", "2", "test"], 0)


# --- Folders of a split -----------------------------------------------------------------------------------------------


def test_the_top_folders_are_the_split():
    paths = ["train/rock/x.wav", "Validation/rock/y.wav", "test/rock/z.wav", "more/rock/w.wav", "train.wav"]
    clips = [("rock", digest(path), digest(path)) for path in paths]
    assert split(FOLDERS, clips, paths) == ["train", "val", "test", None, None]
    assert split(FOLDERS, clips[:2], ["rock/train/x.wav", "jazz/test/y.wav"]) == ["train", "test"]
    with pytest.raises(GenreclfError, match=r"^split=folders: no clip .*rock/train\.wav"):
        split(FOLDERS, clips[:1], ["rock/train.wav"])


# --- Declared groups in a table's folds -------------------------------------------------------------------------------


def test_a_group_in_two_folds_is_named_with_two_of_its_clips():
    paths, groups = ["a/1.wav", "a/2.wav", "a/3.wav", "a/4.wav", "b/5.wav"], ["live", "", "live", "live", "demo"]
    (reason,) = divided_groups("table", paths, groups, ["1", "2", "2", "3", "1"])
    for word in ("split=table", "'live'", "'a/1.wav'", "'1'", "'a/3.wav'", "'2'", "split=hashed"):
        assert word in reason
    assert divided_groups("table", paths, groups, ["1", "2", "1", "", "2"]) == []


@given(st.lists(st.tuples(st.sampled_from(["", "x", "y", "z"]), st.sampled_from(["", "1", "2"])), max_size=12))
def test_each_divided_group_is_named_once(clips):
    groups, folds = [group for group, _ in clips], [fold for _, fold in clips]
    folds_of = {group: {fold for other, fold in clips if other == group and fold} for group in groups if group}
    divided = {group for group, names in folds_of.items() if len(names) > 1}
    reasons = divided_groups("table", [f"{i}.wav" for i in range(len(clips))], groups, folds)
    assert len(reasons) == len(divided) and all(any(repr(group) in one for one in reasons) for group in divided)


# --- Mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shares",
    [(), (1.0,), (0.7, 0.3), (0.7, 0.3, 0.0), (1.2, -0.1, -0.1), (0.7, 0.15, 0.2), (0.7, 0.2, math.nan), (0.25,) * 4],
)
def test_shares_that_make_no_split_are_refused(shares):
    with pytest.raises(GenreclfError, match=r"^split\.shares=\[.*\]: give three positive shares"):
        replace(HASHED, shares=shares)


@pytest.mark.parametrize(("fold", "folds"), [(5, 5), (-1, 5), (0, 2), (0, 0), (1, -3)])
def test_folds_that_do_not_exist_are_refused(fold, folds):
    with pytest.raises(GenreclfError, match=rf"^split\.fold={fold}(, split\.folds={folds}: need|: give 0 or more)"):
        replace(FOLDS, fold=fold, folds=folds)


def test_an_unknown_name_is_refused():
    with pytest.raises(GenreclfError, match=r"^split\.name=random: .*hashed, .*, all$"):
        replace(HASHED, name="random")


@pytest.mark.parametrize(
    ("config", "key", "value"),
    [
        *((FOLDS, "shares", SHARES), (HASHED, "folds", 5), (HASHED, "fold", 0), (PUBLISHED, "salt", "genreclf")),
        *((TABLE, "folds", 5), (ALL, "validation", False), (HASHED, "shares", None), (FOLDS, "folds", None)),
        *((TABLE, "fold", None), (PUBLISHED, "validation", None)),
    ],
)
def test_a_key_that_is_missing_or_does_not_act_is_refused(config, key, value):
    fault = "missing; add it" if value is None else f".*split={config.name}; remove it"
    with pytest.raises(GenreclfError, match=rf"^split\.{key}: {fault}$"):
        replace(config, **{key: value})


def test_missing_clips_of_the_lists_are_named():
    here = ["blues/blues00029.png", "x/rock.00010.au", "disco.99999.wav", *gtzan.filtered_valid[1:]]
    missing = published_missing(here)
    assert missing["val"] == gtzan.filtered_valid[:1]
    assert len(missing["train"]) + len(missing["test"]) == 443 + 290 - len(
        {"blues.00029", "rock.00010"} & {*gtzan.filtered_train, *gtzan.filtered_test}
    )
    assert published_missing([*gtzan.filtered_train, *gtzan.filtered_valid, *gtzan.filtered_test]) == {
        name: [] for name in SPLITS
    }


def test_a_refusal_names_the_class_and_what_it_lacks():
    labels = ["jazz"] * 3 + ["rock"] * 2
    whole = ["train", "val", "test", "train", "val"]
    assert refusals(PUBLISHED, whole, labels, list("abcde")) == []
    (reason,) = refusals(HASHED, whole, labels, list("abcde"))
    assert re.search(
        r"in 1 of 2 classes: 'rock' \(2 clips, none in test\); .*split\.shares.*data\.rare_classes=drop", reason
    )
    (reason,) = refusals(PUBLISHED, ["val", "val", None, "train", "val"], labels, list("abcde"))
    assert "'jazz' (3 clips, none in train)" in reason and "split.shares" not in reason
    (reason,) = refusals(PUBLISHED, ["val", "val", None, "train", "val"], labels, list("aabcd"))
    assert "'jazz' (3 clips in 2 groups, none in train)" in reason


def test_all_classes_that_are_too_small_are_in_one_line():
    clips = [
        clip
        for label, count in (("jazz", 20), ("polka", 2), ("rock", 20), ("ska", 2))
        for clip in singletons(count, label)
    ]
    labels = [clip[0] for clip in clips]
    (reason,) = refusals(HASHED, split(HASHED, clips), labels, [clip[2] for clip in clips])
    assert "in 2 of 4 classes: 'polka' (2 clips, none in " in reason and "'ska' (2 clips, none in " in reason


@pytest.mark.parametrize("config", [PUBLISHED, FOLDERS])
def test_a_split_without_validation_clips_names_the_remedy(config):
    labels = ["jazz", "rock", "jazz", "rock"]
    (reason,) = refusals(config, ["train", "train", "test", "test"], labels, list("abcd"))
    assert "is in val" in reason and "split.validation=false temperature=NUMBER" in reason
    assert refusals(replace(config, validation=False), ["train", "train", "test", "test"], labels, list("abcd")) == []
    assert refusals(config, ["train", "train", "val", "val"], labels, list("abcd")) == []  # tests may be withheld


@pytest.mark.parametrize(("labels", "left"), [([], "none"), (["jazz"] * 3, "jazz")])
def test_fewer_than_two_classes_are_refused(labels, left):
    (reason,) = refusals(HASHED, ["train", "val", "test"][: len(labels)], labels, list("abc")[: len(labels)])
    assert reason.startswith("fewer than two classes ") and f"({left}); add clips of other genres" in reason


@given(st.integers(1, 60))
def test_five_clips_are_enough_for_a_class(clips):
    one = split(HASHED, singletons(clips))
    reasons = refusals(HASHED, one + one, ["rock"] * clips + ["jazz"] * clips, list(map(str, range(2 * clips))))
    assert len(reasons) == (clips < 5)
    assert all("2 of 2 classes: 'jazz' (" in reason and "'rock' (" in reason for reason in reasons)

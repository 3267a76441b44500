from dataclasses import replace
from pathlib import Path

import pytest
from data_config import data_config
from omegaconf import OmegaConf

from genreclf.config import build, config_folder
from genreclf.data.leaks import has_leak, held_out_leaks, shared_keys
from genreclf.data.membership import Membership, membership
from genreclf.data.split import SplitConfig
from genreclf.data.store import Row

# On GTZAN's lists 29 to 32 are training clips of the blues, 0 and 1 validation, 12 and 13 test clips.
NUMBERS = (29, 30, 31, 32, 0, 1, 12, 13)
NAMES = [f"{genre}.{number:05d}" for genre in ("blues", "rock") for number in NUMBERS]
SPLITS = ("hashed", "folds", "published", "table", "all")


def load(name: str) -> SplitConfig:
    path = config_folder() / "split" / f"{name}.yaml"
    return build(SplitConfig, OmegaConf.to_container(OmegaConf.load(path)), "split")


def row(name: str, recording: str = "") -> Row:
    path = f"{name.split('.')[0]}/{name}.wav"
    sizes = {"columns": 900, "frames": 900, "offset": 0, "first_sound": 0, "sound_columns": 900, "sound_frames": 900}
    source = {"steps": 9, "tokens": 9, "source_rate_hz": 22_050, "source_seconds": 21.0, "digest": name}
    return Row(path=path, label=name.split(".")[0], group=recording or path, problem="", **sizes, **source)


ROWS = [row(name) for name in NAMES]


def assigned(split: str, tmp_path: Path, cells: dict[str, str], columns: str, rows: list[Row] = ROWS) -> Membership:
    """The membership by `split` with a table: `cells` by clip; a clip without them has commas only, and a fold."""
    table = tmp_path / "clips.csv"
    empty = "," * columns.count(",")
    lines = [f"{name},{cells.get(name, empty)},{number % 5}" for number, name in enumerate(NAMES)]
    table.write_text("\n".join([f"clip,{columns},fold", *lines]))
    data = data_config(path=tmp_path, cache=tmp_path, table=table)
    return membership(rows, data, load(split))


def leaks(member: Membership, rows: list[Row] = ROWS) -> bool:
    keys = shared_keys([rows[clip] for clip in member.clips], member.metadata)
    return has_leak(held_out_leaks(member.splits, keys))


def splits_of(member: Membership, *names: str) -> set[str | None]:
    return {member.splits[NAMES.index(name)] for name in names}


# A training, a validation and a test clip of the published lists, and three folds of the table.
TOGETHER = ("blues.00029", "blues.00000", "blues.00012")


@pytest.mark.parametrize("column", ["artist", "group"])
@pytest.mark.parametrize("split", ["hashed", "folds", "all"])
def test_splits_of_this_package_keep_what_a_table_declares_together(tmp_path, split, column):
    member = assigned(split, tmp_path, dict.fromkeys(TOGETHER, "The Band"), column)
    assert len(splits_of(member, *TOGETHER)) == 1 and not leaks(member)


@pytest.mark.parametrize("split", ["hashed", "folds", "all"])
def test_splits_of_this_package_keep_equal_recordings_together(tmp_path, split):
    rows = [row(name, "one recording" if name in TOGETHER else "") for name in NAMES]
    member = assigned(split, tmp_path, {}, "artist", rows)
    assert len(splits_of(member, *TOGETHER)) == 1 and not leaks(member, rows)


@pytest.mark.parametrize("column", ["artist", "group"])
@pytest.mark.parametrize("split", ["published", "table"])
def test_in_splits_made_by_others_a_divided_artist_or_group_is_a_leak(tmp_path, split, column):
    assert not leaks(assigned(split, tmp_path, {}, column))
    member = assigned(split, tmp_path, dict.fromkeys(TOGETHER, "The Band"), column)
    assert len(splits_of(member, *TOGETHER)) > 1 and leaks(member)


@pytest.mark.parametrize("split", ["published", "table"])
def test_in_splits_made_by_others_a_divided_recording_is_a_leak(tmp_path, split):
    rows = [row(name, "one recording" if name in TOGETHER else "") for name in NAMES]
    assert leaks(assigned(split, tmp_path, {}, "artist", rows), rows)


@pytest.mark.parametrize("split", SPLITS)
def test_a_declared_group_is_kept_together_or_the_split_is_refused(tmp_path, split):
    def refused(column: str) -> list[str]:
        return [
            one for one in assigned(split, tmp_path, dict.fromkeys(TOGETHER, "live"), column).refusals if "live" in one
        ]

    assert refused("artist") == []
    reasons = refused("group")
    assert len(reasons) == (split in ("table", "published"))
    for reason in reasons:
        assert "'blues/blues.00029.wav'" in reason and f"split={split}" in reason


def test_two_training_folds_that_divide_a_group_are_refused_too(tmp_path):
    """They are training and test of another run."""
    pair = [NAMES[2], NAMES[8]]  # folds 2 and 3: training, as 0 is test and 1 validation
    member = assigned("table", tmp_path, dict.fromkeys(pair, "live"), "group")
    assert splits_of(member, *pair) == {"train"} and "'live'" in member.refusals[0]


def test_unreadable_and_conflicting_clips_are_left_out(tmp_path):
    rows = [replace(ROWS[0], columns=0), *ROWS[1:]]
    rows[1], rows[9] = replace(rows[1], group="same"), replace(rows[9], group="same")  # blues and rock
    data = data_config(path=tmp_path, cache=tmp_path)
    assert membership(rows, data, load("hashed")).clips == tuple(range(1, 16))
    dropped = membership(rows, replace(data, label_conflicts="drop"), load("hashed"))
    assert dropped.clips == (*range(2, 9), *range(10, 16)) and dropped.conflicts == ((1, 9),)


def test_without_readable_clips_nothing_is_assigned_and_the_reason_is_given(tmp_path):
    data = data_config(path=tmp_path, cache=tmp_path)
    member = membership([replace(one, columns=0) for one in ROWS], data, load("published"))
    assert member.clips == member.splits == () and "two classes" in member.refusals[0]

from dataclasses import replace
from pathlib import Path

import pytest
from data_config import data_config, made_row, split_config
from hypothesis import given
from hypothesis import strategies as st

from genreclf.data.data_config import DataConfig
from genreclf.data.leaks import SHARED, divided_pieces, has_leak, held_out_leaks, shared_keys
from genreclf.data.membership import Membership, membership
from genreclf.data.store import Row
from genreclf.errors import GenreclfError

# In GTZAN's lists, blues 29 to 32 are training clips, 0 and 1 validation clips, and 12 and 13 test clips.
NUMBERS = (29, 30, 31, 32, 0, 1, 12, 13)
NAMES = [f"{genre}.{number:05d}" for genre in ("blues", "rock") for number in NUMBERS]
SPLITS = ("hashed", "folds", "published", "table", "folders", "all")
FOLDERS = ("train", "val", "test")


def row(name: str, recording: str = "") -> Row:
    path = f"{name.split('.')[0]}/{name}.wav"
    return made_row(path, digest=name, group=recording or path)


ROWS = [row(name) for name in NAMES]


def in_folders(rows: list[Row]) -> list[Row]:
    """Moves the clips to folders of a split."""
    return [replace(row, path=f"{FOLDERS[number % 3]}/{row.path}") for number, row in enumerate(rows)]


def assigned(split: str, tmp_path: Path, cells: dict[str, str], columns: str, rows: list[Row] = ROWS) -> Membership:
    """Returns the membership for a table with `cells` by clip. A clip without cells has only commas and a fold."""
    rows = in_folders(rows) if split == "folders" else rows
    table = tmp_path / "clips.csv"
    empty = "," * columns.count(",")
    lines = [f"{name},{cells.get(name, empty)},{number % 5}" for number, name in enumerate(NAMES)]
    table.write_text("\n".join([f"clip,{columns},fold", *lines]))
    data = data_config(path=tmp_path, cache=tmp_path, table=table)
    return membership(rows, data, split_config(split))


def leaks(member: Membership, rows: list[Row] = ROWS) -> bool:
    keys = shared_keys([rows[clip] for clip in member.clips], member.metadata)
    return has_leak(held_out_leaks(member.splits, keys))


def splits_of(member: Membership, *names: str) -> set[str | None]:
    return {member.splits[NAMES.index(name)] for name in names}


# A training, a validation and a test clip of the published lists, and three folds of the table.
TOGETHER = ("blues.00029", "blues.00000", "blues.00012")


def sharing(what: str, split: str, tmp_path: Path) -> tuple[Membership, list[Row]]:
    """The membership if the clips of TOGETHER share a recording, or a cell in the column `what` of a table."""
    rows = [row(name, "one" if what == "recording" and name in TOGETHER else "") for name in NAMES]
    cells = {} if what == "recording" else dict.fromkeys(TOGETHER, "The Band")
    return assigned(split, tmp_path, cells, "artist" if what == "recording" else what, rows), rows


@pytest.mark.parametrize("what", SHARED)
@pytest.mark.parametrize("split", ["hashed", "folds", "all"])
def test_splits_of_this_package_keep_together_what_belongs_together(tmp_path, split, what):
    member, rows = sharing(what, split, tmp_path)
    assert len(splits_of(member, *TOGETHER)) == 1 and not leaks(member, rows)


@pytest.mark.parametrize("what", SHARED)
@pytest.mark.parametrize("split", ["published", "table", "folders"])
def test_in_splits_made_by_others_what_is_divided_is_a_leak(tmp_path, split, what):
    assert not leaks(assigned(split, tmp_path, {}, "artist"))
    member, rows = sharing(what, split, tmp_path)
    assert len(splits_of(member, *TOGETHER)) > 1 and leaks(member, rows)


@pytest.mark.parametrize("split", SPLITS)
def test_a_declared_group_is_kept_together_or_the_split_is_refused(tmp_path, split):
    def refused(column: str) -> list[str]:
        return [
            one for one in assigned(split, tmp_path, dict.fromkeys(TOGETHER, "live"), column).refusals if "live" in one
        ]

    assert refused("artist") == []
    reasons = refused("group")
    assert len(reasons) == (split in ("table", "published", "folders"))
    for reason in reasons:
        assert "blues/blues.00029.wav'" in reason and f"split={split}" in reason


def test_two_training_folds_that_divide_a_group_are_refused_too(tmp_path):
    """They are training and test data of another run."""
    pair = [NAMES[2], NAMES[8]]  # folds 2 and 3: training, as 0 is test and 1 validation
    member = assigned("table", tmp_path, dict.fromkeys(pair, "live"), "group")
    assert splits_of(member, *pair) == {"train"} and "'live'" in member.refusals[0]


def test_unreadable_and_conflicting_clips_are_left_out(tmp_path):
    rows = [replace(ROWS[0], columns=0), *ROWS[1:]]
    rows[1], rows[9] = replace(rows[1], group="same"), replace(rows[9], group="same")  # blues and rock
    data = data_config(path=tmp_path, cache=tmp_path)
    member = membership(rows, data, split_config("hashed"))
    assert member.clips == tuple(range(1, 16)) and member.missing == {}
    dropped = membership(rows, replace(data, label_conflicts="drop"), split_config("hashed"))
    assert dropped.clips == (*range(2, 9), *range(10, 16)) and dropped.conflicts == ((1, 9),)


@pytest.mark.parametrize(("conflicting", "unreadable"), [(0, 16), (8, 0), (6, 4)])
def test_too_few_classes_name_only_what_was_left_out(conflicting, unreadable, tmp_path):
    """Blues and rock are recordings of each other, or the last of them cannot be read."""
    rows = [replace(row, group=f"song {number % 8}") for number, row in enumerate(ROWS[:16])]
    for number in (*range(8 - unreadable // 2, 8), *range(16 - unreadable // 2, 16)):
        rows[number] = replace(rows[number], columns=0)
    data = replace(data_config(path=tmp_path, cache=tmp_path), label_conflicts="drop")
    (reason,) = membership(rows, data, split_config("hashed")).refusals
    assert "two classes" in reason and ("the 12 clips that data.label_conflicts" in reason) == (conflicting == 6)
    assert ("data.label_conflicts" in reason) == (conflicting > 0)
    assert ("repair the files" in reason) == (unreadable > 0)


def test_clips_lost_to_conflicts_are_told(tmp_path, capsys):
    pairs = [replace(row, group=f"song {number % 8}") for number, row in enumerate(ROWS[:16])]  # blues and rock
    membership(pairs, replace(data_config(path=tmp_path, cache=tmp_path), label_conflicts="drop"), split_config("all"))
    told = capsys.readouterr().err
    assert told.startswith("data.label_conflicts=drop: leaves out 16 clips") and repr(ROWS[0].path) in told


def test_without_readable_clips_nothing_is_assigned_and_the_reason_is_given(tmp_path):
    data = data_config(path=tmp_path, cache=tmp_path)
    member = membership([replace(one, columns=0) for one in ROWS], data, split_config("published"))
    assert member.clips == member.splits == () and "two classes" in member.refusals[0]


# --- Whatever the table -----------------------------------------------------------------------------------------------

GROUPS = st.sampled_from(["", "live", "demo", "Demo", "n/a"])
ARTISTS = st.sampled_from(["", "The Band", "the band", "VA"])
NUMBERED, NAMED = st.sampled_from(["", "1", "2", "3", "4"]), st.sampled_from(["", "train", "validation", "Test"])


def tables(folds: st.SearchStrategy[str]) -> st.SearchStrategy[list[tuple[str, str, str]]]:
    return st.lists(st.tuples(GROUPS, ARTISTS, folds), min_size=len(NAMES), max_size=len(NAMES))


@given(
    tables(NUMBERED) | tables(NAMED),
    st.sampled_from(SPLITS),
    st.sampled_from(["stem", None]),
    st.sampled_from(["refuse", "drop"]),
    st.booleans(),
)
def test_no_declared_group_is_ever_divided(tmp_path_factory, cells, name, stem, rare, validation):
    tmp_path = tmp_path_factory.mktemp("table")
    names = [f"{name}_part{number % 3}" for number, name in enumerate(NAMES)] if stem else NAMES
    rows = [row(name) for name in names]
    table = tmp_path / "clips.csv"
    table.write_text(
        "\n".join(["clip,group,artist,fold", *(",".join([n, *c]) for n, c in zip(names, cells, strict=True))])
    )
    rows = in_folders(rows) if name == "folders" else rows
    data = data_config(path=tmp_path, cache=tmp_path, table=table, group=stem, rare_classes=rare)
    split = split_config(name)
    try:
        member = membership(rows, data, split if split.validation is None else replace(split, validation=validation))
    except GenreclfError:
        return
    declared = [cells[clip][0] for clip in member.clips]
    for key in [declared, [one.group for one in member.metadata], *([member.groups] if name in OURS else [])]:
        splits_of_key = {}
        for one, where in zip(key, member.splits, strict=True):
            if one not in ("", "n/a") and where:
                splits_of_key.setdefault(one, set()).add(where)
        assert member.refusals or all(len(splits) == 1 for splits in splits_of_key.values())


OURS = ("hashed", "folds", "all")


# --- Pieces of one clip -----------------------------------------------------------------------------------------------


def pieces(songs: int, count: int) -> list[Row]:
    return [
        row(f"{genre}.{n:05d}.{piece}") for genre in ("blues", "rock") for n in range(songs) for piece in range(count)
    ]


def plain(tmp_path: Path, **values: object) -> DataConfig:
    return data_config(path=tmp_path, cache=tmp_path, **values)


def test_a_setting_for_unknown_artists_is_reported_where_there_are_no_artists(tmp_path, capsys):
    rows = [row(f"{genre}.{n:05d}") for genre in ("blues", "rock") for n in range(40)]
    plainly = membership(rows, plain(tmp_path), split_config("hashed"))
    assert "unknown_artists" not in capsys.readouterr().err
    assert membership(rows, plain(tmp_path, unknown_artists="together"), split_config("hashed")) == plainly
    told = capsys.readouterr().err
    assert all(part in told for part in ("data.unknown_artists=together", "without effect", "data.table"))


def test_pieces_of_one_clip_are_offered_as_a_group_and_kept_together_if_asked(tmp_path, capsys):
    rows = pieces(8, 5)
    member = membership(rows, plain(tmp_path), split_config("hashed"))
    divided = {row.path.rsplit(".", 2)[0] for row, a in zip(rows, member.splits, strict=True) if a == "test"} & {
        row.path.rsplit(".", 2)[0] for row, a in zip(rows, member.splits, strict=True) if a == "train"
    }
    assert divided
    told = capsys.readouterr().err
    paths = [one.path for one in rows]
    found = divided_pieces(paths, member.splits, member.wholes)
    assert divided <= {path.rsplit(".", 2)[0] for path in found} and not leaks(member, rows)
    assert told.count("\n") == 1 and "80 clips seem to be pieces of 16" in told and "data.group=stem" in told
    member = membership(rows, plain(tmp_path, group="stem"), split_config("hashed"))
    splits = {}
    for one, part in zip(rows, member.splits, strict=True):
        splits.setdefault(one.path.rsplit(".", 2)[0], set()).add(part)
    assert all(len(parts) == 1 for parts in splits.values()) and not member.refusals
    assert divided_pieces(paths, member.splits, member.wholes) == []
    assert capsys.readouterr().err == ""


def test_pieces_that_a_table_keeps_together_are_not_offered(tmp_path, capsys):
    rows = pieces(4, 3)
    table = tmp_path / "clips.csv"
    lines = [f"{one.path},{one.path.rsplit('.', 2)[0]}" for one in rows]
    table.write_text("\n".join(["path,group", *lines]))
    membership(rows, plain(tmp_path, table=table), split_config("hashed"))
    assert "stem" not in capsys.readouterr().err
    # Groups of both kinds: two songs of one declared group, and pieces that are not declared
    table.write_text("path,group\nblues/blues.00000.0.wav,medley\nblues/blues.00001.2.wav,medley\n")
    member = membership(rows, plain(tmp_path, table=table, group="stem"), split_config("hashed"))
    assert len({one.group for one in member.metadata[:6]}) == 1 and len({one.group for one in member.metadata}) == 7


def test_pieces_are_asked_for_where_there_are_none(tmp_path):
    with pytest.raises(GenreclfError, match=r"^data\.group=stem: .*blues/blues\.00029\.wav.*data\.group=null"):
        membership(ROWS, plain(tmp_path, group="stem"), split_config("hashed"))


# --- Rare classes, and splits that are not used -----------------------------------------------------------------------


def test_rare_classes_are_refused_together_or_left_out(tmp_path, capsys):
    rows = [
        row(f"{genre}.{n:05d}") for genre, count in (("a", 20), ("b", 2), ("c", 20), ("d", 1)) for n in range(count)
    ]
    (reason,) = membership(rows, plain(tmp_path), split_config("hashed")).refusals
    assert "'b' (2 clips" in reason and "'d' (1 clips" in reason and "data.rare_classes=drop" in reason
    assert capsys.readouterr().err == ""
    member = membership(rows, plain(tmp_path, rare_classes="drop"), split_config("hashed"))
    assert not member.refusals and {rows[clip].label for clip in member.clips} == {"a", "c"}
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "'b' (2 clips), 'd' (1 clips)" in told
    whole = membership(rows, plain(tmp_path), split_config("hashed"))
    assert (
        dict(zip(member.clips, member.splits, strict=True)).items()
        <= dict(zip(whole.clips, whole.splits, strict=True)).items()
    )
    few = membership(rows[:23], plain(tmp_path, rare_classes="drop"), split_config("hashed"))
    (reason,) = few.refusals  # without them, only one class would stay
    assert "'b' (2 clips" in reason and "'c' (1 clips" in reason and "split=all" in reason
    assert {rows[clip].label for clip in few.clips} == {"a", "b", "c"}


def test_classes_without_a_usable_clip_and_clips_in_no_split_are_told(tmp_path, capsys):
    rows = [*ROWS, replace(row("jazz.00000"), columns=0)]
    table = tmp_path / "clips.csv"
    folds = [*(FOLDERS[i % 3] for i in range(len(NAMES) - 1)), "nan"]
    table.write_text("clip,fold\n" + "".join(f"{name},{fold}\n" for name, fold in zip(NAMES, folds, strict=True)))
    member = membership(rows, plain(tmp_path, table=table), split_config("table"))
    assert member.splits == (*folds[:-1], None) and not member.refusals
    told = capsys.readouterr().err
    assert "'jazz' (1 clips)" in told and f"1 clips are in no split ('{ROWS[-1].path}')" in told


@pytest.mark.parametrize("split", ["hashed", "folds"])
def test_a_clip_as_audio_and_as_a_picture_is_one(tmp_path, split):
    """This also holds for pictures that do not match the sound."""
    pictures = [
        replace(
            one, path=one.path.replace(".0", "0").replace(".wav", ".png"), digest=f"{one.digest} drawn", group=f"g{i}"
        )
        for i, one in enumerate(ROWS)
    ]
    splits = membership([*ROWS, *pictures], plain(tmp_path), split_config(split)).splits
    assert splits[: len(ROWS)] == splits[len(ROWS) :] and len(set(splits)) == 3


def test_the_default_split_is_refused_where_the_folders_are_one(tmp_path):
    rows = in_folders(ROWS)
    with pytest.raises(GenreclfError, match=r"^data\.path=.*: its folders test, train, val .*split=folders"):
        membership(rows, plain(tmp_path), split_config("hashed"))
    member = membership(rows, plain(tmp_path), split_config("folders"))
    assert member.splits == tuple(one.path.split("/")[0] for one in rows) and not member.refusals
    assert membership(rows, plain(tmp_path), split_config("folds")).clips == tuple(range(len(rows)))
    # Only training clips: no split
    assert membership(
        [replace(one, path=f"train/{one.path}") for one in ROWS], plain(tmp_path), split_config("hashed")
    ).splits


def test_a_split_in_the_table_that_is_not_used_is_told(tmp_path, capsys):
    table = tmp_path / "clips.csv"
    table.write_text("clip,genre,split\n" + "".join(f"{name},rock,{FOLDERS[i % 3]}\n" for i, name in enumerate(NAMES)))
    membership(ROWS, plain(tmp_path, table=table), split_config("hashed"))
    assert "split=table uses it" in capsys.readouterr().err
    member = membership(ROWS, plain(tmp_path, table=table), split_config("table"))
    assert member.splits == tuple(FOLDERS[i % 3] for i in range(len(NAMES)))
    assert capsys.readouterr().err == ""


def test_a_table_of_clips_that_are_left_out_still_fits(tmp_path):
    """It has to fit the data set, not only the readable clips."""
    table = tmp_path / "clips.csv"
    table.write_text(f"clip,artist\n{NAMES[0]},The Band\n")
    member = membership([replace(ROWS[0], columns=0), *ROWS[1:]], plain(tmp_path, table=table), split_config("hashed"))
    assert len(member.clips) == len(ROWS) - 1 and not any(one.artist for one in member.metadata)

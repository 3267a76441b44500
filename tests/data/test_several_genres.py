"""Clips of several genres (task=multilabel): their sources, splits and targets."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from data_config import data_config, fill, made_row, split_config
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from public_trees import fma_track, fma_tree
from test_datamodule import made
from test_public_sets import assigned, jamendo, published  # noqa: F401 - a fixture

from genreclf.config import build
from genreclf.data.augment import AugmentConfig
from genreclf.data.data_folder import data_folder
from genreclf.data.datamodule import to_images
from genreclf.data.membership import membership
from genreclf.data.sources import Source, list_sources, sources_of
from genreclf.data.split import SPLITS, SplitConfig, rarest
from genreclf.data.store import Row
from genreclf.errors import GenreclfError
from genreclf.inference.task import MULTILABEL

GENRES_CSV = "genre_id,#tracks,parent,title,top_level\n15,9,0,Electronic,15\n21,9,0,Hip-Hop,21\n76,9,21,Rap,21\n"


def labels(data) -> dict[str, str]:
    return {source.path: source.label for source in sources_of(data, data_folder(data))}


# --- Labels -----------------------------------------------------------------------------------------------------------


def test_a_table_names_several_genres_in_any_order(tmp_path):
    fill(tmp_path, "a.wav", "b.wav", "c.wav", "d.wav")
    table = tmp_path / "songs.csv"
    table.write_text('path,genre\na.wav,rock;pop\nb.wav," pop ; rock;rock"\nc.wav,jazz\nd.wav,;\n')
    expected = [Source("a.wav", "pop; rock"), Source("b.wav", "pop; rock"), Source("c.wav", "jazz")]
    assert list_sources(tmp_path, table, task=MULTILABEL) == expected
    assert list_sources(tmp_path, table)[0] == Source("a.wav", "rock;pop")  # one genre of this name
    table.write_text("path,genre\na.wav,rock;Pop\nb.wav,pop\n")
    with pytest.raises(GenreclfError, match=r"'Pop' and 'pop'"):
        list_sources(tmp_path, table, task=MULTILABEL)


def test_jamendos_tracks_have_all_their_genre_tags(jamendo, capsys):  # noqa: F811
    data = data_config("jamendo", path=jamendo, cache=jamendo, task=MULTILABEL)
    one = labels(dataclasses.replace(data, task="multiclass"))
    several = labels(data)
    assert one.items() <= several.items()
    assert several["15/215.low.mp3"] == "metal; rock"  # of several genres, which the other task leaves out
    assert "several genres" in capsys.readouterr().err
    paths, found = assigned(data, published())
    assert dict(zip(paths, found.genres, strict=True))["15/215.low.mp3"] == ("metal", "rock")


def test_fmas_tracks_have_the_genres_of_their_list_by_name(tmp_path):
    tracks = [
        {**fma_track(2, "Hip-Hop", "training", "AWOL"), "track genres_all": "[21]"},
        {**fma_track(5, "", "training", "B"), "track genres_all": "[76, 21, 15]"},  # of several roots
        {**fma_track(10, "Pop", "test", "C"), "track genres_all": "[999]"},  # not in genres.csv
        {**fma_track(11, "", "test", "D"), "track genres_all": "[]"},
        {**fma_track(99134, "Hip-Hop", "training", "Empty"), "track genres_all": "[21]"},
    ]
    fma_tree(tmp_path, tracks)
    (tmp_path / "fma_metadata/genres.csv").write_text(GENRES_CSV)
    data = data_config("fma", path=tmp_path, cache=tmp_path, task=MULTILABEL)
    expected = {"000/000002.mp3": "Hip-Hop", "000/000005.mp3": "Electronic; Hip-Hop; Rap", "000/000010.mp3": "999"}
    assert labels(data) == expected
    (tmp_path / "fma_metadata/genres.csv").unlink()
    with pytest.raises(GenreclfError, match=r"genres\.csv: cannot be read"):
        labels(data)


# --- Split ------------------------------------------------------------------------------------------------------------


def rows_of(sets: list[tuple[str, ...]], groups: list[int]) -> list[Row]:
    clips = enumerate(zip(sets, groups, strict=True))
    return [made_row(f"{n}.wav", label="; ".join(sorted(genres)), group=str(g)) for n, (genres, g) in clips]


def test_the_rarest_genre_of_each_clip():
    assert rarest([("a", "b"), ("a",), ("b", "a"), ("c", "a"), ("d", "c", "b")]) == ["b", "a", "b", "c", "d"]


@settings(max_examples=20)
@given(st.integers(0, 1_000))
def test_a_split_keeps_groups_together_and_rare_genres_in_all_of_its_parts(seed):
    """Of 200 groups, 10 have a genre with a twentieth of the clips, which a random split would often miss."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 200, 300).tolist()
    assume(len({group for group in groups if group % 20 == 0}) > 4)  # fewer cannot always be split, which is refused
    sets = [("common", *(["rare"] if group % 20 == 0 else []), *(["half"] if group % 2 else [])) for group in groups]
    data = data_config(path=Path("songs"), cache=Path("cache"), task=MULTILABEL)
    split = SplitConfig("hashed", salt=str(seed), shares=(0.6, 0.2, 0.2), validation=True)
    found = membership(rows_of(sets, groups), data, split)
    assert not found.refusals
    parts: dict[str, set[str]] = {}
    for group, part in zip(found.groups, found.splits, strict=True):
        parts.setdefault(group, set()).add(part)
    assert all(len(of_group) == 1 for of_group in parts.values())
    for genre, tolerance in (("rare", 0.35), ("half", 0.15)):
        of_genre = [part for part, genres in zip(found.splits, found.genres, strict=True) if genre in genres]
        assert set(of_genre) == set(SPLITS)
        assert of_genre.count("train") / len(of_genre) == pytest.approx(0.6, abs=tolerance)


def test_a_genre_that_is_too_rare_leaves_the_labels_and_not_the_clips(tmp_path, capsys):
    sets = [("a",), ("b",), ("a", "b")] * 8 + [("a", "few"), ("few",)]
    rows = rows_of(sets, list(range(len(sets))))
    data = data_config(path=tmp_path, cache=tmp_path, task=MULTILABEL, rare_classes="drop")
    found = membership(rows, data, split_config("hashed"))
    assert not found.refusals and {genre for genres in found.genres for genre in genres} == {"a", "b"}
    assert found.clips == tuple(range(25)) and found.genres[24] == ("a",)
    assert "'few' (2 clips)" in capsys.readouterr().err
    (line,) = membership(rows, dataclasses.replace(data, rare_classes="refuse"), split_config("hashed")).refusals
    assert "'few' (2 clips" in line and "'a'" not in line


# --- Targets ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def module(tiny_folder, cache, tmp_path):
    """The folder's genres. Every third clip also has the genre "song"."""
    clips = sorted(path.relative_to(tiny_folder) for path in tiny_folder.rglob("*") if path.is_file())
    lines = [f"{path},{path.parts[0]}{'; song' if number % 3 == 0 else ''}" for number, path in enumerate(clips)]
    table = tmp_path / "songs.csv"
    table.write_text("\n".join(["path,genre", *lines]) + "\n")
    data = data_config(path=tiny_folder, cache=cache, table=table, task=MULTILABEL)
    return made(data, split=SplitConfig("all"))


def test_targets_are_ones_at_the_genres_of_each_clip(module):
    clips = module.clips["train"]
    targets = module.targets(clips)
    assert targets.dtype == np.float32 and {"noise", "song", "tone"} < set(module.classes)
    expected = [[name in module.store.rows[clip].label for name in module.classes] for clip in clips]
    assert targets.astype(bool).tolist() == expected and {sum(row) for row in expected} == {1, 2}
    assert module.class_shares == pytest.approx(targets.mean(0))
    assert module.summary()["clips"]["train"] == dict(zip(module.classes, targets.sum(0), strict=True))
    batch = next(iter(module.train_dataloader()))
    assert torch.equal(batch["target"], torch.from_numpy(module.targets(batch["clip"].tolist())))


def test_both_views_of_a_blended_segment_have_its_genres(module):
    off = {field.name: 0 for field in dataclasses.fields(AugmentConfig)}
    both = {**off, "mask_share": [0, 0], "mask_fill": None, "mixup": 0.3, "consistency": 1}
    batch = next(iter(module.train_dataloader()))
    out = to_images(batch, build(AugmentConfig, both, "augment"))
    assert torch.equal(out["target"], torch.cat([batch["target"]] * 2))
    assert len(out["image"]) == len(out["other"]) == len(out["target"])

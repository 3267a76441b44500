"""The selection of clips to score."""

from dataclasses import replace

from data_config import data_config, of_yaml

from genreclf.config import build
from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.data.split import SplitConfig
from genreclf.evaluation.clip_set import clips_of_other_data, clips_of_split
from genreclf.frontend.segments import ViewConfig


def test_out_of_scope_clips_are_listed_separately(tiny_data):
    split, view = (
        build(SplitConfig, of_yaml("split", "hashed"), "split"),
        build(ViewConfig, of_yaml("view", "crop"), "view"),
    )
    datamodule = SpectrogramDataModule(replace(tiny_data, none="tone"), split, view, None, 8, 0, 0)
    datamodule.setup()
    found = clips_of_split(datamodule, "test", ["genre"])
    labels = [row.label for row in found.store.rows]
    assert {labels[clip] for clip in found.clips} == set(found.labels) == {"click", "noise"}
    assert {labels[clip] for clip in found.none} == {"tone"}
    assert found.cells(found.none) == {"genre": ["tone"] * len(found.none)}
    assert set(found.clips) | set(found.none) == set(datamodule.clips["test"] + datamodule.none["test"])
    assert found.groups == tuple(datamodule.group_of[clip] for clip in found.clips)


def test_only_the_models_genres_of_a_clip_count(tiny_folder, cache, tmp_path):
    table = tmp_path / "songs.csv"
    cells = ("Noise; polka", "tone;Noise", "polka", "click")
    lines = [f"noise/noise.{number:05d}.wav,{genre}" for number, genre in enumerate(cells)]
    table.write_text("\n".join(["path,genre", *lines]) + "\n")
    data = data_config(path=tiny_folder, cache=cache, table=table, task="multilabel")
    music, left_out = clips_of_other_data(data, ("noise", "tone"), frozenset(), [])
    assert [music.store.rows[clip].path for clip in music.clips] == [line.split(",")[0] for line in lines[:2]]
    assert music.labels == ("noise", "noise; tone")
    assert left_out.other_classes == {"polka": 2, "click": 1}

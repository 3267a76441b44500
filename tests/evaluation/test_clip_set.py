"""Which clips are scored."""

from dataclasses import replace

from bundles import of_yaml

from genreclf.config import build
from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.data.split import SplitConfig
from genreclf.evaluation.clip_set import clips_of_split
from genreclf.frontend.segments import ViewConfig


def test_clips_of_none_of_the_classes_are_apart(tiny_data):
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

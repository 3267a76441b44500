"""From tags and corrections to a trained model, on the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from bundles import random_bundle
from command_line import NO_EXTRAS, Finished, command
from tiny_sounds import tiny_sound

from genreclf.data.genre_map import NO_TAG, NOT_IN_MAP
from genreclf.exporters import bundle as bundles
from genreclf.exporters.bundle import load_bundle, save_bundle

mutagen = pytest.importorskip("mutagen")

NET = {"channels": [8, 8, 16, 16], "lstm_units": [8], "statistics_units": 4}
QUICK = [
    *(f"model.net.{key}={str(value).replace(' ', '')}" for key, value in NET.items()),
    *("view=crop", "batch_size=4", "logger=none", "trainer.max_epochs=1", "split=all"),
]
TAGS = ["Dub"] * 4 + ["SKA"] * 3 + ["Rock"] * 2 + [""]
PLAN = "path,action,genre,probability,known,present,correct,note\n"


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    """Ten files with tags: four dub, three ska, two rock, and one without a genre."""
    folder, rng = tmp_path_factory.mktemp("tagged"), np.random.default_rng(0)
    for number, genre in enumerate(TAGS):
        path = folder / f"{number}.flac"
        soundfile.write(path, tiny_sound("noise", 1.5, rng), 22_050)
        tags = mutagen.File(path)
        tags.update({"genre": genre, "artist": f"Artist {number}"})
        tags.save()
    return folder


@pytest.fixture(scope="module")
def initial(tmp_path_factory) -> Path:
    """A model for ska, dub and raï, with its own temperature."""
    folder = tmp_path_factory.mktemp("initial")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundles, "bundle_onnx", lambda net, digest: b"")
        save_bundle(folder, random_bundle("a", **NET))
    return folder


def train(music: Path, cache: Path, *words: object) -> Finished:
    return command("train", f"data.path={music}", *words, cache=cache, before=NO_EXTRAS)


def plan(folder: Path, *rows: str) -> Path:
    file = folder / "plan.csv"
    file.write_text(PLAN + "".join(f"{row}\n" for row in rows))
    return file


def test_corrections_and_tags_train_a_model_further(music, initial, cache, tmp_path):
    """Corrections label the corrected files, and tags the others. No temperature can be fitted."""
    table = plan(
        tmp_path, "9.flac,write,rock,0.9,,,Polka,", "0.flac,keep,ska,0.6,,Dub,ska,", "1.flac,keep,ska,0.6,,Dub,,"
    )
    words = ["data=tags", f"data.table={table}", f"init={initial}", f"run={tmp_path / 'run'}", *QUICK]
    result = train(music, cache, *words)
    assert result.returncode == 0, result.stderr
    info = load_bundle(tmp_path / "run" / "bundle").info
    assert info.temperature == 1.0 != load_bundle(initial).info.temperature
    assert info.classes == ("Dub", "Polka", "Rock", "ska")
    data = json.loads((tmp_path / "run" / "record.json").read_text())["data"]
    assert data["clips"]["train"] == {"Dub": 3, "Polka": 1, "Rock": 2, "ska": 4}
    assert data["tags"]["genres"]["ska"] == {"SKA": 3, "data.table": 1} and data["tags"]["left_out"] == {}
    assert "'raï'" in result.stderr and "'Polka'" in result.stderr and "'Dub'" not in result.stderr.split("init=")[-1]
    assert "next: genreclf predict FILE --model" in result.stdout
    scored = command("evaluate", tmp_path / "run", cache=cache)
    assert scored.returncode == 2 and "data=folder data.path=DIR" in scored.stderr.splitlines()[-1]


def test_a_model_of_the_same_classes_keeps_the_temperature(music, initial, cache, tmp_path):
    table = plan(
        tmp_path, "7.flac,,,,,,raï,", "8.flac,,,,,,raï,", *(f"{n}.flac,,,,,,dub," for n in range(4)), "4.flac,,,,,,ska,"
    )
    words = ["data=folder", f"data.table={table}", f"init={initial}", f"run={tmp_path / 'run'}", *QUICK]
    result = train(music, cache, *words)
    assert result.returncode == 0, result.stderr
    before, after = load_bundle(initial).info, load_bundle(tmp_path / "run" / "bundle").info
    assert after.temperature == before.temperature and set(after.classes) == set(before.classes)


@pytest.mark.parametrize(
    ("words", "remedies"),
    [
        ([], ["split=all", "'Polka' (1 clips, none in ", "data.rare_classes=drop"]),
        (["data.rare_classes=drop"], ["split=all", "'Polka' (1 clips, none in "]),
        (["split=all"], ["temperature", "init=MODEL"]),
    ],
)
def test_too_few_corrections_are_refused_with_the_settings_to_add(words, remedies, music, cache, tmp_path):
    rows = [f"{number}.flac,skip,,,,,{genre}," for number, genre in enumerate(["Polka", "Waltz", "Waltz", "Tango"])]
    result = train(music, cache, "data=folder", f"data.table={plan(tmp_path, *rows)}", "run=refused", *words)
    last = result.stderr.splitlines()[-1]
    assert result.returncode == 2 and last.startswith("genreclf: ") and all(word in last for word in remedies), last


def test_the_audit_lists_the_files_that_the_tags_leave_out(music, cache, tmp_path):
    table = plan(tmp_path, "0.flac,,,,,,jazz,")
    words = ["data=tags", f"data.path={music}", "data.genre_map=gtzan", f"data.table={table}"]
    result = command("audit", *words, f"out={tmp_path / 'audit'}", cache=cache)
    assert result.returncode == 0, result.stderr
    ignored = json.loads((tmp_path / "audit" / "audit.json").read_text())["ignored"]
    by_reason = {reason.partition(": ")[2]: paths for reason, paths in ignored.items()}
    assert by_reason[NO_TAG] == ["9.flac"]
    assert by_reason[NOT_IN_MAP] == [f"{number}.flac" for number in (1, 2, 3, 4, 5, 6)]
    assert sum(map(len, by_reason.values())) == len(TAGS) - 3  # two rock songs, and the correction

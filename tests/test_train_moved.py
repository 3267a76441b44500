"""Resuming a run some of whose inputs were moved or deleted."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from bundles import random_bundle
from command_line import NO_EXTRAS, command, signal_at
from tiny_pictures import write_bands
from tiny_sounds import tiny_sound

from genreclf.exporters import bundle as bundles
from genreclf.exporters.bundle import load_bundle, save_bundle

NET = {"channels": [8, 8, 16, 16], "lstm_units": [8], "statistics_units": 4}


@pytest.fixture
def initial(tmp_path, monkeypatch) -> Path:
    """A model for ska, dub and raï."""
    monkeypatch.setattr(bundles, "bundle_onnx", lambda net, digest: b"")  # slow
    save_bundle(tmp_path / "initial", random_bundle("a", **NET))
    return tmp_path / "initial"


def fine_tuned(tmp_path: Path, cache: Path, run: str, *words: str, before: str = "") -> tuple[int, str, str]:
    net = [f"model.net.{key}={str(value).replace(' ', '')}" for key, value in NET.items()]
    data = ["data=folder", f"data.path={tmp_path / 'music'}", "data.picture_seconds=6", f"init={tmp_path / 'initial'}"]
    settings = ["view=crop", "logger=none", "batch_size=4", "trainer.max_epochs=2", f"run={tmp_path / run}"]
    settings += ["trainer.limit_val_batches=1", "trainer.num_sanity_val_steps=0"]
    result = command("train", *net, *data, *settings, *words, cache=cache, before=NO_EXTRAS + before)
    return result.returncode, result.stdout, result.stderr


def test_a_checkpoint_replaces_an_initial_model_that_was_deleted(initial, cache, tmp_path):
    (tmp_path / "music").mkdir()
    write_bands(tmp_path / "music", [50 + 10 * number for number in range(6)])
    assert fine_tuned(tmp_path, cache, "whole")[0] == 0
    killed = signal_at("validation_step", 2, "SIGKILL")  # in the second epoch
    assert fine_tuned(tmp_path, cache, "run", before=killed)[0] == -9
    shutil.copytree(tmp_path / "run", tmp_path / "without")
    (tmp_path / "without" / "last.ckpt").unlink()
    shutil.rmtree(initial)

    code, _, error = fine_tuned(tmp_path, cache, "without", "ckpt=last")
    assert code == 2 and "init=" in error and "Traceback" not in error  # nothing else has the weights
    code, _, error = fine_tuned(tmp_path, cache, "run", "ckpt=last", "optim.label_smoothing=0.5")
    assert code == 2 and "optim.label_smoothing" in error
    code, out, error = fine_tuned(tmp_path, cache, "run", "ckpt=last")
    assert code == 0 and f"init={initial}: not found" in out, error
    found, expected = (load_bundle(tmp_path / run / "bundle") for run in ("run", "whole"))
    weights = expected.net.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in found.net.state_dict().items())
    assert found.info == expected.info


def test_a_genre_map_may_have_moved_but_not_changed(cache, tmp_path):
    mutagen, soundfile = pytest.importorskip("mutagen"), pytest.importorskip("soundfile")
    (tmp_path / "songs").mkdir()
    for number, tag in enumerate(("Loud", "Soft") * 6):
        song = tmp_path / "songs" / f"{number}.flac"
        soundfile.write(song, tiny_sound("noise", 1.5, np.random.default_rng(number)), 22_050)
        tags = mutagen.File(song)
        tags.update({"genre": tag})
        tags.save()
    genres, moved, other = (tmp_path / name for name in ("map.csv", "moved.csv", "other.csv"))
    genres.write_text("tag,genre\nloud,rock\nsoft,folk\n")
    other.write_text("tag,genre\nloud,folk\nsoft,rock\n")
    words = ["model=majority", "data=tags", f"data.path={tmp_path / 'songs'}", "temperature=1"]
    words += ["logger=none", f"run={tmp_path / 'run'}"]
    assert command("train", *words, f"data.genre_map={genres}", cache=cache, before=NO_EXTRAS).returncode == 0
    genres.rename(moved)

    def resumed(*more: str) -> tuple[int, list[str]]:
        result = command("train", f"run={tmp_path / 'run'}", "ckpt=last", *more, cache=cache, before=NO_EXTRAS)
        return result.returncode, [line for line in result.stderr.splitlines() if line.startswith("genreclf: data")]

    code, lines = resumed()
    assert code == 2 and len(lines) == 1 and f"data.genre_map={genres}" in lines[0]
    result = command("train", f"run={tmp_path / 'run'}", "ckpt=last", f"data.genre_map={other}", cache=cache)
    assert result.returncode == 2 and f"data.genre_map={other}" in result.stderr.splitlines()[-1]
    for name, code in ((moved, 0), (other, 2)):
        result = command("evaluate", tmp_path / "run", "tta=none", f"data.genre_map={name}", cache=cache)
        assert result.returncode == code and (f"data.genre_map={name}" in result.stderr) == (code == 2)
    assert resumed(f"data.genre_map={moved}")[0] == 0

"""Training on clips with several genres on the command line, and all commands after it."""

import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from command_line import NO_EXTRAS, Finished, command
from sklearn.metrics import average_precision_score
from test_train import QUICK, message  # noqa: F401 - a fixture
from tiny_pictures import rhythm

from genreclf.evaluation.predictions import read_predictions
from genreclf.evaluation.thresholds import fit_thresholds
from genreclf.frontend.picture import write_picture
from genreclf.inference.model_info import read_bundle_config
from genreclf.inference.task import MULTILABEL

GENRES = ("high", "low", "middle")
SVM = ["model=svm", *(word for word in QUICK if not word.startswith(("model", "optim")))]


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    """Pictures of rhythmic noise with a bright band for each of their genres.

    All sets of genres are equally frequent. Each artist has three pictures. The table lists genres in any order.
    """
    folder, rng = tmp_path_factory.mktemp("songs"), np.random.default_rng(0)
    sets = [which for size in (1, 2, 3) for which in itertools.combinations(GENRES, size)]
    lines = [("path", "genre", "artist", "source")]
    for number, genres in enumerate(sets * 9):
        levels = rng.integers(0, 100, (128, 260), dtype=np.uint8) + rhythm(260)
        for genre in genres:
            band = 40 * ("low", "middle", "high").index(genre)
            levels[band : band + 30] += 100
        write_picture(folder / f"{number}.png", levels)
        lines.append((f"{number}.png", ";".join(genres[::-1]), f"artist {number // 3}", "ab"[number % 2]))
    with (folder / "songs.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return folder


def train(music: Path, cache: Path, run: Path, *words: str) -> Finished:
    keys = ("task=multilabel", f"data.path={music}", f"data.table={music / 'songs.csv'}", f"run={run}")
    return command("train", *keys, *words, cache=cache, before=NO_EXTRAS)


@pytest.fixture(scope="module")
def run(music, cache, tmp_path_factory) -> Path:
    """Two epochs with everything that affects targets: mixup, two views with consistency loss, a running average."""
    folder = tmp_path_factory.mktemp("runs") / "net"
    words = (*QUICK, "augment=channels", "optim=onecycle", "trainer.max_epochs=2", "batch_size=8")
    result = train(music, cache, folder, *words)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def machine(music, cache, tmp_path_factory) -> Path:
    """A scored run of the support vector machines."""
    folder = tmp_path_factory.mktemp("runs") / "svm"
    result = train(music, cache, folder, *SVM)
    assert result.returncode == 0, result.stderr
    result = command("evaluate", folder, "slices=[source]", cache=cache)
    assert result.returncode == 0, result.stderr
    return folder


def test_a_run_logs_multilabel_scores_and_keeps_the_thresholds(run):
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 and (run / "curves.png").is_file()
    for row in rows:
        assert 0 < float(row["val/loss"]) < 2 and 0 <= float(row["val/mean_average_precision"]) <= 1
        assert 0 <= float(row["val/roc_auc"]) <= 1
    info = read_bundle_config(run / "bundle").info
    assert info.task == MULTILABEL and info.classes == GENRES and len(info.thresholds) == 3
    record = json.loads((run / "record.json").read_text())
    counts = record["data"]["clips"]
    assert {genre: sum(part[genre] for part in counts.values()) for genre in GENRES} == dict.fromkeys(GENRES, 36)


def test_scores_are_recomputed_from_the_predictions(machine):
    metrics = json.loads((machine / "evaluation/test/metrics.json").read_text())
    assert metrics["task"] == MULTILABEL
    clip = metrics["tta"]["none"]["clip"]
    found = read_predictions(machine / "evaluation/test/predictions.parquet", "none")
    expected = [average_precision_score(*pair) for pair in zip(found.target.T, found.probabilities.T, strict=True)]
    assert clip["mean_average_precision"] == pytest.approx(np.mean(expected))
    assert clip["mean_average_precision"] > 0.8  # bands of 30 rows are easy
    assert metrics["thresholds"] == list(found.thresholds)
    low, high = clip["intervals"]["mean_average_precision"]["shown"] or (1, 1)
    assert low <= clip["mean_average_precision"] <= high
    assert {one["value"] for one in clip["slices"]["source"]["values"]} == {"a", "b"}
    assert len(set(found.groups)) == len(found.paths) / 3  # an artist's songs are together
    scores = json.loads((machine / "bundle/scores.json").read_text())
    assert scores["mean_average_precision"] == clip["mean_average_precision"] and "accuracy" not in scores
    assert "average precision" in (machine / "bundle/README.md").read_text()
    report = (machine / "evaluation/test/report.html").read_text()
    assert report.count("<img") >= 3


def test_runs_are_compared_by_mean_average_precision(machine, run, cache, tmp_path):
    """Compares on the validation clips, on which the thresholds are fitted too."""
    result = command("compare", run, machine, "--clips", "val", "--out", tmp_path / "out", cache=cache)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "out/comparison.json").read_text())
    assert found["score"] == "mean_average_precision" and len(found["pairs"]) == 1
    assert found["systems"][0]["mean_average_precision"] >= found["systems"][1]["mean_average_precision"]
    assert (tmp_path / "out/comparison.png").is_file()
    for folder in (run, machine):
        scored = read_predictions(folder / "evaluation/val/predictions.parquet", "none")
        assert scored.thresholds == pytest.approx(fit_thresholds(scored.probabilities, scored.target), abs=1e-6)


def test_a_multiclass_net_starts_from_a_multilabel_net(run, music, cache, tmp_path):
    """Zero epochs train only the output layer."""
    rows, table = (music / "songs.csv").read_text().splitlines(), tmp_path / "one.csv"
    table.write_text("\n".join(row for row in rows if ";" not in row) + "\n")
    words = (
        f"init={run}",
        "trainer.max_epochs=0",
        "split=all",
        "optim=onecycle",
        f"data.path={music}",
        f"data.table={table}",
    )
    result = command("train", *QUICK, *words, f"run={tmp_path / 'one'}", cache=cache, before=NO_EXTRAS)
    assert result.returncode == 0, result.stderr
    assert read_bundle_config(tmp_path / "one" / "bundle").info.thresholds is None


@pytest.mark.parametrize(
    "words, named",
    [
        (["task=several"], "multilabel"),
        (["task=multilabel", "data.none=rock"], "data.none"),
    ],
)
def test_settings_that_a_multilabel_model_cannot_have_are_refused(message, tmp_path, words, named):  # noqa: F811
    assert named in message(f"data.path={tmp_path}", *words)


def test_a_genre_that_all_training_clips_have_is_refused(message, music, tmp_path):  # noqa: F811
    with (music / "songs.csv").open() as file:
        rows = [line.rstrip("\n").split(",") for line in file]
    table = tmp_path / "songs.csv"
    table.write_text(
        "\n".join([",".join(rows[0]), *(f"{row[0]},{row[1]};music,{row[2]},{row[3]}" for row in rows[1:])])
    )
    line = message("task=multilabel", f"data.path={music}", f"data.table={table}", f"cache={tmp_path}")
    assert "'music'" in line

"""Training from the command line, as a user would run it, on a folder of small pictures."""

import csv
import dataclasses
import json
import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from command_line import COMMANDS, Finished, command
from safetensors.torch import load_file

from genreclf.errors import GenreclfError
from genreclf.evaluation.calibration import fit_temperature
from genreclf.evaluation.predictions import read_predictions
from genreclf.frontend.picture import write_picture
from genreclf.nets.bundle import load_bundle
from genreclf.training.baselines import fit_baseline

# The smallest real training: a narrow Model A, 12 clips, two batches an epoch.
# What has a state of its own, or draws: a run that is killed and resumed has to go on with it.
STATEFUL = ["augment=music", "optim.ema_decay=0.9"]
QUICK = [
    "model=a",
    "model.net.channels=[8,8,16,16]",
    "optim=original",
    "view=crop",
    "batch_size=4",
    "logger=none",
    "data=folder",
]


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    """Three genres of six pictures each: noise under a bright band whose place is the genre."""
    folder = tmp_path_factory.mktemp("music")
    rng = np.random.default_rng(0)
    for place, genre in enumerate(("low", "middle", "high")):
        (folder / genre).mkdir()
        for number in range(6):
            levels = rng.integers(0, 120, (128, 260), dtype=np.uint8)
            levels[40 * place : 40 * place + 30] += 100
            write_picture(folder / genre / f"{number}.png", levels)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


def train(music: Path, cache: Path, run: Path, *arguments: str, before: str = "") -> Finished:
    where = [f"data.path={music}", "data.picture_seconds=6", f"run={run}"]
    return command("train", *QUICK, *where, *arguments, cache=cache, before=before)


def one_line(result: Finished) -> str:
    """The message of a user's mistake: one line, code 2, no traceback."""
    assert result.returncode == 2, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("genreclf: ")]
    assert len(lines) == 1 and "Traceback" not in result.stderr, result.stderr
    return lines[0]


@pytest.fixture(scope="module")
def run(music, cache, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    result = train(music, cache, folder, "trainer.max_epochs=3", *STATEFUL)
    assert result.returncode == 0, result.stderr
    return folder


def weights(run: Path) -> dict[str, torch.Tensor]:
    """The running averages, and the weights themselves."""
    saved = torch.load(run / "last.ckpt", weights_only=True)
    return {
        **saved["state_dict"],
        **{f"now {name}": value for name, value in saved.get("current_model_state", {}).items()},
    }


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_run_folder_tells_how_to_repeat_the_run(run, music):
    config, record = yaml.safe_load((run / "config.yaml").read_text()), json.loads((run / "record.json").read_text())
    assert config["optim"]["name"] == "original" and config["data"]["path"] == str(music)
    assert record["overrides"][:2] == ["model=a", "model.net.channels=[8,8,16,16]"]
    assert record["seed"] == 0 and record["split_salt"] == "genreclf" and len(record["data"]["store_digest"]) == 64
    assert record["versions"]["torch"] == torch.__version__.split("+")[0]
    assert record["weights"]["pretrained"] is False
    assert {name: sum(counts.values()) for name, counts in record["data"]["clips"].items()} == {
        "train": 12,
        "val": 3,
        "test": 3,
    }
    audit = json.loads((run / "audit.json").read_text())
    assert audit["clips"] == 18 and audit["chosen_leaks"] is False and audit["label_conflicts"] == 0
    assert audit["leaks"]["chosen"]["test"]["recording"] == {"clips": 0, "of": 3, "share": 0}
    assert audit["leaks"]["random"]["val"]["artist"]["share"] is None and sum(audit["findings"].values()) == 0
    assert {"best.ckpt", "last.ckpt", "curves.png", "metrics.csv", "bundle"} <= {path.name for path in run.iterdir()}


def test_every_epoch_has_a_row_and_the_bundle_is_the_best_of_them(run):
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    accuracy = [float(row["val/accuracy"]) for row in rows]
    best = torch.load(run / "best.ckpt", weights_only=True)
    assert best["epoch"] == accuracy.index(max(accuracy))
    net = load_bundle(run / "bundle").net.state_dict()
    assert same(net, {name[4:]: value for name, value in best["state_dict"].items() if name.startswith("net.")})


def test_epochs_without_validation_have_no_figures_of_it(music, cache, tmp_path):
    result = train(music, cache, tmp_path / "run", "trainer.max_epochs=3", "trainer.check_val_every_n_epoch=2")
    assert result.returncode == 0, result.stderr
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert (
        [bool(row["val/accuracy"]) for row in rows] == [bool(row["val/loss"]) for row in rows] == [False, True, False]
    )
    assert all(float(row["train/loss"]) > 0 and float(row["seconds"]) > 0 for row in rows)
    assert torch.load(tmp_path / "run" / "best.ckpt", weights_only=True)["epoch"] == 1
    assert (tmp_path / "run" / "curves.png").is_file()


def test_one_seed_gives_equal_weights_and_another_does_not(run, music, cache, tmp_path):
    assert train(music, cache, tmp_path / "again", "trainer.max_epochs=3", *STATEFUL).returncode == 0
    assert same(weights(run), weights(tmp_path / "again"))
    assert train(music, cache, tmp_path / "other", "trainer.max_epochs=1", "seed=1", *STATEFUL).returncode == 0
    assert not same(weights(run), weights(tmp_path / "other"))


def test_killed_three_times_and_resumed_it_ends_with_the_same_bits(run, music, cache, tmp_path):
    broken = tmp_path / "broken"
    steps_in_epoch = 3
    seed = int(np.random.SeedSequence().entropy % 2**32)
    rng = np.random.default_rng(seed)
    # One kill in each of: the second epoch's steps, the third's, the last validation.
    points = [("training_step", steps_in_epoch + rng.integers(1, 4)), ("training_step", rng.integers(1, 4))]
    for number, (hook, calls) in enumerate([*points, ("validation_step", 1)]):
        kill = (
            "import os, signal, genreclf.training.module as m\n"
            f"hook, left = m.GenreModule.{hook}, [{calls}]\n"
            "def counted(self, batch, i):\n"
            "    left[0] -= 1\n"
            "    if not left[0]: os.kill(os.getpid(), signal.SIGKILL)\n"
            "    return hook(self, batch, i)\n"
            f"m.GenreModule.{hook} = counted\n"
        )
        resume = ["ckpt=last"] if number else []
        result = train(music, cache, broken, "trainer.max_epochs=3", *STATEFUL, *resume, before=kill)
        assert result.returncode == -signal.SIGKILL, (seed, result.stderr)
    assert train(music, cache, broken, "trainer.max_epochs=3", *STATEFUL, "ckpt=last").returncode == 0
    assert same(weights(run), weights(broken)), f"kill points from seed {seed}"
    with (broken / "metrics.csv").open() as broken_file, (run / "metrics.csv").open() as file:
        ours, theirs = (
            [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(f)] for f in (broken_file, file)
        )
    assert ours == theirs


def test_ctrl_c_says_how_to_go_on(music, cache, tmp_path):
    interrupt = (
        "import os, signal, genreclf.training.module as m\n"
        "step, left = m.GenreModule.training_step, [5]\n"
        "def counted(self, batch, i):\n"
        "    left[0] -= 1\n"
        "    if not left[0]: os.kill(os.getpid(), signal.SIGINT)\n"
        "    return step(self, batch, i)\n"
        "m.GenreModule.training_step = counted\n"
    )
    result = train(music, cache, tmp_path / "run", "trainer.max_epochs=3", before=interrupt)
    assert result.returncode != 0 and "Traceback" not in result.stderr
    assert f"go on with the same command and run={tmp_path / 'run'} ckpt=last" in result.stderr
    assert (tmp_path / "run" / "last.ckpt").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trainer.devicse=1"], "trainer.devicse: unknown key; did you mean 'trainer.devices'?"),
        (["model=c"], "model=c: unknown; known: a, a_original, b"),
        (["optim.optimizer=sgd"], "optim.optimizer='sgd': unknown; known: adam, adamw, muon"),
        (["data=folder", "data.path=nowhere"], "no such folder; give one that holds a folder for each genre"),
        (["data=folder"], "data.path: needs a value"),
        (["data.unknown_artists=maybe"], "data.unknown_artists='maybe': unknown; known: single, together"),
        (["ckpt=last"], "last.ckpt is not there; name the run to go on with: run=FOLDER"),
        (["batch_size=many"], "batch_size='many': expected int"),
        (["batch_size=1"], "batch_size=1: must be at least 2"),
        (["optim.ema_decay=1"], "optim.ema_decay=1.0: give a share from 0 to below 1, or null"),
        (["augment.band_shift=65"], "augment.band_shift=65: give 0 to 64"),
        (["optim.backbone_rate=0"], "optim.backbone_rate=0.0: give a share above 0"),
        (["trainer.max_epochs=many"], "trainer.max_epochs='many': give a whole number"),
    ],
)
def test_a_mistake_is_one_clear_line(arguments, message, cache):
    assert message in one_line(command("train", "data.demo_clips_per_style=0", *arguments, cache=cache))


def test_a_class_with_too_few_clips_is_named_before_the_training(music, cache, tmp_path):
    for genre in ("low", "high"):
        (tmp_path / "music" / genre).mkdir(parents=True)
        for picture in list((music / genre).iterdir())[: 2 if genre == "low" else 6]:
            (tmp_path / "music" / genre / picture.name).write_bytes(picture.read_bytes())
    message = one_line(train(tmp_path / "music", cache, tmp_path / "run"))
    assert "class 'low': none of its 2 clips falls in" in message


def test_keeping_the_best_epoch_takes_a_validation(music, cache, tmp_path):
    arguments = ("trainer.max_epochs=2", "trainer.check_val_every_n_epoch=3")
    message = one_line(train(music, cache, tmp_path / "run", *arguments))
    assert "trainer.check_val_every_n_epoch=3, max_epochs=2: no epoch would be validated" in message


def test_resuming_with_other_settings_is_refused(run, music, cache):
    others = ["optim.label_smoothing=0.2", *STATEFUL]
    message = one_line(train(music, cache, run, "trainer.max_epochs=3", "ckpt=last", *others))
    assert "the run had optim.label_smoothing=0.1, now it is 0.2" in message


def test_a_sweep_runs_every_job_and_reports_the_bad_one(music, cache):
    where = [f"data.path={music}", "data.picture_seconds=6", "trainer.max_epochs=1", "hydra.sweep.dir=sweep"]
    result = command("train", "-m", *QUICK, *where, "optim.keep=first,last", "seed=0", cache=cache)
    assert "optim.keep='first': unknown" in one_line(result)
    finished = [path.parent for path in (cache / "sweep").rglob("bundle")]
    assert len(finished) == 1 and "keep=last" in finished[0].name


def test_bf16_trains_on_the_cpu(music, cache, tmp_path):
    quick = ["trainer.max_epochs=1", "+trainer.limit_train_batches=1", "trainer.precision=bf16-mixed", "optim=onecycle"]
    quick += ["+trainer.limit_val_batches=1", "batch_size=2"]
    result = train(music, cache, tmp_path / "run", *quick)
    assert result.returncode == 0, result.stderr
    assert all(value.dtype != torch.bfloat16 for value in weights(tmp_path / "run").values())


def test_evaluate_writes_scores_predictions_and_pictures(run, cache):
    result = command("evaluate", f"run={run}", "tta=six", cache=cache)
    assert result.returncode == 0, result.stderr
    folder = run / "evaluation" / "test"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics["tta"]) == {"none", "six"}
    for tta in ("none", "six"):
        answers = read_predictions(folder / "predictions.parquet", tta)
        assert len(answers.paths) == metrics["tta"][tta]["clip"]["n"] == 3
        right = (answers.probabilities.argmax(1) == answers.target).mean()
        assert metrics["tta"][tta]["clip"]["accuracy"] == pytest.approx(right)
        assert answers.probabilities.sum(1) == pytest.approx(np.ones(3), abs=1e-5)
        for picture in ("confusion", "per-class", "reliability"):
            assert (folder / f"{picture}-{tta}.png").stat().st_size > 5_000
    # 6 s lie on 258 frames: two crops of 256 frames a clip.
    assert metrics["tta"]["none"]["segment"]["n"] == 6
    assert "accuracy" in result.stdout and "six" in result.stdout
    line = "audit: test clips whose recording is in training, too: 0 of 3; artists unknown"
    assert line in result.stdout.splitlines()


def test_evaluate_refuses_files_that_changed(run, music, cache, tmp_path):
    extra = music / "low" / "later.png"
    try:
        extra.write_bytes((music / "low" / "0.png").read_bytes())
        assert "are not those of the training" in one_line(command("evaluate", f"run={run}", cache=cache))
    finally:
        extra.unlink()
    assert "is no run folder" in one_line(command("evaluate", f"run={tmp_path}", cache=cache))


def test_evaluate_refuses_a_split_that_changed(music, cache, tmp_path):
    table = tmp_path / "artists.csv"
    table.write_text("path,artist\n" + "".join(f"low/{number}.png,one\nhigh/{number}.png,x\n" for number in range(2)))
    result = train(
        music, cache, tmp_path / "run", "trainer.max_epochs=1", f"data.table={table}", "split.shares=[0.4,0.3,0.3]"
    )
    assert result.returncode == 0, result.stderr
    assert sum(json.loads((tmp_path / "run" / "record.json").read_text())["data"]["groups"].values()) == 16
    result = command("evaluate", f"run={tmp_path / 'run'}", "clips=val", cache=cache)
    assert result.returncode == 0, result.stderr
    assert re.search(
        r"^audit: validation clips whose recording is in training, too: 0 of \d+; (whose artist is: 0 of \d known|a)",
        result.stdout,
        re.MULTILINE,
    )
    table.write_text(table.read_text().replace("one", "two", 1))
    message = one_line(command("evaluate", f"run={tmp_path / 'run'}", cache=cache))
    assert f"the split is not that of the training; restore {table}" in message


def test_baselines_go_the_whole_road(music, cache, tmp_path):
    """In one folder, one after the other: of a run that is trained anew, no answers of the net before are left."""
    folder, out = tmp_path / "run", tmp_path / "out"
    where = ["data=folder", f"data.path={music}", "data.picture_seconds=6", f"run={folder}"]
    for model, accuracy in (("svm", 1.0), ("majority", 1 / 3)):
        result = command("train", f"model={model}", "view=crop", *where, cache=cache)
        assert result.returncode == 0 and not (folder / "evaluation").exists(), result.stderr
        compared = command("compare", folder, "--out", out, cache=cache)
        assert compared.returncode == 0 and f"scoring {folder}" in compared.stdout, compared.stderr
        (system,) = json.loads((out / "comparison.json").read_text())["systems"]
        assert system["accuracy"] == pytest.approx(accuracy) and system["label"] == model
        metrics = json.loads((folder / "evaluation" / "test" / "metrics.json").read_text())
        assert metrics["model"] == model and metrics["tta"]["none"]["clip"]["accuracy"] == pytest.approx(accuracy)
    (row,) = json.loads(command("predict", music / "low" / "0.png", "--run", folder, "--json", cache=cache).stdout)
    assert row["problem"] == "" and sum(row["probabilities"].values()) == pytest.approx(1)
    exported = command("export", f"run={folder}", cache=cache)
    assert exported.returncode == 0 and exported.stdout.count("differs from the run by") == 2


def test_a_committee_answers_for_runs_of_one_split(music, cache, tmp_path):
    where = ["data=folder", f"data.path={music}", "data.picture_seconds=6", "view=crop"]
    members = tmp_path / "svm", tmp_path / "majority"
    for folder in members:
        assert command("train", f"model={folder.name}", *where, f"run={folder}", cache=cache).returncode == 0
    seated = ["model=committee", f"model.members=[{members[0]},{members[1]}]", f"run={tmp_path / 'both'}"]
    result = command("train", *where, *seated, cache=cache)
    assert result.returncode == 0, result.stderr
    bundle = load_bundle(tmp_path / "both" / "bundle")
    assert [member["kind"] for member in bundle.net.config.members] == ["svm", "majority"]
    scored = command("compare", tmp_path / "both", "--out", tmp_path / "out", cache=cache)
    assert scored.returncode == 0, scored.stderr
    (system,) = json.loads((tmp_path / "out" / "comparison.json").read_text())["systems"]
    assert system["label"] == "committee" and system["accuracy"] == 1.0  # the majority has no say in who is right
    (row,) = json.loads(
        command("predict", music / "low" / "0.png", "--run", tmp_path / "both", "--json", cache=cache).stdout
    )
    assert row["problem"] == "" and sum(row["probabilities"].values()) == pytest.approx(1)

    assert "was trained on another split" in one_line(command("train", *where, *seated, "split=folds", cache=cache))

    known = json.loads((members[0] / "record.json").read_text())["data"]
    data = SimpleNamespace(classes=bundle.classes, view=bundle.view, summary=lambda: known)
    view = dataclasses.replace(bundle.view, name="wide")
    whole = SimpleNamespace(classes=bundle.classes, view=view, summary=lambda: known)
    other = SimpleNamespace(classes=bundle.classes, view=bundle.view, summary=lambda: {**known, "store_digest": "x"})
    for runs, here, message in (
        ([members[0]], whole, "has another view; give view=crop, as for all members"),
        ([members[0]], other, "was trained on other clips"),
        ([tmp_path / "none"], data, "is no run folder"),
        ([members[0] / "bundle"], data, "has no record.json"),
        ([], data, r"model.members=\[\]: give run folders"),
    ):
        with pytest.raises(GenreclfError, match=message):
            fit_baseline({"kind": "committee", "net": {}, "members": runs}, here)


def test_all_clips_train_where_the_temperature_is_given(music, cache, tmp_path):
    everything = ["trainer.max_epochs=1", "split=all", "optim=onecycle"]
    assert "temperature: no validation clips are left" in one_line(train(music, cache, tmp_path / "a", *everything))
    message = one_line(train(music, cache, tmp_path / "b", *everything, "optim.keep=best", "temperature=2"))
    assert "optim.keep=best: there are no validation clips" in message
    result = train(music, cache, tmp_path / "c", *everything, "temperature=2", "half=true")
    assert result.returncode == 0 and "validation accuracy" not in result.stdout, result.stderr
    assert load_bundle(tmp_path / "c" / "bundle").temperature == 2.0
    halved = load_file(tmp_path / "c" / "bundle" / "model.safetensors")
    assert all(tensor.dtype == torch.float16 for tensor in halved.values() if tensor.is_floating_point())
    record = json.loads((tmp_path / "c" / "record.json").read_text())
    assert [sum(record["data"]["clips"][split].values()) for split in ("train", "val", "test")] == [18, 0, 0]
    assert "none of them is in" in one_line(command("evaluate", f"run={tmp_path / 'c'}", cache=cache))
    result = train(music, cache, tmp_path / "c", *everything, "temperature=3", "ckpt=last")
    assert result.returncode == 0 and "epoch" not in result.stderr, result.stderr  # another bundle, no more training
    assert load_bundle(tmp_path / "c" / "bundle").temperature == 3.0


@pytest.mark.parametrize("temperature", ["0", "-1", "nan", "inf"])
def test_a_temperature_that_is_none_is_refused(temperature, music, cache, tmp_path):
    assert "must be above 0" in one_line(train(music, cache, tmp_path / "run", f"temperature={temperature}"))


def test_the_temperature_is_that_of_the_validation_clips(run, music, cache):
    """Fitted anew to the clips' answers as `evaluate` wrote them, the temperature is 1: nothing is left to mend."""
    assert command("evaluate", f"run={run}", "clips=val", "tta=none", cache=cache).returncode == 0
    answers = read_predictions(run / "evaluation" / "val" / "predictions.parquet", "none")
    shares, target = torch.from_numpy(answers.probabilities), torch.from_numpy(answers.target)
    temperature = load_bundle(run / "bundle").temperature
    before = (shares.log() * temperature).softmax(1)  # as they were
    assert fit_temperature(before, target) == pytest.approx(temperature, rel=1e-3)
    assert temperature != 1.0


def test_predict_answers_and_reports_a_bad_file(run, music, cache, tmp_path):
    (tmp_path / "bad.png").write_text("no picture")
    words = [music / "low" / "0.png", tmp_path / "bad.png", music / "high", "--run", run]
    result = command("predict", *words, "--json", cache=cache)
    rows = json.loads(result.stdout)
    assert result.returncode == 1 and len(rows) == 8
    assert "bad.png" in rows[1]["problem"] and f"genreclf: {rows[1]['problem']}" in result.stderr
    found = read_predictions(run / "evaluation" / "test" / "predictions.parquet", "none")
    scored = dict(zip(found.paths, found.probabilities, strict=True))
    answered = {str(Path(row["path"]).relative_to(music)): row for row in rows if not row["problem"]}
    both = scored.keys() & answered.keys()
    assert both
    for path in both:
        assert list(answered[path]["probabilities"].values()) == pytest.approx(list(scored[path]), abs=2e-5)


def test_a_checkpoint_converts_to_a_bundle(run, cache, tmp_path):
    result = command("convert", run / "last.ckpt", "--out", tmp_path / "out", "--temperature", "1.5", cache=cache)
    assert result.returncode == 0, result.stderr
    made, kept = load_bundle(tmp_path / "out"), load_bundle(run / "bundle")
    assert (made.classes, made.view, made.picture_seconds) == (kept.classes, kept.view, kept.picture_seconds)
    assert (made.frames_per_column, made.temperature, made.name) == (kept.frames_per_column, 1.5, "a")
    assert same(
        {f"net.{name}": value for name, value in made.net.state_dict().items()},
        {name: value for name, value in weights(run).items() if name.startswith("net.")},
    )
    alone = tmp_path / "alone.ckpt"
    alone.write_bytes((run / "last.ckpt").read_bytes())
    assert "is missing; leave it in its run folder" in one_line(command("convert", alone, cache=cache))
    for name, content in (("text", b"no weights"), ("pickle", pickle.dumps(print))):
        (tmp_path / name).write_bytes(content)
        assert "is no checkpoint" in one_line(command("convert", tmp_path / name, cache=cache))
    assert "cannot be read (No such file" in one_line(command("convert", tmp_path / "nothing", cache=cache))


def test_predict_starts_without_the_training_libraries():
    code = (
        "import sys, genreclf.predict\n"
        "print([m for m in ('lightning', 'hydra', 'torchmetrics', 'streamlit', 'matplotlib') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize("module", COMMANDS)
def test_help_fits_a_screen(module, cache):
    result = command(module, "--help", cache=cache)
    assert result.returncode == 0 and f"python -m genreclf.{module}" in result.stdout
    assert len(result.stdout.splitlines()) <= 45

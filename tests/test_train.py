"""Trains on the command line, as a user would, with a folder of small pictures."""

import json
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from command_line import NO_EXTRAS, Finished, command, epochs, signal_at, start
from safetensors.torch import load_file
from tiny_pictures import write_bands

from genreclf.evaluation.calibration import fit_temperature
from genreclf.evaluation.predictions import read_predictions
from genreclf.exporters.bundle import load_bundle
from genreclf.inference.temperature import apply_temperature
from genreclf.train import main
from genreclf.training.folder import locked

# The smallest real training: a narrow Model A with two time steps, 12 clips, three batches per epoch.
QUICK = [
    "model=a",
    "model.net.channels=[8,8,16,16]",
    "model.net.lstm_units=[8]",
    "model.net.statistics_units=4",
    "model.net.time_pool=8",
    "optim=original",
    "view=crop",
    "batch_size=4",
    "logger=none",
    "data=folder",
    "data.picture_seconds=6",
]
# Settings with random numbers and state that a resumed run must continue
STATEFUL = ["augment=music", "optim.ema_decay=0.9", "trainer.max_epochs=3"]


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    """Three genres of six pictures each: noise, and a bright band whose position is the genre."""
    return write_bands(tmp_path_factory.mktemp("music"))


def train(music: Path, cache: Path, run: Path, *arguments: str, before: str = NO_EXTRAS) -> Finished:
    return command("train", *QUICK, f"data.path={music}", f"run={run}", *arguments, cache=cache, before=before)


@pytest.fixture
def message(capsys, monkeypatch, tmp_path):
    """Runs a training command that must be refused with exit code 2; returns its one-line message."""
    monkeypatch.chdir(tmp_path)

    def refused(*arguments: str, net: Sequence[str] = QUICK) -> str:
        assert main([*net, "run=refused", "hydra/hydra_logging=disabled", *arguments]) == 2
        error = capsys.readouterr().err
        lines = [line for line in error.splitlines() if line.startswith("genreclf: ")]
        assert len(lines) == 1 and "Traceback" not in error, error
        assert not Path("refused").exists() or len(list(Path("refused").iterdir())) > 1  # not only the lock
        return lines[0]

    return refused


@pytest.fixture(scope="module")
def run(music, cache, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    result = train(music, cache, folder, *STATEFUL, before="")
    assert result.returncode == 0, result.stderr
    return folder


def weights(run: Path) -> dict[str, torch.Tensor]:
    """Returns the running averages and the weights."""
    saved = torch.load(run / "last.ckpt", weights_only=True)
    current = {f"current {name}": value for name, value in saved.get("current_model_state", {}).items()}
    return {**saved["state_dict"], **current}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_run_folder_records_how_to_repeat_the_run(run, music):
    config, record = yaml.safe_load((run / "config.yaml").read_text()), json.loads((run / "record.json").read_text())
    assert config["optim"]["checkpoint"] == "best" and config["data"]["path"] == str(music)
    assert config["trainer"]["precision"] in ("32-true", "bf16-mixed")  # not auto: a resumed run keeps it
    assert record["overrides"][:2] == ["model=a", "model.net.channels=[8,8,16,16]"]
    assert record["seed"] == 0 and record["split_salt"] == "genreclf" and len(record["data"]["store_digest"]) == 64
    assert record["versions"]["torch"] == torch.__version__.split("+")[0]
    assert record["weights"]["pretrained"] is False
    clips = {name: sum(counts.values()) for name, counts in record["data"]["clips"].items()}
    assert clips == {"train": 12, "val": 3, "test": 3}
    audit = json.loads((run / "audit.json").read_text())
    assert audit["clips"] == 18 and audit["chosen_leaks"] is False and audit["label_conflicts"] == 0
    assert audit["leaks"]["chosen"]["test"]["recording"] == {"clips": 0, "of": 3, "share": 0, "unknown": 0}
    assert sum(audit["findings"].values()) == 0
    assert {"best.ckpt", "last.ckpt", "curves.png", "metrics.csv", "bundle"} <= {path.name for path in run.iterdir()}
    assert {path.name for path in (run / "bundle").iterdir()} == {"model.safetensors", "model.onnx", "config.json"}


def test_each_epoch_has_a_row_and_the_bundle_is_the_best_of_them(run):
    assert [row["epoch"] for row in epochs(run)] == ["1", "2", "3"]
    accuracy = [float(row["val/accuracy"]) for row in epochs(run)]
    best = torch.load(run / "best.ckpt", weights_only=True)
    assert best["epoch"] == accuracy.index(max(accuracy))
    # What a resumed run must not change
    assert {"net", "optim", "augment", "batch_size", "trainer", "view"} <= best["hyper_parameters"].keys()
    net = load_bundle(run / "bundle").net.state_dict()
    assert same(net, {name[4:]: value for name, value in best["state_dict"].items() if name.startswith("net.")})


def test_epochs_without_validation_have_no_validation_metrics(music, cache, tmp_path):
    result = train(music, cache, tmp_path / "run", "trainer.max_epochs=3", "trainer.check_val_every_n_epoch=2")
    assert result.returncode == 0, result.stderr
    rows = epochs(tmp_path / "run")
    for name in ("val/accuracy", "val/loss"):
        assert [bool(row[name]) for row in rows] == [False, True, False]
    assert all(float(row["train/loss"]) > 0 for row in rows)
    assert torch.load(tmp_path / "run" / "best.ckpt", weights_only=True)["epoch"] == 1
    assert (tmp_path / "run" / "curves.png").is_file()


def test_another_seed_gives_another_model(run, music, cache, tmp_path):
    """The tests of resumed runs check that one seed gives the same bits."""
    assert train(music, cache, tmp_path / "run", *STATEFUL, "seed=1", "trainer.max_epochs=1").returncode == 0
    assert epochs(tmp_path / "run")[0] != epochs(run)[0]


# The process is killed when it has written the second last.ckpt but has not renamed it yet.
KILL_IN_CHECKPOINT = """
import os, signal, genreclf.training.checkpoint_io as c
write, left = c.write_atomically, [2]
def killed(path, content):
    left[0] -= path.name == "last.ckpt"
    if not left[0]: os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
    write(path, content)
c.write_atomically = killed
"""
# The disk is full when the first last.ckpt is written.
FULL_AT_CHECKPOINT = """
import resource, genreclf.training.checkpoint_io as c
write = c.write_atomically
def full(path, content):
    if path.name == "last.ckpt": resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    write(path, content)
c.write_atomically = full
"""


def test_a_run_stopped_four_times_and_resumed_ends_with_the_same_bits(run, music, cache, tmp_path):
    """Each resumption is different; the last is in another folder, with more epochs."""
    stopped, moved, link = tmp_path / "stopped", tmp_path / "moved", tmp_path / "link"
    two = [*STATEFUL, "trainer.max_epochs=2"]
    result = train(music, cache, stopped, *two, before=NO_EXTRAS + signal_at("training_step", 2, "SIGKILL"))
    assert result.returncode == -signal.SIGKILL, result.stderr  # in the first epoch
    words = [*two, f"data.path={os.path.relpath(music, cache)}", "ckpt=last"]
    result = train(music, cache, stopped, *words, before=NO_EXTRAS + KILL_IN_CHECKPOINT)
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert list(stopped.glob(".*.new")) and torch.load(stopped / "last.ckpt", weights_only=True)["epoch"] == 0
    link.symlink_to(stopped)
    result = command("train", f"run={link}", "ckpt=last", cache=cache, before=NO_EXTRAS + FULL_AT_CHECKPOINT)
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("genreclf: "))
    assert result.returncode == 2 and "last.ckpt" in line and "ckpt=last" in line and "Traceback" not in result.stderr
    assert torch.load(stopped / "last.ckpt", weights_only=True)["epoch"] == 0
    stopped.rename(moved)
    words = ["trainer.max_epochs=3", f"run={moved}", "ckpt=last"]
    result = command("train", *words, cache=cache, before=NO_EXTRAS + signal_at("validation_step", 2, "SIGKILL"))
    assert result.returncode == -signal.SIGKILL, result.stderr
    result = command("train", f"run={moved}", "ckpt=last", cache=cache, before=NO_EXTRAS)
    assert result.returncode == 0, result.stderr
    assert same(weights(run), weights(moved))
    assert epochs(run) == epochs(moved)
    best = (torch.load(folder / "best.ckpt", weights_only=True)["epoch"] for folder in (run, moved))
    assert len(set(best)) == 1
    assert not list(moved.rglob(".*.new"))
    record = json.loads((moved / "record.json").read_text())
    assert record["overrides"][:2] == QUICK[:2] and "trainer.max_epochs=3" in record["overrides"]


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_with_the_same_bits(run, music, cache):
    """Uses a file system in memory. A kill may come between any two writes."""
    rng, kills = random.Random(0), 20
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        folder, killed = Path(place) / "run", 0
        longest = 2.0
        while killed < kills:
            outputs = [Path(place) / name for name in ("stdout", "stderr")]
            resume = ["ckpt=last"] if (folder / "config.yaml").is_file() else []
            words = [*QUICK, *STATEFUL, f"data.path={music}", f"run={folder}", *resume]
            process = start("train", *words, cache=cache, before=NO_EXTRAS, outputs=outputs)
            process.join(rng.uniform(0, longest))
            finished = not process.is_alive()
            process.kill()
            process.join()
            assert process.exitcode in (0, -signal.SIGKILL), outputs[1].read_text()
            killed += not finished
            longest *= 0.9 if finished else 1.2  # approaches the duration of a run
        result = train(music, cache, folder, *STATEFUL, "ckpt=last")
        assert result.returncode == 0, result.stderr
        assert same(weights(run), weights(folder)) and epochs(run) == epochs(folder)
        assert not list(folder.rglob(".*.new"))


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_stopped_run_prints_how_to_resume(name, music, cache, tmp_path):
    before = NO_EXTRAS + signal_at("training_step", 2, name)
    result = train(music, cache, tmp_path / "run", "trainer.max_epochs=3", before=before)
    assert result.returncode == 128 + getattr(signal, name)
    assert result.stderr == f"stopped; resume with genreclf train run={tmp_path / 'run'} ckpt=last\n"


# The signal comes during a call that takes half a minute.
BLOCKED = """
import hashlib, os, signal, threading
def blocked(*arguments, **named):
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 50_000_000)
"""


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        ("genreclf.data.clip_reader.read_clip", "run the same command again"),
        ("genreclf.data.build_store.find_matches", "run the same command again"),
        ("genreclf.training.baselines.fit_baseline", "ckpt=last"),
        ("genreclf.evaluation.trained_bundle.fit_temperature", "ckpt=last"),
        ("genreclf.exporters.bundle.bundle_onnx", "ckpt=last"),
    ],
)
def test_a_run_can_be_stopped_at_every_stage(stage, line, music, tmp_path):
    module, _, name = stage.rpartition(".")
    before = f"{BLOCKED}\nimport {module} as stage\nstage.{name} = blocked"
    words = ["model=majority", "data=folder", f"data.path={music}", f"run={tmp_path / 'run'}"]
    started = time.monotonic()
    result = command("train", *words, cache=tmp_path, before=before)
    assert result.returncode == 128 + signal.SIGTERM
    assert result.stderr.startswith("stopped; ") and result.stderr.count("\n") == 1 and line in result.stderr
    assert time.monotonic() - started < 20  # much less than the call takes


def test_a_run_folder_is_for_one_process_at_a_time(music, message, tmp_path):
    (tmp_path / "run").mkdir()
    with locked(tmp_path / "run"):
        assert "another process" in message(f"data.path={music}", f"run={tmp_path / 'run'}")


@pytest.mark.parametrize(
    ("argument", "parts"),
    [
        ("optim.learning_rate=1e30", ("nan", "lower optim.learning_rate")),
        *((f"trainer.max_epochs={value}", (f"trainer.max_epochs={value}", "has 3", "higher")) for value in (2, "many")),
        ("model=b", ("model=b gives ", "leave it out")),
    ],
)
def test_impossible_resumptions_end_with_one_line(argument, parts, run, music, message, tmp_path):
    words = [f"data.path={music}", "trainer.max_epochs=1", "trainer.limit_train_batches=1", "optim.learning_rate=1e30"]
    if not argument.startswith("optim"):
        words = [f"data.path={music}", f"run={run}", "ckpt=last", argument]
    line = message(*words)
    assert all(part in line for part in parts)
    if argument.startswith("optim"):
        assert not {"last.ckpt", "best.ckpt", "bundle"} & {path.name for path in Path("refused").iterdir()}


@pytest.mark.parametrize(
    ("argument", "parts"),
    [
        ("data.path=nowhere", ("nowhere:", "give the folder")),
        ("data.unknown_artists=maybe", ("data.unknown_artists=maybe", "single, together")),
        ("ckpt=last", ("refused", "run=FOLDER")),
        ("teacher=", ("teacher=", "empty")),
        ("init=", ("init=", "leave it out")),
        ("model.name=", ("model.name=", "give a name")),
        ("augment.band_shift=65", ("augment.band_shift=65", "64")),
        ("optim.warmup=0.1", ("optim.warmup=0.1", "optim.warmup=null")),
        ("trainer.fast_dev_run=3", ("trainer.fast_dev_run=3", "trainer.limit_train_batches=2")),
        (["trainer.precision=16-mixed", "trainer.accelerator=cpu"], ("trainer.precision=16-mixed", "bf16-mixed")),
    ],
)
def test_a_mistake_is_refused_before_the_data_are_read(argument, parts, message):
    words = [argument] if isinstance(argument, str) else argument
    line = message("data=folder", "data.path=/nowhere", *words, net=["optim=original"])
    assert all(part in line for part in parts)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["trainer.accelerator=gpu"], ("trainer.accelerator=gpu: ", "gpu backend")),
        (["trainer.devices=0"], ("trainer.devices=0: ",)),
        (["trainer.val_check_interval=100"], ("trainer.val_check_interval=100: ", "training batches")),
        (["trainer.limit_train_batches=0"], ("trainer.limit_train_batches=0", "at least one epoch")),
        (["trainer.limit_train_batches=0", "optim=onecycle"], ("trainer.limit_train_batches=0", "at least one epoch")),
        (["trainer.val_check_interval=0"], ("trainer.val_check_interval=0",)),
        (["trainer.max_steps=2"], ("trainer.max_steps=2: ", "validated", "optim.checkpoint=last")),
        (["trainer.strategy=ddp_fork"], ("trainer.strategy=ddp_fork: ", "ddp")),
        (["trainer.num_nodes=many"], ("trainer.num_nodes=many: ", "whole number")),
        (["trainer.enable_checkpointing=false"], ("trainer.enable_checkpointing=false: ", "enable_checkpointing")),
        (["model.net.channels=[100000,8,16,16]"], ("model.net:", "memory")),
        (["model.weights=auto"], ("model.weights=auto", "none")),
        (["data.drop=[x]"], ("data.drop=", "a path")),
        (["optim.teacher_weight=2"], ("optim.teacher_weight=2", "no teacher", "leave it out")),
        (["split=all"], ("temperature", "give a number")),
        (["split=all", "temperature=2"], ("optim.checkpoint=best", "validation clips", "optim.checkpoint=last")),
        (["data.label_conflicts=drop", "split.shares=[0.9,0.05,0.05]"], ("class",)),
    ],
)
def test_settings_without_which_no_model_is_trained_are_refused(arguments, parts, music, message):
    line = message(f"data.path={music}", *arguments)
    assert all(part in line for part in parts)


def test_a_missing_logger_package_is_named(music, message, monkeypatch):
    for package in ("_TENSORBOARD_AVAILABLE", "_TENSORBOARDX_AVAILABLE"):
        monkeypatch.setattr(f"lightning.fabric.loggers.tensorboard.{package}", False)
        monkeypatch.setattr(f"lightning.pytorch.loggers.tensorboard.{package}", False, raising=False)
    line = message(f"data.path={music}", "logger=tensorboard")
    assert "logger.tensorboard: " in line and "pip install" in line


def test_a_class_with_too_few_clips_is_named_before_the_training(music, message, tmp_path):
    for genre, clips in (("low", 2), ("high", 6)):
        (tmp_path / "music" / genre).mkdir(parents=True)
        for picture in sorted((music / genre).iterdir())[:clips]:
            shutil.copy(picture, tmp_path / "music" / genre)
    assert "'low' (2 clips" in message(f"data.path={tmp_path / 'music'}")


def test_a_run_that_lost_its_configuration_is_not_replaced(music, message, tmp_path):
    files = [tmp_path / "run" / name for name in ("record.json", "last.ckpt", "bundle/config.json")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    line = message(f"data.path={music}", f"run={tmp_path / 'run'}")
    assert "bundle" in line and "config.yaml" in line and "another folder" in line
    assert [file.read_text() for file in files] == ["mine"] * 3


def test_resuming_with_other_settings_is_refused(run, music, message):
    line = message(f"data.path={music}", *STATEFUL, f"run={run}", "ckpt=last", "optim.label_smoothing=0.2")
    assert "optim.label_smoothing=0.2" in line and "0.1" in line and "leave it out" in line


@pytest.mark.parametrize(
    ("file", "content"), [("config.yaml", "{data: {}, model: {name: a}}"), ("last.ckpt", "no archive")]
)
def test_a_damaged_run_folder_is_not_resumed(file, content, run, message, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / file).write_text(content)
    line = message(f"run={copy}", "ckpt=last", "trainer.max_epochs=4", net=())
    assert str(copy / file) in line and "copy" in line


def test_an_edited_configuration_is_not_resumed(run, message, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    config = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(config.replace("batch_size: 4", "batch_size: 3"))
    line = message(f"run={copy}", "ckpt=last", net=())
    assert "batch_size=3" in line and "4" in line and "config.yaml" in line


def test_edited_metrics_do_not_end_a_resumed_run(run, cache, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    rows = (copy / "metrics.csv").read_text().splitlines(keepends=True)
    (copy / "metrics.csv").write_text("".join(rows[:-1]) + "three" + rows[-1][1:])
    result = command("train", f"run={copy}", "ckpt=last", cache=cache, before=NO_EXTRAS)
    assert result.returncode == 0 and "validation accuracy" in result.stdout, result.stderr


def test_a_sweep_runs_every_job_and_reports_the_bad_one(music, cache):
    where = [f"data.path={music}", "trainer.max_epochs=1", "hydra.sweep.dir=sweep"]
    words = [*QUICK, *where, "optim.checkpoint=first,last", "seed=0"]
    result = command("train", "-m", *words, cache=cache, before=NO_EXTRAS)
    assert result.returncode == 2 and result.stderr.count("genreclf: ") == 1 and "Traceback" not in result.stderr
    assert "optim.checkpoint=first" in result.stderr
    (bundle,) = (cache / "sweep").rglob("bundle")
    assert "checkpoint=last" in bundle.parent.name


def test_bf16_and_any_argument_of_the_trainer(music, cache, tmp_path):
    before = NO_EXTRAS + (
        "import torch, genreclf.training.module as m\n"
        "step = m.GenreModule.training_step\n"
        "def shown(self, batch, i):\n"
        "    print('autocast', torch.is_autocast_enabled('cpu'), torch.get_autocast_dtype('cpu'), i)\n"
        "    return step(self, batch, i)\n"
        "m.GenreModule.training_step = shown\n"
    )
    words = ["optim=onecycle", "trainer.precision=bf16-mixed", "trainer.limit_train_batches=1", "trainer.max_epochs=1"]
    words += ["trainer.overfit_batches=1"]
    result = train(music, cache, tmp_path / "run", *words, before=before)
    assert result.returncode == 0, result.stderr
    steps = [line for line in result.stdout.splitlines() if line.startswith("autocast")]
    assert steps == ["autocast True torch.bfloat16 0"]
    (warning,) = (line for line in result.stderr.splitlines() if "overfit" in line)  # Lightning's
    assert warning.startswith("genreclf: ") and ".py" not in warning
    assert "trainer.limit_train_batches=1" in json.loads((tmp_path / "run" / "record.json").read_text())["overrides"]


def test_baselines_are_trained_scored_compared_and_exported(music, cache, tmp_path):
    out, where = tmp_path / "out", ["view=crop", "data=folder", f"data.path={music}", "data.picture_seconds=6"]

    def fit(model: str, run: str, before: str = NO_EXTRAS) -> Finished:
        return command("train", f"model={model}", *where, f"run={tmp_path / run}", cache=cache, before=before)

    for model, accuracy, before in (("svm", 1.0, NO_EXTRAS), ("majority", 1 / 3, "")):
        folder = tmp_path / model
        result = fit(model, model, before)
        assert result.returncode == 0, result.stderr
        compared = command("compare", folder, "--out", out, cache=cache)
        assert compared.returncode == 0, compared.stderr
        (system,) = json.loads((out / "comparison.json").read_text())["systems"]
        assert system["accuracy"] == pytest.approx(accuracy) and system["label"] == model
    exported = command("export", folder, cache=cache)
    assert exported.returncode == 0, exported.stderr
    assert len(list((folder / "exports").iterdir())) == 2
    predicted = command("predict", music / "low" / "0.png", "--model", folder, "--json", cache=cache)
    (row,) = json.loads(predicted.stdout)
    assert row["problem"] == "" and sum(row["probabilities"].values()) == pytest.approx(1)
    # A run's folder refuses another model. Training the same model again removes the scores of the earlier net.
    refused = fit("majority", "svm")
    assert refused.returncode == 2 and "model=svm" in refused.stderr and (tmp_path / "svm" / "evaluation").exists()
    assert fit("majority", "majority").returncode == 0 and not (folder / "evaluation").exists()


def test_all_clips_train_if_the_temperature_is_given(music, cache, message, tmp_path):
    words = ["trainer.max_epochs=1", "split=all", "optim=onecycle"]
    result = train(music, cache, tmp_path / "run", *words, "temperature=2", "fp16_weights=true")
    assert result.returncode == 0 and "validation accuracy" not in result.stdout, result.stderr
    assert load_bundle(tmp_path / "run" / "bundle").info.temperature == 2.0
    rounded = load_file(tmp_path / "run" / "bundle" / "model.safetensors")
    assert all(tensor.dtype == torch.float16 for tensor in rounded.values() if tensor.is_floating_point())
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert [sum(record["data"]["clips"][split].values()) for split in ("train", "val", "test")] == [18, 0, 0]
    # Another bundle, without more training
    result = train(music, cache, tmp_path / "run", *words, "temperature=3", "ckpt=last")
    assert result.returncode == 0 and "epoch" not in result.stderr, result.stderr
    assert load_bundle(tmp_path / "run" / "bundle").info.temperature == 3.0


def test_all_commands_agree_on_the_temperature_and_the_predictions(run, music, cache):
    """The temperature is optimal for the validation clips, as scored by evaluate; predict agrees with it."""
    result = command("evaluate", run, "clips=val", "tta=none", cache=cache)
    assert result.returncode == 0, result.stderr
    scored = read_predictions(run / "evaluation" / "val" / "predictions.parquet", "none")
    temperature = load_bundle(run / "bundle").info.temperature
    uncalibrated = apply_temperature(scored.probabilities, 1 / temperature)
    assert fit_temperature(uncalibrated, scored.target) == pytest.approx(temperature, rel=1e-3)
    assert temperature != 1.0
    files = [music / path for path in scored.paths]
    rows = json.loads(command("predict", *files, "--model", run, "--json", cache=cache).stdout)
    predicted = np.array([list(row["probabilities"].values()) for row in rows])
    np.testing.assert_allclose(predicted, scored.probabilities, atol=2e-5)


def test_a_checkpoint_converts_to_a_bundle(run, cache, tmp_path):
    words = [run / "last.ckpt", "--out", tmp_path / "out", "--temperature", "1.5"]
    result = command("convert", *words, cache=cache, before=NO_EXTRAS)
    assert result.returncode == 0, result.stderr
    made, kept = load_bundle(tmp_path / "out"), load_bundle(run / "bundle")
    assert made.info.to_dict() == {**kept.info.to_dict(), "temperature": 1.5}
    assert same(
        {f"net.{name}": value for name, value in made.net.state_dict().items()},
        {name: value for name, value in weights(run).items() if name.startswith("net.")},
    )


@pytest.mark.parametrize("name", ["app", "embed", "serve"])
def test_modules_that_no_other_test_runs_have_their_help(name, cache):
    result = command(name, "--help", cache=cache)
    assert result.returncode == 0 and f"genreclf {name}" in result.stdout

"""Runs in MLflow and in W&B, read back from there."""

import csv
import json
import struct
from pathlib import Path

import pytest
from command_line import NO_EXTRAS, Finished, command, signal_at
from hypothesis import given
from hypothesis import strategies as st
from tiny_pictures import write_bands

from genreclf.training.loggers import Loggers, RunLogger

# The smallest training run with epochs: a narrow Model A, 12 clips
NET = [
    *("model=a", "model.net.channels=[8,8,16,16]", "model.net.lstm_units=[8]", "model.net.statistics_units=0"),
    *("optim=original", "batch_size=4", "trainer.max_epochs=2"),
]
AWAY = ["logger=mlflow", "logger.mlflow.tracking_uri=http://127.0.0.1:9"]


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    """Three genres with six pictures each."""
    return write_bands(tmp_path_factory.mktemp("music"))


def train(music: Path, folder: Path, *arguments: str, before: str = "") -> Finished:
    words = ["view=crop", "data=folder", "data.picture_seconds=6", f"data.path={music}", "run=run"]
    return command("train", *words, *arguments, cache=folder, before=NO_EXTRAS + before)


def scored(folder: Path) -> dict:
    """Returns the content of metrics.json after `genreclf evaluate`."""
    done = command("evaluate", "run", "tta=none", cache=folder)
    assert done.returncode == 0 and "logger=" not in done.stderr, done.stderr
    return json.loads((folder / "run" / "evaluation" / "test" / "metrics.json").read_text())["tta"]["none"]["clip"]


def epochs(folder: Path) -> list[dict[str, float]]:
    with (folder / "run" / "metrics.csv").open() as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def test_a_killed_run_resumes_in_the_same_mlflow_run(music, tmp_path):
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient

    words = [*NET, "logger=[csv,mlflow]", "logger.mlflow.experiment=genres", "logger.mlflow.register=model of genres"]
    assert train(music, tmp_path, *words, before=signal_at("training_step", 4, "SIGKILL")).returncode == -9
    done = train(music, tmp_path, "ckpt=last")
    assert done.returncode == 0 and "logger=" not in done.stderr, done.stderr
    clip = scored(tmp_path)

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'genres'")
    (run,) = client.search_runs([experiment.experiment_id])
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["loggers"]["mlflow"]["run_id"] == run.info.run_id
    assert (run.info.status, run.info.run_name) == ("FINISHED", "run")
    params = run.data.params
    assert (params["seed"], params["optim.optimizer"], params["data.path"]) == ("0", "adam", str(music))
    assert params["model.net.channels"] == "[8, 8, 16, 16]" and params["split.name"] == "hashed"
    assert run.data.tags["store_digest"] == record["data"]["store_digest"]
    assert run.data.tags["mlflow.source.git.commit"] == str(record["git_commit"])
    (dataset,) = (each.dataset for each in run.inputs.dataset_inputs)
    assert dataset.name == "folder" and record["data"]["store_digest"].startswith(dataset.digest)
    assert json.loads(dataset.profile)["clips"] == record["data"]["clips"]

    for name in ("train/loss", "val/loss", "val/accuracy", "learning_rate"):
        history = {metric.step: metric.value for metric in client.get_metric_history(run.info.run_id, name)}
        assert history == {row["epoch"]: row[name] for row in epochs(tmp_path)}
    low, high = clip["intervals"]["accuracy"]["shown"]
    found = [run.data.metrics[f"test/{name}"] for name in ("accuracy", "accuracy_low", "accuracy_high", "log_loss")]
    assert found == [clip["accuracy"], low, high, clip["log_loss"]]

    places = {
        file.path
        for folder in ("", "bundle", "evaluation/test")
        for file in client.list_artifacts(run.info.run_id, folder)
    }
    assert {"config.yaml", "record.json", "metrics.csv", "bundle/model.safetensors", "bundle/README.md"} <= places
    assert "evaluation/test/report.html" in places
    kept = tmp_path / "mlartifacts" / "genres" / run.info.run_id / "artifacts" / "bundle" / "model.safetensors"
    assert kept.read_bytes() == (tmp_path / "run" / "bundle" / "model.safetensors").read_bytes()
    (version,) = client.search_model_versions("name = 'model of genres'")
    assert version.run_id == run.info.run_id and version.source.endswith("/artifacts/bundle")


def wandb_records(folder: Path) -> list:
    """Reads the records of all parts of an offline run: a header of 7 bytes, then blocks as in LevelDB's log."""
    from wandb.proto.wandb_internal_pb2 import Record

    found = []
    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        content, place, part = file.read_bytes(), 7, b""
        assert content[:4] == b":W&B"
        while place + 7 <= len(content):
            if 32768 - place % 32768 < 7:  # the rest of a block is padding
                place += 32768 - place % 32768
                continue
            _, length, kind = struct.unpack("<IHB", content[place : place + 7])
            part += content[place + 7 : place + 7 + length]
            place += 7 + length
            if kind in (1, 4):  # whole, or its last piece
                found.append(Record.FromString(part))
                part = b""
    return found


def values_of(items) -> dict:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def test_an_offline_wandb_run_has_its_values(music, tmp_path):
    pytest.importorskip("wandb")
    done = train(music, tmp_path, *NET, "logger=wandb", "logger.wandb.project=genres")
    assert done.returncode == 0 and "logger=" not in done.stderr, done.stderr
    clip = scored(tmp_path)

    records = wandb_records(tmp_path / "run")
    runs = [record.run for record in records if record.HasField("run")]
    identity = json.loads((tmp_path / "run" / "record.json").read_text())["loggers"]["wandb"]["id"]
    assert {run.run_id for run in runs} == {identity} and {run.project for run in runs} == {"genres"}
    history = [values_of(record.history.item) for record in records if record.HasField("history")]
    for row, logged in zip(epochs(tmp_path), history, strict=True):
        assert {name: logged[name] for name in row} == row
    summary: dict = {}
    for record in records:
        summary |= values_of(record.summary.update) if record.HasField("summary") else {}
    low, high = clip["intervals"]["accuracy"]["shown"]
    found = [summary[f"test/{name}"] for name in ("accuracy", "accuracy_low", "accuracy_high", "log_loss")]
    assert found == [clip["accuracy"], low, high, clip["log_loss"]]
    settings: dict = {}
    for record in records:
        settings |= values_of(record.config.update) if record.HasField("config") else {}
    assert settings["batch_size"] == 4 and settings["data"]["path"] == str(music)
    files = {path.name for path in (tmp_path / "run" / "wandb").rglob("files/run/**/*")}
    assert {"config.yaml", "metrics.csv", "report.html"} <= files
    (artifact,) = (record.artifact for record in records if record.HasField("artifact"))
    # Nothing is copied to the home folder.
    kept = {entry.path: entry.local_path for entry in artifact.manifest.contents}
    assert artifact.type == "model" and set(kept) == {"config.json", "model.onnx", "model.safetensors"}
    assert all(Path(path).parent == tmp_path / "run" / "bundle" for path in kept.values())


@pytest.mark.parametrize(
    ("words", "before", "parts"),
    [
        (AWAY, "", ("logger=mlflow: ", "continues, and tries again")),
        (["logger=mlflow"], "import sys\nsys.modules['mlflow'] = None\n", ("logger=mlflow: ", "pip install 'mlflow>=")),
        (["logger=wandb"], "import sys\nsys.modules['wandb'] = None\n", ("logger=wandb: ", "pip install 'wandb>=")),
    ],
)
def test_an_unavailable_service_does_not_affect_training(words, before, parts, music, tmp_path):
    if words == AWAY:
        pytest.importorskip("mlflow")
    done = train(music, tmp_path, "model=majority", *words, before=before)
    assert done.returncode == 0 and (tmp_path / "run" / "bundle" / "config.json").is_file()
    (line,) = (line for line in done.stderr.splitlines() if "logger=" in line)
    assert all(word in line for word in parts) and "Traceback" not in done.stderr


def test_a_wrong_key_of_a_logger_is_refused(music, tmp_path):
    done = train(music, tmp_path, "model=majority", "logger=mlflow", "logger.mlflow.experimnt=x")
    assert done.returncode == 2 and "logger.mlflow.experimnt: unknown key" in done.stderr
    unknown = train(music, tmp_path, "model=majority", "logger=[csv,nowhere]")
    assert unknown.returncode == 2 and "logger=nowhere: unknown; known: csv, mlflow" in unknown.stderr


class Service(RunLogger):
    """A logger that fails if its next planned answer is False, and keeps what it receives."""

    def __init__(self, answers: list[bool]) -> None:
        self.answers, self.received = answers, []

    def tell(self, what: object) -> None:
        if self.answers and not self.answers.pop(0):
            raise ConnectionError("away")
        self.received.append(what)

    def start(self, folder, ids):
        self.tell("start")
        return {"id": "7"}

    def describe(self, folder, config, record):
        pass

    def metrics(self, values, epoch):
        self.tell(epoch)

    def files(self, folder, paths):
        self.tell("files")

    def model(self, folder, bundle):
        self.tell("model")

    def end(self, status):
        self.tell(status)


@given(st.lists(st.booleans(), max_size=12))
def test_missed_calls_are_sent_later_in_order(tmp_path_factory, answers):
    """In each call, only the first failure ends the attempt; the last call here always succeeds."""
    run = tmp_path_factory.mktemp("run")
    (run / "config.yaml").write_text("{data: {}, model: {name: a}}")
    (run / "record.json").write_text('{"overrides": []}')
    service = Service(list(answers))
    expected = ["start", 1, 2, 3, "model", "finished"]
    with Loggers({"service": service}, run) as loggers:
        for epoch in (1, 2, 3):
            loggers.epoch({"epoch": epoch, "val/loss": 1.0})
        loggers.model("bundle")
        service.answers.clear()
    assert service.received == expected
    assert json.loads((run / "record.json").read_text())["loggers"] == {"service": {"id": "7"}}


def test_a_service_that_does_not_respond_is_not_called_for_a_while(monkeypatch, tmp_path):
    """An attempt that takes 5 s (by a fake clock) delays the next ones for 45 s, but not the last one."""
    (tmp_path / "config.yaml").write_text("{data: {}, model: {name: a}}")
    (tmp_path / "record.json").write_text('{"overrides": []}')
    clock, service = [0.0], Service([])
    monkeypatch.setattr("genreclf.training.loggers.time.monotonic", lambda: clock[0])
    attempts = []

    def silent(values, epoch):
        attempts.append(epoch)
        clock[0] += 5
        raise ConnectionError("timeout")

    with Loggers({"service": service}, tmp_path) as loggers:
        monkeypatch.setattr(service, "metrics", silent)
        for epoch in range(1, 61):  # a second each
            clock[0] += 1
            loggers.epoch({"epoch": epoch, "val/loss": 1.0})
        assert attempts == [1, 1]
        monkeypatch.undo()
    assert service.received == ["start", *range(1, 61), "finished"]


def test_only_the_first_process_logs(tmp_path):
    service = Service([])
    with Loggers({"service": service}, tmp_path, first=False) as loggers:
        loggers.epoch({"epoch": 1, "val/loss": 1.0})
        loggers.model("bundle")
    assert service.received == []

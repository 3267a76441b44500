"""genreclf search: its ranges, its trials after a kill and with two workers, and its result."""

import json
import re
import shlex
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from command_line import NO_EXTRAS, Finished, command, start
from sklearn.metrics import average_precision_score
from tiny_pictures import write_bands

from genreclf.errors import GenreclfError
from genreclf.evaluation.predictions import read_predictions

optuna = pytest.importorskip("optuna")
from optuna.trial import FixedTrial, TrialState  # noqa: E402

from genreclf.search import main  # noqa: E402
from genreclf.search_space import read_space, split_words  # noqa: E402
from genreclf.search_study import Study  # noqa: E402

LABELS = ("low", "middle", "high")
SVM = ["model=svm", "model.c=tag(log, interval(0.01, 100))", "trials=3", "run=search"]
NET = [
    *("model=a", "model.net.channels=[8,8,16,16]", "model.net.lstm_units=[8]", "model.net.statistics_units=0"),
    *("optim=original", "batch_size=4", "trainer.max_epochs=3"),
]
# The process is killed while it fits its second model.
KILLED = """
import os, signal, genreclf.training.baselines as b
fit, left = b.svm_net, [2]
def killed(*arguments):
    left[0] -= 1
    if not left[0]: os.kill(os.getpid(), signal.SIGKILL)
    return fit(*arguments)
b.svm_net = killed
"""


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    """Three genres of six pictures each, some of them hard to tell apart."""
    return write_bands(tmp_path_factory.mktemp("music"), [50 + 10 * number for number in range(6)])


def words_of(music: Path, *arguments: str) -> list[str]:
    data = ["logger=none", "view=crop", "data=folder", "data.picture_seconds=6", f"data.path={music}"]
    return [*data, *arguments]


def search(music: Path, folder: Path, *arguments: str, before: str = "") -> Finished:
    return command("search", *words_of(music, *arguments), cache=folder, before=NO_EXTRAS + before)


def trials(folder: Path) -> list:
    storage = f"sqlite:///{folder}/search/study.db"
    return optuna.load_study(study_name="search", storage=storage).get_trials()


def test_ranges_are_read_as_hydra_writes_sweeps():
    words = ["a=interval(1,3)", "b=tag(log,interval(1e-4,1e-2))", "c=int(interval(1,8))", "d=range(16,65,16)"]
    words += ["e=x,[1,2]", "f=choice(adam,muon)", "g=range(0.1,0.4,0.1)", "seed=3", "data.path=/a"]
    space, fixed = split_words(words)
    assert fixed == ["seed=3", "data.path=/a"]
    chosen = {"a": 2.5, "b": 1e-3, "c": 8, "d": 48, "e": "[1,2]", "f": "muon", "g": "0.2"}
    trial = FixedTrial(chosen)
    assert [dimension.suggest(trial) for dimension in space] == [f"{key}={value}" for key, value in chosen.items()]
    found = {key: (type(each).__name__, getattr(each, "log", None)) for key, each in trial.distributions.items()}
    assert found["a"] == ("FloatDistribution", False) and found["b"] == ("FloatDistribution", True)
    assert found["c"] == ("IntDistribution", False) and trial.distributions["d"].high == 64
    assert {found[key][0] for key in "efg"} == {"CategoricalDistribution"}


def test_a_file_of_ranges_gives_the_same_words(tmp_path):
    file = tmp_path / "space.yaml"
    file.write_text("optim.learning_rate: tag(log, interval(1e-4, 1e-2))\nbatch_size: [16, 32]\nx: [[8, 8], null]\n")
    words = ["optim.learning_rate=tag(log, interval(1e-4, 1e-2))", "batch_size=16,32", "x=[8, 8],null"]
    assert read_space(file) == words
    space, _ = split_words(words)
    assert [dimension.choices for dimension in space] == [(), ("16", "32"), ("[8,8]", "null")]


@pytest.mark.parametrize("content", ["- a", "a: 3", "a: {b: 1}", "", "a: [", None])
def test_a_file_without_ranges_is_refused(content, tmp_path):
    file = tmp_path / "space.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(GenreclfError, match=r"^space=.*space.yaml: "):
        read_space(file)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["seed=0"], ("no key has a range",)),
        (["seed=interval(3,1)"], ("seed=interval(3,1): ", "lower")),
        (["seed=tag(log, interval(0,1))"], ("seed=tag(log, interval(0,1)): ", "above 0")),
        (["model=glob(*)"], ("model=glob(*): ", "interval")),
        (["seed=1,2", "seed=interval(1,2)"], ("seed: ", "once")),
        (["seed=1,2", "objective=loss"], ("objective=loss: ", "log_loss, accuracy")),
        (["seed=1,2", "objective=accuracy", "task=multilabel"], ("objective=accuracy: ", "mean_average_precision")),
        (["seed=1,2", "task=several"], ("task=several", "multiclass, multilabel")),
        (["seed=1,2", "trainer.max_epochs=many"], ("trainer.max_epochs=many: ", "whole number")),
        (["seed=1,2", "trials=0"], ("trials=0: ", "at least 1")),
        (["seed=1,2", "batchsize=3"], ("batchsize: ", "'batch_size'")),
        (["optim.learning_rat=interval(1,2)"], ("optim.learning_rat: ", "'optim.learning_rate'")),
        (["seed=1,2", "trainer.devices=2"], ("trainer.devices=2: ", "workers")),
        (["seed=1,2", "storage=nowhere://x"], ("storage=nowhere://x: ",)),
    ],
)
def test_mistakes_end_a_search_before_it_trains(arguments, words, music, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words_of(music, "run=search", "hydra/hydra_logging=disabled", *arguments)) == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("genreclf: "))
    assert all(word in line for word in words) and not list(tmp_path.rglob("trial-*"))


def test_a_search_that_is_stopped_while_it_checks_its_settings_says_so(music, tmp_path):
    before = "import genreclf.search_trials as s, os, signal\n"
    before += "s.check_trainer = lambda *settings: os.kill(os.getpid(), signal.SIGTERM)\n"
    result = command("search", *words_of(music, "run=search", "seed=1,2"), cache=tmp_path, before=before)
    assert (result.returncode, result.stderr) == (128 + signal.SIGTERM, "stopped\n")


def test_a_killed_search_resumes_and_prints_the_best_settings(music, tmp_path):
    killed = search(music, tmp_path, *SVM, before=KILLED)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [trial.state for trial in trials(tmp_path)] == [TrialState.COMPLETE, TrialState.RUNNING]

    done = search(music, tmp_path, *SVM)
    assert done.returncode == 0 and "trials: 3 finished\n" in done.stdout, done.stdout + done.stderr
    found = trials(tmp_path)
    states = [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    assert [trial.state for trial in found] == states
    assert found[2].params == found[1].params and found[2].user_attrs["folder"] == "trial-0001"
    folder = tmp_path / "search"
    assert sorted(path.name for path in folder.glob("trial-*")) == ["trial-0000", "trial-0001", "trial-0003"]
    assert (folder / "history.png").is_file() and (folder / "importance.png").is_file()

    best = min((trial for trial in found if trial.value is not None), key=lambda trial: trial.value)
    line = (folder / "best.txt").read_text().strip()
    assert line in done.stdout and f"model.c={best.params['model.c']}" in shlex.split(line)
    again = command("train", *shlex.split(line)[2:], "run=best", cache=tmp_path, before=NO_EXTRAS)
    assert again.returncode == 0, again.stderr
    scored = command("evaluate", "best", "clips=val", "tta=none", cache=tmp_path)
    assert scored.returncode == 0, scored.stderr
    metrics = json.loads((tmp_path / "best" / "evaluation" / "val" / "metrics.json").read_text())
    assert metrics["tta"]["none"]["clip"]["log_loss"] == pytest.approx(best.value, rel=1e-5)

    other = search(music, tmp_path, *SVM, "batch_size=8")
    assert other.returncode == 2 and "batch_size=8" in other.stderr and "run=FOLDER" in other.stderr
    shutil.copytree(music, tmp_path / "moved")
    moved = search(Path("moved/"), tmp_path, *SVM)
    assert moved.returncode == 0 and "trials: 3 finished\n" in moved.stdout, moved.stderr
    (tmp_path / "moved" / "low" / "0.png").unlink()
    changed = search(tmp_path / "moved", tmp_path, *SVM, "trials=4")
    line = changed.stderr.splitlines()[-1]
    assert changed.returncode == 2 and "data.path=FOLDER" in line and "search" in line and len(trials(tmp_path)) == 4


def test_with_several_labels_the_best_has_the_highest_mean_average_precision(music, tmp_path):
    table = tmp_path / "songs.csv"
    rows = [
        f"{genre}/{number}.png,{genre};{'odd' if number % 2 else 'even'}" for genre in LABELS for number in range(6)
    ]
    table.write_text("\n".join(["path,genre", *rows]) + "\n")
    # With this salt, every genre is in each split.
    words = (*SVM[:2], "trials=2", "run=search", "task=multilabel", "split.salt=a", f"data.table={table}")
    done = search(music, tmp_path, *words, "objective=mean_average_precision")
    assert done.returncode == 0, done.stderr
    values = [trial.value for trial in trials(tmp_path)]
    best = tmp_path / "search" / f"trial-{np.argmax(values):04d}"
    assert f"run folder: {best.relative_to(tmp_path)}" in done.stdout
    scored = command("evaluate", best, "clips=val", "tta=none", cache=tmp_path)
    assert scored.returncode == 0, scored.stderr
    found = read_predictions(best / "evaluation" / "val" / "predictions.parquet", "none")
    expected = average_precision_score(found.target, found.probabilities, average="macro")
    assert max(values) == pytest.approx(expected, rel=1e-5)


def test_two_workers_share_a_search(music, tmp_path):
    words = words_of(music, "model=majority", "seed=int(interval(0, 1000))", "trials=4", "run=search")
    outputs = [[tmp_path / f"{worker}.{name}" for name in ("stdout", "stderr")] for worker in range(2)]
    workers = [start("search", *words, cache=tmp_path, before=NO_EXTRAS, outputs=output) for output in outputs]
    for worker in workers:
        worker.join(300)
    assert [worker.exitcode for worker in workers] == [0, 0], outputs[0][1].read_text() + outputs[1][1].read_text()
    assert [trial.state for trial in trials(tmp_path)] == [TrialState.COMPLETE] * 4
    trained = [set(re.findall(r"trial (\d): log_loss", output[0].read_text())) for output in outputs]
    assert trained[0] | trained[1] == set("0123") and not trained[0] & trained[1]


# The disk is full when the first result is written.
FULL = """
import resource, genreclf.search_study as s
tell = s.Study.tell
def full(*arguments):
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, resource.RLIM_INFINITY))
    tell(*arguments)
s.Study.tell = full
"""


def test_a_search_whose_database_cannot_be_written_ends_with_one_line(music, tmp_path):
    result = search(music, tmp_path, *SVM, before=FULL)
    assert result.returncode == 2 and result.stderr.count("genreclf: ") == 1 and "Traceback" not in result.stderr
    assert "study.db: " in result.stderr and "again" in result.stderr
    assert search(music, tmp_path, *SVM).returncode == 0


def test_a_search_goes_on_in_a_renamed_folder(tmp_path):
    (tmp_path / "search").mkdir()
    before = Study(tmp_path / "search", None, "log_loss", set(), None)
    with before.next_trial(1) as trial:
        before.tell(trial, TrialState.COMPLETE, 0.5)
    (tmp_path / "search").rename(tmp_path / "renamed")
    study = Study(tmp_path / "renamed", None, "log_loss", set(), None)
    with study.next_trial(1) as trial:
        assert trial is None
    assert study.best().value == 0.5


def test_a_trial_that_is_worse_than_the_others_is_pruned(music, tmp_path):
    words = words_of(music, *NET, "optim.learning_rate=interval(1e-4,1e-3)")
    (tmp_path / "search").mkdir()
    before = Study(tmp_path / "search", None, "log_loss", {*words[1:4], *words[5:], "objective=log_loss"}, 0)
    for _ in range(5):
        with before.next_trial(5) as trial:
            assert trial is not None
            trial.suggest_float("optim.learning_rate", 1e-4, 1e-3)
            for epoch in (1, 2, 3):
                trial.report(0.001, epoch)
            before.tell(trial, TrialState.COMPLETE, 0.001)
    done = search(music, tmp_path, *words[5:], "trials=6", "run=search")
    assert done.returncode == 0, done.stderr
    last = trials(tmp_path)[-1]
    assert last.state == TrialState.PRUNED and list(last.intermediate_values) == [1]
    run = tmp_path / "search" / "trial-0005"
    assert len((run / "metrics.csv").read_text().splitlines()) == 2 and not (run / "bundle").exists()


def test_a_search_of_failures_ends(music, tmp_path):
    done = search(music, tmp_path, "run=search", "model=svm", "model.c=-1,-2", "trials=20")
    lines = [line for line in done.stderr.splitlines() if line.startswith("genreclf: ")]
    assert done.returncode == 2 and len(lines) == 4 and "Traceback" not in done.stderr
    assert [trial.state for trial in trials(tmp_path)] == [TrialState.FAIL] * 3

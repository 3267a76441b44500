"""Runs the trials of a search one after another, and reports the best settings."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from optuna import Trial
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.errors import USER_ERROR, GenreclfError, reason
from genreclf.evaluation.predictions import predict_clips
from genreclf.evaluation.torch_model import TorchModel
from genreclf.exporters.bundle import load_bundle
from genreclf.files import user_path, write_atomically
from genreclf.hydra_command import run_command
from genreclf.inference.predictor import Predictor
from genreclf.inference.run_folder import BUNDLE, CONFIG_YAML
from genreclf.inference.task import MULTICLASS, MULTILABEL
from genreclf.search_pictures import draw_search
from genreclf.search_space import Dimension, read_space, split_words
from genreclf.search_study import Study
from genreclf.stopping import stoppable
from genreclf.text import one_line, shell_command
from genreclf.train import resume_all_note, train
from genreclf.training.clip_metrics import CLIP_SCORES
from genreclf.training.precision import with_precision
from genreclf.training.processes import on_several_devices
from genreclf.training.pruning import Pruned, Pruning
from genreclf.training.resume import MOVABLE, check_data, make_absolute, read_run, settings_of
from genreclf.training.trainer import TRAINER_KEYS, check_trainer

# By task, with the names of `CLIP_SCORES`
OBJECTIVES = {
    MULTICLASS: {"log_loss": "loss", "accuracy": "accuracy"},
    MULTILABEL: {"log_loss": "loss", "mean_average_precision": "mean_average_precision"},
}
BEST = "best.txt"  # the command that trains with the best settings
STATES = {
    "finished": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "still running in other workers": TrialState.RUNNING,
}
_FAILURES = 3  # at the beginning, after which a search ends, because the settings are probably not the cause
_STOPPED = 128  # and above: the exit code of a run that was stopped


@dataclass(frozen=True)
class SearchConfig:
    """The keys of search.yaml. Raises GenreclfError for values out of range."""

    run: str  # the folder of the search
    trials: int  # in total, including earlier calls and other workers
    objective: str  # on validation clips: log_loss, accuracy or mean_average_precision
    pruning: bool  # stop trials that are worse than the median of the others
    space: Path | None  # a YAML file with keys and their ranges
    storage: str | None  # the URL of a database; None: a file in the folder

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise GenreclfError(f"trials={self.trials}: must be at least 1")


def search(config: SearchConfig, words: list[str]) -> int:
    """Trains with the settings `words`, which include ranges, until there are enough trials. Returns the exit code."""
    words = [*words, *(read_space(config.space) if config.space else [])]
    space, fixed = split_words(words)
    if not space:
        raise GenreclfError("no key has a range; give one, as in 'optim.learning_rate=tag(log, interval(1e-4, 1e-2))'")
    folder = user_path(config.run)
    code, checked = _checked([*fixed, *(dimension.example for dimension in space)], folder, config.objective)
    if code:
        return code
    make_absolute(checked)
    settings = {word for word in settings_of(fixed, checked) if word.partition("=")[0] not in MOVABLE}
    settings |= {*words} - {*fixed} | {f"objective={config.objective}"}
    warmup = checked["trainer"]["max_epochs"] // 4 if config.pruning else None
    study = Study(folder, config.storage, config.objective, settings, warmup)
    try:
        with stoppable(lambda: resume_all_note(folder)):
            _check_data(study, checked)
            return _run_trials(study, space, fixed, config, checked["task"]) or _finish(study, fixed, config)
    except StorageInternalError as error:
        why = reason(error.__cause__ or error)
        raise GenreclfError(f"{study.database}: {why}; mend that, then run the same command again") from error


def _check_data(study: Study, config: dict[str, Any]) -> None:
    """Raises GenreclfError if the data differ from those with which the search began. They may have moved."""
    datamodule = SpectrogramDataModule.from_config(config)
    datamodule.prepare_data()
    datamodule.setup()
    now = datamodule.summary()
    began = study.data({key: now[key] for key in ("store_digest", "split_digest")})
    check_data(study.folder, config, now, began, "this would be a different search")


def _run_trials(study: Study, space: Sequence[Dimension], fixed: list[str], config: SearchConfig, task: str) -> int:
    """Trains until there are enough trials. Returns 0, or the exit code of a training that was stopped."""
    while True:
        with study.next_trial(config.trials) as trial:
            if trial is None:
                return 0
            chosen = [dimension.suggest(trial) for dimension in space]
            print(one_line(f"trial {trial.number}: {' '.join(chosen)}"))
            code = _run_trial(study, trial, [*fixed, *chosen], config.objective, task)
        if code >= _STOPPED:
            return code
        _check_failures(study)


def _checked(words: list[str], folder: Path, objective: str) -> tuple[int, dict[str, Any]]:
    """Returns 0 and the configuration of `genreclf train` for these words, or the exit code if they are refused."""
    checked: dict[str, Any] = {}

    def check(config: dict[str, Any], _: list[str]) -> None:
        task, trainer = str(config["task"]), with_precision(config)["trainer"]
        known = OBJECTIVES.get(task, {})
        if objective not in known:
            remedy = f"choose one of {', '.join(known)}" if known else f"known tasks: {', '.join(OBJECTIVES)}"
            raise GenreclfError(f"objective={objective}: not available with task={task}; {remedy}")
        check_trainer(trainer, config["init"])
        if on_several_devices(trainer):
            remedy = "leave it out; several workers with the same command and run=FOLDER can share a search"
            setting = f"trainer.devices={trainer['devices']}"
            raise GenreclfError(f"{setting}: a search trains each model on one device; {remedy}")
        checked.update(config)

    return run_command("train", check, [*words, f"hydra.run.dir={folder}"], TRAINER_KEYS), checked


def _run_trial(study: Study, trial: Trial, words: list[str], objective: str, task: str) -> int:
    """Trains a model with the settings of a trial and scores it. Returns the exit code of its training run."""
    code, pruned = _train_trial(study, trial, words, f"val/{OBJECTIVES[task][objective]}")
    if code >= _STOPPED:  # the trial is resumed later
        return code
    if pruned:
        print(f"trial {trial.number}: {pruned}")
        study.tell(trial, TrialState.PRUNED)
    elif code:
        study.tell(trial, TrialState.FAIL)
    else:
        found = validation_scores(study.trial_folder(trial))
        study.tell(trial, TrialState.COMPLETE, found[objective])
        shown = ", ".join(f"{name} {score:.4f}" for name, score in found.items())
        print(f"trial {trial.number}: {shown}; the best so far: {_best(study)}")
    return code


def _train_trial(study: Study, trial: Trial, words: list[str], metric: str) -> tuple[int, Pruned | None]:
    """Trains in the folder of a trial. Returns the exit code, and the exception if the trial was pruned by `metric`."""
    folder, pruned = study.trial_folder(trial), None

    def worse(epoch: int, value: float) -> bool:
        trial.report(value, epoch)
        return bool(trial.should_prune())

    def training(settings: dict[str, Any], overrides: list[str]) -> None:
        nonlocal pruned
        try:
            train(settings, overrides, [Pruning(metric, worse)], part_of=str(study.folder))
        except Pruned as stopped:
            pruned = stopped

    resume = ["ckpt=last"] if (folder / CONFIG_YAML).is_file() else []
    with redirect_stdout(None):
        code = run_command("train", training, [*words, f"run={folder}", *resume], TRAINER_KEYS)
    return code, pruned


def validation_scores(run: Path) -> dict[str, float]:
    """Returns the scores of a run's model on its validation clips, by the objectives of its task."""
    bundle, datamodule = load_bundle(run / BUNDLE), SpectrogramDataModule.from_config(read_run(run)[0])
    datamodule.setup()
    clips, task = datamodule.clips["val"], datamodule.data.task
    if not clips:
        raise GenreclfError(f"{run}: has no validation clips, by which settings are compared; choose another split")
    predictions = predict_clips(Predictor(TorchModel(bundle, "auto")), datamodule.store, clips, "scoring")
    probabilities = torch.tensor([prediction.probabilities for prediction in predictions])
    metric = CLIP_SCORES[task]()
    metric.update(probabilities, torch.from_numpy(datamodule.targets(clips)), torch.arange(len(clips)))
    found: dict[str, float] = metric.compute()
    return {objective: found[name] for objective, name in OBJECTIVES[task].items()}


def _check_failures(study: Study) -> None:
    """Raises GenreclfError if all trials so far have failed, and there are several."""
    failures, others = study.count(TrialState.FAIL), study.count(TrialState.COMPLETE) + study.count(TrialState.PRUNED)
    if failures >= _FAILURES and not others:
        raise GenreclfError(f"the first {failures} trials failed, so the search stops; see the messages above")


def _best(study: Study) -> str:
    best = study.best()
    return f"trial {best.number}, {best.value:.4f}" if best else "none"


def _finish(study: Study, fixed: list[str], config: SearchConfig) -> int:
    """Writes and prints the best settings, and draws the plots."""
    best = study.best()
    if best is None:
        print(one_line(f"genreclf: {study.folder}: no trial has finished"), file=sys.stderr)
        return USER_ERROR
    numbers = {name: study.count(state) for name, state in STATES.items()}
    numbers["failed"] -= study.interrupted()
    print("trials: " + ", ".join(f"{number} {name}" for name, number in numbers.items() if number))
    line = shell_command("genreclf", "train", *fixed, *(f"{key}={value}" for key, value in best.params.items()))
    write_atomically(study.folder / BEST, line + "\n")
    pictures = ", ".join(map(str, draw_search(study.study, config.objective, study.folder)))
    for text in (f"best {config.objective}: {best.value:.4f}", f"run folder: {study.trial_folder(best)}", pictures):
        print(one_line(text))
    print(line)
    return 0

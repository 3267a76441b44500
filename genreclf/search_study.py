"""The trials of a search, in a database that several workers share."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from genreclf.errors import GenreclfError, reason

ATTEMPTS = 3  # of a trial whose worker is killed: it may be the trial that kills it
_STARTUP_TRIALS = 5  # before trainings are compared with the median of the others
_STUDY, _LOCK, _TRIAL_LOCK = "study.db", ".lock", ".trial"


class Study:
    """One worker's view of a search."""

    def __init__(
        self, folder: Path, storage: str | None, objective: str, settings: list[str], warmup: int | None
    ) -> None:
        """`settings`: the words of the search. `warmup`: epochs before a trial may be pruned; None: no pruning.

        Raises GenreclfError where the folder holds a search with other settings, or the database cannot be opened.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        self.folder = folder
        url = storage or f"sqlite:///{folder.resolve() / _STUDY}"
        wait = {"connect_args": {"timeout": 60}} if url.startswith("sqlite:") else {}
        none = optuna.pruners.NopPruner()
        pruner = none if warmup is None else optuna.pruners.MedianPruner(_STARTUP_TRIALS, n_warmup_steps=warmup)
        with self._alone():
            try:
                self.study = optuna.create_study(
                    storage=optuna.storages.RDBStorage(url, engine_kwargs=wait),
                    pruner=pruner,
                    study_name=folder.resolve().name,
                    direction=StudyDirection.MINIMIZE if objective == "log_loss" else StudyDirection.MAXIMIZE,
                    load_if_exists=True,
                )
            except Exception as error:  # of a database: many kinds, also of its driver
                where = f"storage={storage}" if storage else str(folder / _STUDY)
                raise GenreclfError(f"{where}: cannot be opened ({reason(error)})") from error
            known = self.study.user_attrs.get("settings", settings)
            if known != settings:
                differing = ", ".join(sorted({*known} ^ {*settings}))
                raise GenreclfError(
                    f"run={folder}: a search with other settings ({differing}); choose another run=FOLDER"
                )
            self.study.set_user_attr("settings", settings)

    @contextmanager
    def next_trial(self, wanted: int) -> Iterator[optuna.Trial | None]:
        """A trial, which is this worker's within the `with` statement; None if there are `wanted` ones.

        Trials whose worker has died are reported as failed, and are repeated in the same folder.
        """
        with self._alone():
            self._give_up_abandoned()
            begun = len(self.study.get_trials(deepcopy=False)) - self.interrupted()
            if begun >= wanted and not self.count(TrialState.WAITING):
                trial, lock = None, None
            else:
                trial = self.study.ask()
                # One worker repeats a search exactly; several draw different numbers.
                self.study.sampler = optuna.samplers.TPESampler(seed=trial.number)
                lock = _lock(self.trial_folder(trial))
        try:
            yield trial
        finally:
            if lock:
                lock.close()

    def trial_folder(self, trial: optuna.Trial | FrozenTrial) -> Path:
        """The run folder of a trial."""
        return self.folder / trial.user_attrs.get("folder", f"trial-{trial.number:04d}")

    def tell(self, trial: optuna.Trial, state: TrialState, value: float | None = None) -> None:
        """Records how a trial ended."""
        self.study.tell(trial, value, state)

    def count(self, state: TrialState) -> int:
        """The number of trials in a state."""
        return len(self.study.get_trials(deepcopy=False, states=(state,)))

    def interrupted(self) -> int:
        """The number of failed trials that came again."""
        return sum("attempt" in trial.user_attrs for trial in self.study.get_trials(deepcopy=False))

    def best(self) -> FrozenTrial | None:
        """The best of the finished trials."""
        return self.study.best_trial if self.count(TrialState.COMPLETE) else None

    def _give_up_abandoned(self) -> None:
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            folder = self.trial_folder(trial)
            lock = _lock(folder)
            if lock is None:  # its worker lives
                continue
            lock.close()
            told = self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
            attempt = trial.user_attrs.get("attempt", 1) + 1
            if told.state == TrialState.FAIL and attempt <= ATTEMPTS:
                self.study.enqueue_trial(trial.params, user_attrs={"folder": folder.name, "attempt": attempt})

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Holds the lock of the search: no other worker begins or gives up a trial."""
        with (self.folder / _LOCK).open("w") as lock:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _lock(folder: Path) -> IO[str] | None:
    """The lock of a trial, which the system releases when its worker dies; None where another worker holds it, or where
    the file system has no locks: then trials of dead workers are not noticed.
    """
    folder.mkdir(exist_ok=True)
    lock = (folder / _TRIAL_LOCK).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock

"""Trials of a search, in a database that several workers share."""

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

ATTEMPTS = 3  # at a trial whose worker was killed; the cause may be the trial itself
_STARTUP_TRIALS = 5  # before trials are compared with the median of the others
_STUDY, _LOCK, _TRIAL_LOCK = "study.db", ".lock", ".trial"


class Study:
    """One worker's view of a search."""

    def __init__(
        self, folder: Path, storage: str | None, objective: str, settings: set[str], warmup: int | None
    ) -> None:
        """`settings` are the words of the search, `warmup` the epochs before a trial may be pruned (None: no pruning).

        Raises GenreclfError if the folder contains a search with other settings, or the database cannot be opened.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        self.folder, self.database = folder, f"storage={storage}" if storage else str(folder / _STUDY)
        url = storage or f"sqlite:///{folder.resolve() / _STUDY}"
        wait = {"connect_args": {"timeout": 60}} if url.startswith("sqlite:") else {}
        none = optuna.pruners.NopPruner()
        pruner = none if warmup is None else optuna.pruners.MedianPruner(_STARTUP_TRIALS, n_warmup_steps=warmup)
        with self._alone():
            try:
                database = optuna.storages.RDBStorage(url, engine_kwargs=wait)
                # The folder's own database has one study, also after the folder was renamed.
                own = optuna.get_all_study_names(database) if storage is None else []
                self.study = optuna.create_study(
                    storage=database,
                    pruner=pruner,
                    study_name=own[0] if own else folder.resolve().name,
                    direction=StudyDirection.MINIMIZE if objective == "log_loss" else StudyDirection.MAXIMIZE,
                    load_if_exists=True,
                )
            except Exception as error:  # of many classes, also from the database driver
                raise GenreclfError(f"{self.database}: cannot be opened ({reason(error)})") from error
            if differing := settings.symmetric_difference(self.study.user_attrs.get("settings", settings)):
                fault = f"a search with other settings ({', '.join(sorted(differing))})"
                raise GenreclfError(f"run={folder}: {fault}; choose another run=FOLDER")
            self.study.set_user_attr("settings", sorted(settings))

    def data(self, now: dict[str, str]) -> dict[str, str]:
        """Returns the digests of the data with which the search began: `now`, if it begins."""
        known: dict[str, str] | None = self.study.user_attrs.get("data")
        if known is None:
            self.study.set_user_attr("data", now)
        return known or now

    @contextmanager
    def next_trial(self, wanted: int) -> Iterator[optuna.Trial | None]:
        """Yields a trial, which this worker holds within the `with` statement; None if there are `wanted` trials.

        Trials whose worker has died are recorded as failed, and repeated in the same folder.
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
        """Returns the run folder of a trial."""
        return self.folder / trial.user_attrs.get("folder", f"trial-{trial.number:04d}")

    def tell(self, trial: optuna.Trial, state: TrialState, value: float | None = None) -> None:
        """Records the result of a trial."""
        self.study.tell(trial, value, state)

    def count(self, state: TrialState) -> int:
        """Returns the number of trials in a state."""
        return len(self.study.get_trials(deepcopy=False, states=(state,)))

    def interrupted(self) -> int:
        """Returns the number of failed trials that were repeated."""
        return sum("attempt" in trial.user_attrs for trial in self.study.get_trials(deepcopy=False))

    def best(self) -> FrozenTrial | None:
        """Returns the best finished trial, or None."""
        return self.study.best_trial if self.count(TrialState.COMPLETE) else None

    def _give_up_abandoned(self) -> None:
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            folder = self.trial_folder(trial)
            lock = _lock(folder)
            if lock is None:  # its worker is alive
                continue
            lock.close()
            ended = self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
            attempt = trial.user_attrs.get("attempt", 1) + 1
            if ended.state == TrialState.FAIL and attempt <= ATTEMPTS:
                self.study.enqueue_trial(trial.params, user_attrs={"folder": folder.name, "attempt": attempt})

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Holds the lock of the search, so that no other worker begins or gives up a trial."""
        with (self.folder / _LOCK).open("w") as lock:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _lock(folder: Path) -> IO[str] | None:
    """Locks a trial. The system releases the lock when the worker ends.

    Returns None if another worker holds the lock, or if the file system has no locks. In the latter case, trials of
    dead workers are not detected.
    """
    folder.mkdir(exist_ok=True)
    lock = (folder / _TRIAL_LOCK).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock

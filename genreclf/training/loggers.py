"""Services that record a run's settings, metrics and files. None of them can stop a training run."""

import importlib
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from lightning.pytorch import loggers as lightning_loggers
from lightning.pytorch.loggers import Logger

from genreclf.errors import GenreclfError, explained, missing_package, reason
from genreclf.stopping import Stopped
from genreclf.text import one_line
from genreclf.training.pruning import Pruned
from genreclf.training.record import update_record
from genreclf.training.resume import read_run

_PAUSE = 9  # times the duration of a failed attempt
# The only classes that a configuration may name, because the configuration of a run folder may come from elsewhere.
_TARGETS = {
    *("genreclf.training.mlflow_logger.MlflowLogger", "genreclf.training.wandb_logger.WandbLogger"),
    *(f"lightning.pytorch.loggers.{name}" for name in lightning_loggers.__all__),
}
Ids = dict[str, str]  # with these, a service finds a run again


class RunLogger(ABC):
    """One run in one service. Methods may raise any exception, because `Loggers` calls them."""

    @abstractmethod
    def start(self, folder: Path, ids: Ids) -> Ids:
        """Opens the service's run with these `ids`, or a new run without them, and returns its ids."""

    @abstractmethod
    def describe(self, folder: Path, config: dict[str, Any], record: dict[str, Any]) -> None:
        """Logs the composed configuration and the record of the run."""

    @abstractmethod
    def metrics(self, values: Mapping[str, float], epoch: int | None) -> None:
        """Logs the metrics of an epoch, counted from 1, or of the trained model (None)."""

    @abstractmethod
    def files(self, folder: Path, paths: Sequence[Path]) -> None:
        """Logs files and folders, which are in `folder`."""

    @abstractmethod
    def model(self, folder: Path, bundle: Path) -> None:
        """Logs the trained model."""

    @abstractmethod
    def end(self, status: str) -> None:
        """Closes the run with the status `finished`, `failed` or `stopped`."""


class Loggers:
    """The loggers of a run. A context manager within which the run trains or is scored.

    If a service fails, for example because its server is down, this is reported in one line, and the call is repeated
    before the next one. A service whose package is missing is left out. The ids go into the run's record.
    """

    def __init__(self, loggers: Mapping[str, Any], folder: Path, first: bool = True) -> None:
        """`loggers` are by name: `RunLogger`s, and Lightning's own loggers, which are for the Trainer.

        `first` is whether this is the first process of the training run, which is the only one that logs.
        """
        self.folder = folder.resolve()
        self.lightning: list[Logger] = [each for each in loggers.values() if isinstance(each, Logger)]
        own = {name: each for name, each in loggers.items() if isinstance(each, RunLogger)}
        self.own: dict[str, RunLogger] = own if first else {}
        self._waiting: dict[str, deque[Callable[[], None]]] = {name: deque() for name in self.own}
        self._away: set[str] = set()  # whose failure has been reported
        self._pause_until: dict[str, float] = {}  # by name, in seconds of the monotonic clock

    def __enter__(self) -> "Loggers":
        """Starts the loggers. The record and the configuration must have been written."""
        for name, logger in list(self.own.items()):
            self._do(name, partial(self._start, name, logger))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        status = "finished" if error is None else "stopped" if isinstance(error, (Stopped, Pruned)) else "failed"
        self._pause_until.clear()
        self._all(lambda logger: logger.end(status))

    def epoch(self, row: Mapping[str, float]) -> None:
        """Logs a row of metrics.csv."""
        values = {key: value for key, value in row.items() if key != "epoch"}
        self._all(lambda logger: logger.metrics(values, int(row["epoch"])))

    def scores(self, values: Mapping[str, float]) -> None:
        """Logs scores of the trained model."""
        self._all(lambda logger: logger.metrics(values, None))

    def files(self, *names: str) -> None:
        """Logs the files and folders of the run folder that exist."""
        paths = [path for name in names if (path := self.folder / name).exists()]
        self._all(lambda logger: logger.files(self.folder, paths))

    def model(self, name: str) -> None:
        """Logs the bundle, which is the folder `name` in the run folder."""
        self._all(lambda logger: logger.model(self.folder, self.folder / name))

    def _start(self, name: str, logger: RunLogger) -> None:
        config, record = read_run(self.folder)
        known = record.get("loggers", {})
        ids = logger.start(self.folder, known.get(name, {}))
        record["loggers"] = {**known, name: ids}
        update_record(self.folder, record)
        logger.describe(self.folder, config, record)

    def _all(self, call: Callable[[RunLogger], None]) -> None:
        for name, logger in list(self.own.items()):
            self._do(name, partial(call, logger))

    def _do(self, name: str, call: Callable[[], None]) -> None:
        """Makes the calls that wait for this service, then `call`. After an error, the rest continues to wait.

        A service that does not respond takes at most a tenth of the time, because it is not called for a while after a
        failure.
        """
        waiting, began = self._waiting[name], time.monotonic()
        waiting.append(call)
        if began < self._pause_until.get(name, began):
            return
        try:
            while waiting:
                waiting[0]()
                waiting.popleft()
            self._away.discard(name)
        except Exception as error:
            now, missing = time.monotonic(), missing_package(error)
            self._pause_until[name] = now + _PAUSE * (now - began)
            if missing:
                del self.own[name]
            if name not in self._away:
                self._away.add(name)
                later = "the run continues without it" if missing else "the run continues, and tries again later"
                print(one_line(f"logger={name}: {missing or reason(error)}; {later}"), file=sys.stderr)


def new_loggers(group: Mapping[str, Mapping[str, Any]], folder: Path, first: bool = True) -> Loggers:
    """Returns the loggers of a configuration's group `logger`; `first` is as in `Loggers`.

    Raises GenreclfError for a logger that is unknown or cannot be created.
    """
    return Loggers({name: _new_logger(f"logger.{name}", settings) for name, settings in group.items()}, folder, first)


def _new_logger(key: str, settings: Mapping[str, Any]) -> Any:
    target = settings.get("_target_") if isinstance(settings, Mapping) else None
    if target not in _TARGETS:
        known = "logger=NAME, or a class of lightning.pytorch.loggers as _target_"
        raise GenreclfError(f"{key}: {target!r} is not a logger; give {known}")
    module, _, name = str(target).rpartition(".")
    arguments = {argument: value for argument, value in settings.items() if argument != "_target_"}
    with explained(f"{key}: refused", "change its settings"):  # each logger has its own checks
        return getattr(importlib.import_module(module), name)(**arguments)

"""Prepares a run folder for training: one process at a time, one model."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genreclf.errors import GenreclfError
from genreclf.inference.run_folder import (
    BEST_CHECKPOINT,
    BUNDLE,
    CONFIG_YAML,
    EVALUATION,
    EXPORTS,
    LAST_CHECKPOINT,
    LOCK,
    METRICS_CSV,
)
from genreclf.training.resume import read_run


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a run folder, which the system releases when the process ends.

    Raises GenreclfError if another process holds it.
    """
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise GenreclfError(f"run={folder}: another process trains in it; choose another folder") from error
        except OSError:
            pass  # a file system without locks
        yield


def check_model(folder: Path, config: dict[str, Any]) -> None:
    """Raises GenreclfError if the folder contains a run of another model."""
    if not (folder / CONFIG_YAML).is_file():
        return
    other, own = read_run(folder)[0]["model"]["name"], config["model"]["name"]
    if other != own:
        raise GenreclfError(f"run={folder}: holds a run of model={other}, not {own}; choose another folder")


def begin(folder: Path) -> None:
    """Removes the files of an earlier run of the same model, starting with the file that marks the folder as a run."""
    for name in (CONFIG_YAML, LAST_CHECKPOINT, BEST_CHECKPOINT, METRICS_CSV):
        (folder / name).unlink(missing_ok=True)
    for name in (BUNDLE, EVALUATION, EXPORTS):
        shutil.rmtree(folder / name, ignore_errors=True)

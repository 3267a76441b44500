"""Prepares a run folder for training: one process at a time, one model."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from genreclf.errors import GenreclfError
from genreclf.files import exclusive
from genreclf.inference import run_folder
from genreclf.training.resume import make_absolute, read_run, settings_of

# What a new run in the folder of an earlier one removes, before the file that marks the folder as a run
_FILES = run_folder.LAST_CHECKPOINT, run_folder.BEST_CHECKPOINT, run_folder.METRICS_CSV
_FOLDERS = run_folder.BUNDLE, run_folder.EVALUATION, run_folder.EXPORTS


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a run folder, which the system releases when the process ends. Removes a folder left empty.

    Raises GenreclfError if another process holds it.
    """
    lock = folder / run_folder.LOCK
    with exclusive(lock, f"run={folder}: another process trains in it; choose another folder"):
        try:
            yield
        finally:
            with suppress(OSError):
                if list(folder.iterdir()) == [lock]:  # the run was refused before it wrote
                    lock.unlink()
                    folder.rmdir()


class InPlace(Callback):
    """Ends a training whose `locked` folder was deleted, moved or replaced, and so writes nothing to another one."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lock = folder, folder / run_folder.LOCK
        self.before = self.lock.stat()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Raises GenreclfError if the folder has changed."""
        with suppress(OSError):
            if os.path.samestat(self.lock.stat(), self.before) and (self.folder / run_folder.CONFIG_YAML).is_file():
                return
        remedy = "start the run again, or resume it where it is now"
        raise GenreclfError(f"run={self.folder}: deleted, moved or replaced while it trained; {remedy}")

    on_train_epoch_end = on_validation_end

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Raises GenreclfError if the folder has changed, which is then the cause of a failed write."""
        if isinstance(exception, OSError):
            self.on_validation_end(trainer, pl_module)


def check_folder(folder: Path, config: dict[str, Any]) -> None:
    """Raises GenreclfError if the folder contains a run of another model, or of a model that is not known.

    The latter are files of no run, which would be removed, and a run that has lost its configuration.
    """
    if not (folder / run_folder.CONFIG_YAML).is_file():
        found = [name for name in (*_FILES, *_FOLDERS) if (folder / name).exists()]
        if found:
            fault = f"holds {', '.join(found)}, but no {run_folder.CONFIG_YAML}"
            raise GenreclfError(f"run={folder}: {fault}; restore that file, or choose another folder")
        return
    other, own = read_run(folder)[0]["model"]["name"], config["model"]["name"]
    if other != own:
        raise GenreclfError(f"run={folder}: holds a run of model={other}, not {own}; choose another folder")


def is_finished(folder: Path, config: dict[str, Any], overrides: Sequence[str]) -> bool:
    """Returns whether the run in the folder, a job of a sweep that is started again, has finished.

    Raises GenreclfError if the folder contains a run with other overrides. Paths may be written in another way.
    """
    before, record = read_run(folder)
    make_absolute(before)  # earlier versions did so with some paths only
    make_absolute(config)
    earlier, now = settings_of(record["overrides"], before), settings_of(overrides, config)
    if earlier != now:
        differing = ", ".join(sorted(earlier ^ now))
        raise GenreclfError(f"{folder}: holds a run with other settings ({differing}); choose another run=FOLDER")
    return (folder / run_folder.BUNDLE / run_folder.MODEL_CONFIG).is_file()


def begin(folder: Path) -> None:
    """Removes the files of an earlier run of the same model."""
    for name in _FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (*_FILES, run_folder.CONFIG_YAML):
        (folder / name).unlink(missing_ok=True)

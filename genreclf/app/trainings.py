"""Trains on corrections in the background, in a separate process; only one at a time."""

import atexit
import importlib.util
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from genreclf.app.visits import Song
from genreclf.csv_text import csv_line
from genreclf.errors import GenreclfError, remedy
from genreclf.files import write_atomically
from genreclf.frontend.clip import CLIP_SUFFIXES, is_picture
from genreclf.inference.run_folder import BUNDLE, MODEL_CONFIG
from genreclf.text import one_line, utf8

SONGS, TABLE = "songs", "corrections.csv"  # in the run folder
_LOG = "training.log"
_EPOCH = re.compile(r"epoch (\d+)/([1-9]\d*)\b")
_STOP_SECONDS = 5.0
_MANY = 20  # songs of each genre; with fewer, only the last layer learns, as measured in scripts/TRIALS.md
_LAST_LAYER, _WHOLE_NET = ("trainer.max_epochs=0",), ("trainer.max_epochs=30", "optim.learning_rate=0.0005")
_LOG_BYTES = 4_096  # read from the end of the log


@dataclass
class Training:
    """A training run that was started."""

    folder: Path  # of the run
    songs: int
    started: float  # start time by `time.monotonic`, in seconds
    process: "subprocess.Popen[bytes]" = field(repr=False)
    stopped: bool = False  # by a user

    @property
    def runs(self) -> bool:
        """Whether the run is still in progress."""
        return self.process.poll() is None

    @property
    def succeeded(self) -> bool:
        """Whether the run ended with a new model."""
        return self.process.poll() == 0 and (self.folder / BUNDLE / MODEL_CONFIG).is_file()

    @property
    def seconds(self) -> float:
        """The time since the start."""
        return time.monotonic() - self.started

    def progress(self) -> tuple[int, int]:
        """Returns the numbers of finished epochs and of all epochs; (0, 1) before the end of the first one."""
        found = [match for line in self._lines() if (match := _EPOCH.match(line))]
        return (int(found[-1][1]), int(found[-1][2])) if found else (0, 1)

    def last_line(self) -> str:
        """Returns the last line that the run printed."""
        return next(reversed(self._lines()), "")

    def _lines(self) -> list[str]:
        """Returns the last non-empty lines that the run printed."""
        try:
            with (self.folder / _LOG).open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_BYTES))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return []
        return [one_line(line.strip()) for line in lines if line.strip()]


class Trainings:
    """The last training run of this server, shared by all sessions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.last: Training | None = None  # the run in progress, or the last one
        atexit.register(self.stop)

    def start(self, model: str, init: str, folder: Path, songs: Sequence[tuple[Song, str]]) -> Training:
        """Writes the songs and their table into a new run folder and starts training on them; see `train_arguments`.

        Raises GenreclfError if a run is already in progress or the folder cannot be written.
        """
        with self._lock:
            if self.last and self.last.runs:
                raise GenreclfError("training is already in progress; wait until it ends, or stop it")
            try:
                _write(folder, songs)
                genres = [genre for _, genre in songs]
                arguments = train_arguments(model, init, str(folder / SONGS), str(folder / TABLE), genres)
                with (folder / _LOG).open("wb") as log:
                    process = subprocess.Popen(
                        [sys.executable, "-m", "genreclf.train", *arguments, "logger=none", f"run={folder}"],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,  # so that Ctrl-C in the server's terminal ends it through `stop`
                    )
            except OSError as error:
                raise GenreclfError(f"{folder}: cannot be written ({error.strerror}); {remedy(error)}") from error
            self.last = Training(folder, len(songs), time.monotonic(), process)
            return self.last

    def stop(self) -> None:
        """Ends the run in progress, if there is one."""
        training = self.last
        if training is None or not training.runs:
            return
        training.stopped = True
        training.process.terminate()
        try:
            training.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            training.process.kill()
            training.process.wait()


def train_arguments(model: str, init: str, songs: str, table: str, genres: Sequence[str]) -> list[str]:
    """Returns the arguments of `genreclf train` that train from the model `init`, whose configuration is `model`.

    `songs` is a folder. `table` has a row for each song in it to learn from; `genres` are these songs' genres.
    """
    return [
        f"model={model}",
        f"init={init}",
        "data=folder",
        f"data.path={songs}",
        f"data.table={table}",
        "split=all",
        *(_WHOLE_NET if min(Counter(genres).values(), default=0) >= _MANY else _LAST_LAYER),
    ]


def new_folder(runs: Path) -> Path:
    """Returns the folder for the next run: RUNS/corrections-TIME."""
    return (runs / f"corrections-{time.strftime('%Y-%m-%d_%H-%M-%S')}").absolute()


def obstacle(runs: Path) -> str:
    """Returns why training is not possible here; empty if it is possible."""
    if importlib.util.find_spec("torch") is None:
        return "Training needs torch, which is not installed here: install all of genreclf."
    nearest = next(folder for folder in (runs.absolute(), *runs.absolute().parents) if folder.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        return f"The folder for runs, {runs}, is read-only."
    return ""


TRAININGS = Trainings()  # of this server


def missing(genres: Sequence[str]) -> str:
    """Returns what the corrections lack for training; empty if they suffice."""
    if not genres:
        return "Correct some songs first."
    if len(set(genres)) < 2:
        return f"All corrected songs are {genres[0]}: a model needs at least two genres. Correct a song of another one."
    return ""


def _write(folder: Path, songs: Sequence[tuple[Song, str]]) -> None:
    """Writes the songs, under numbers because their names need not be valid file names, and their table."""
    (folder / SONGS).mkdir(parents=True)
    rows = [("path", "genre", "title"), *_files(folder / SONGS, songs)]
    write_atomically(folder / TABLE, "".join(csv_line(map(utf8, row)) for row in rows))


def _files(folder: Path, songs: Sequence[tuple[Song, str]]) -> Iterator[tuple[str, str, str]]:
    for number, (song, genre) in enumerate(songs, 1):
        suffix = PurePath(song.name).suffix.lower()
        if suffix not in CLIP_SUFFIXES:  # the readers detect the format by themselves
            suffix = ".png" if is_picture(song.content) else ".wav"
        path = folder / f"{number:04d}{suffix}"
        write_atomically(path, song.content)
        yield path.name, genre, one_line(song.name)

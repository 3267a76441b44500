"""Options, checks and messages that commands with --options share."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from genreclf.config import FROM_1, RENAMED, Limits
from genreclf.errors import GenreclfError
from genreclf.files import user_path
from genreclf.frontend.band_axis import AUTO, KINDS, NYQUIST_HZ, FigureAxis
from genreclf.frontend.folder import FolderContents, folder_contents, ignored_note
from genreclf.frontend.object_store import Location
from genreclf.inference.onnx_model import DEVICES
from genreclf.inference.predictor import Predictor, load_predictor
from genreclf.inference.run_folder import CARD, DEFAULT_MODEL, PRETRAINED, pretrained_names
from genreclf.inference.tta import TTA
from genreclf.text import one_line

SOME_FILES_FAILED = 1  # the exit code when some files could not be read


class Parser(argparse.ArgumentParser):
    """An argument parser that raises GenreclfError for a usage error."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Raises GenreclfError."""
        raise GenreclfError(f"{message}; see {self.prog} --help")


class _Renamed(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        parser.error(f"{option_string}: replaced; give --model NAME_OR_FOLDER")


def add_model_options(parser: argparse.ArgumentParser, pictures: bool = True) -> None:
    """Adds --model, --tta, --device and --prior, and with `pictures` also --figure and --figure-hz."""
    model = f"a run folder, a bundle folder, or a pretrained model: {' or '.join(pretrained_names())}"
    parser.add_argument("--model", metavar="MODEL", help=f"{model} (default {DEFAULT_MODEL})")
    add_tta_option(parser)
    parser.add_argument("--device", choices=DEVICES, default="auto", help="cuda needs onnxruntime-gpu (default auto)")
    mix = "how common each genre is: a CSV with the columns genre and weight (default: the model's mix)"
    parser.add_argument("--prior", metavar="uniform|training|FILE", help=mix)
    parser.add_argument("--run", "--onnx", action=_Renamed, nargs="?", help=argparse.SUPPRESS)
    if pictures:
        _add_figure_options(parser)
    else:
        parser.set_defaults(figure=AUTO, figure_hz=NYQUIST_HZ)


def _add_figure_options(parser: argparse.ArgumentParser) -> None:
    kinds = "|".join((AUTO, *KINDS))
    axis = f"the frequency axis of spectrogram figures (default {AUTO}: as the figure shows it)"
    parser.add_argument("--figure", default=AUTO, metavar=kinds, help=axis)
    end = f"where that axis ends, if the figure does not show it (default {NYQUIST_HZ:.0f})"
    parser.add_argument("--figure-hz", type=float, default=NYQUIST_HZ, metavar="HZ", help=end)


def add_tta_option(parser: argparse.ArgumentParser) -> None:
    """Adds --tta."""
    names = "|".join(TTA)
    parser.add_argument("--tta", type=_tta, default="none", metavar=names, help="test-time augmentation (default none)")


def add_journal_option(parser: argparse._ActionsContainer) -> None:
    """Adds --journal."""
    kept = "keep results in this file, and resume from it"
    parser.add_argument("--journal", type=user_path, metavar="LOG", help=kept)


def load(options: argparse.Namespace) -> Predictor:
    """Loads the predictor for the options of `add_model_options`."""
    return load_predictor(*predictor_settings(options))


def predictor_settings(options: argparse.Namespace) -> tuple[str, str, str, FigureAxis, str | None]:
    """Returns the arguments of `load_predictor` for the options of `add_model_options`."""
    figure = FigureAxis(options.figure, options.figure_hz)
    return options.model or DEFAULT_MODEL, options.tta, options.device, figure, options.prior


def print_default_model(options: argparse.Namespace) -> None:
    """Prints which model is used, if the user has not chosen one."""
    if options.model is None:
        card = PRETRAINED / DEFAULT_MODEL / CARD
        print(f"genreclf: using the pretrained model {DEFAULT_MODEL}; its scores: {card}", file=sys.stderr)


def print_problems(problems: Iterable[object]) -> None:
    """Prints a line on standard error for each problem that is not empty."""
    for problem in filter(None, problems):
        print(one_line(f"genreclf: {problem}"), file=sys.stderr)


def find_files(paths: Sequence[Path]) -> tuple[list[Path], int]:
    """Returns the files of `paths`, including clips below folders, and the number of folders that could not be read.

    Reports these folders and the ignored files. Raises GenreclfError for a folder without clips.
    """
    files, unreadable = [], 0
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112  # Path.is_dir raises for a path without access
            files.append(path)
            continue
        contents = folder_contents(path)
        print_problems(contents.unreadable)
        check_contents(path, contents)
        files += [path / clip for clip in contents.clips]
        unreadable += len(contents.unreadable)
    return files, unreadable


def check_contents(path: Location, contents: FolderContents) -> None:
    """Reports the ignored files of a folder. Raises GenreclfError if it has no clips."""
    if contents.ignored:
        print(one_line(f"genreclf: {path}: {ignored_note(contents.ignored)}"), file=sys.stderr)
    if not contents.clips and not contents.unreadable:
        raise GenreclfError(f"{path}: no audio file or picture in this folder; give another")


def number(limits: Limits, kind: Callable[[str], float] = float) -> Callable[[str], float]:
    """Returns an argparse type for numbers within `limits`; `kind` is float or int."""

    def parse(text: str) -> float:
        try:
            limits.check("", value := kind(text))
        except (ValueError, GenreclfError) as error:
            what = "whole number" if kind is int else "number"
            raise argparse.ArgumentTypeError(f"{text}: expected a {what}, {limits}") from error
        return value

    return parse


positive = number(FROM_1, int)  # an argparse type


def embeddings_file(word: str) -> Path:
    """Parses the name of an embeddings file, as an argparse type."""
    from genreclf.inference.embeddings import SUFFIXES  # predict does not need it

    if Path(word).suffix not in SUFFIXES:
        raise argparse.ArgumentTypeError(f"{word}: unknown suffix; choose one of {', '.join(SUFFIXES)}")
    return user_path(word)


def _tta(word: str) -> str:
    if word not in TTA:
        reason = RENAMED.get(f"tta={word}") or f"unknown; choose one of {', '.join(TTA)}"
        raise argparse.ArgumentTypeError(f"{word}: {reason}")
    return word

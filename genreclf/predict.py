"""Genres of audio files and spectrogram pictures: python -m genreclf.predict FILE... --run RUN."""

import argparse
import contextlib
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from genreclf.errors import GenreclfError, escape_unencodable, user_error
from genreclf.frontend.clip import is_clip
from genreclf.inference.journal import Journal
from genreclf.inference.library import predict_files
from genreclf.inference.predictor import Predictor
from genreclf.inference.results import Row, row_of, show_csv, show_json, show_table, write_parquet
from genreclf.inference.run_folder import CARD, PRETRAINED, find_bundle, pretrained_names, translations
from genreclf.progress import progress_bar

SOME_FILES_FAILED = 1
DEFAULT = "a"  # held-out folds cannot tell those that come along apart; this one is steady at other rates, and faster
GPU_DRIVER = Path("/proc/driver/nvidia")


def predict(arguments: Sequence[str] | None = None) -> int:
    """The command; returns 0, 1 where a file could not be read, or 2 for a mistake in the call."""
    options = _parser().parse_args(arguments)
    escape_unencodable()
    try:
        paths = list(_files(options.paths))
        predictor = _predictor(options)
        rows = _rows(predictor, paths, options)
        _show(rows, predictor.facts.classes, options)
    except GenreclfError as error:
        return user_error(error)
    return SOME_FILES_FAILED if any(row["problem"] for row in rows) else 0


def _predictor(options: argparse.Namespace) -> Predictor:
    """The one that was asked for; its runtime is imported only now, for that takes longer than most answers."""
    plain = options.tta == "none" and options.device in ("auto", "cpu")
    if options.onnx is not None:
        if not plain:
            raise GenreclfError("--onnx: answers plainly and on the CPU; leave out --tta and --device, or use --run")
        from genreclf.inference.onnx_model import OnnxModel

        return Predictor(OnnxModel(options.onnx))
    if options.run is None:
        card = PRETRAINED / DEFAULT / CARD
        print(f"no --run: model {DEFAULT}, which comes along; how far to trust it: {card}", file=sys.stderr)
    bundle = find_bundle(options.run or Path(DEFAULT))
    gpu = options.device == "auto" and GPU_DRIVER.exists()
    if plain and not gpu and (translated := _translated(bundle)):
        return translated
    gc.disable()  # an import leaves no garbage: to look for it, now and at the end, takes a quarter of torch's time
    from genreclf.nets.bundle import load_bundle
    from genreclf.nets.torch_model import torch_predictor

    gc.freeze()
    gc.enable()
    return torch_predictor(load_bundle(bundle), options.tta, options.device)


def _translated(bundle: Path) -> Predictor | None:
    """The bundle by onnxruntime, if it was exported for that: a quarter of torch's time until the first answer."""
    for file in translations(bundle):
        from genreclf.inference.onnx_model import OnnxModel

        with contextlib.suppress(GenreclfError):  # a spoilt file, or no runtime for it: torch can do without
            if (model := OnnxModel(file)).matches_bundle(bundle):
                return Predictor(model)
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m genreclf.predict",
        description="Says which genre audio files (wav flac ogg mp3 au aiff) or spectrogram pictures (png jpg) are.",
        epilog="Exit code: 0 all files answered, 1 some could not be read (the others are answered), 2 a wrong call.",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE", help="a file, or a folder to search for files")
    model = parser.add_mutually_exclusive_group()
    model.add_argument(
        "--run",
        type=Path,
        help=f"a finished run folder, a bundle folder, or the name of a model that comes along: "
        f"{' or '.join(pretrained_names())} (default {DEFAULT})",
    )
    model.add_argument("--onnx", type=Path, metavar="FILE", help="a picture.onnx of genreclf.export: starts at once")
    parser.add_argument("--tta", default="none", help="average over changed copies: none (default), keys, flip, six")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default auto)")
    parser.add_argument("--top", type=positive, default=3, metavar="K", help="how many genres the table shows (3)")
    parser.add_argument("--segments", action="store_true", help="the genre over time: a line for each piece of a file")
    parser.add_argument("--parquet", type=Path, metavar="OUT", help="write a Parquet file, with every class")
    parser.add_argument("--journal", type=Path, metavar="LOG", help="keep answers in this file, and go on from it")
    parser.add_argument("--workers", type=positive, default=os.cpu_count(), help="threads that read files (all cores)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, with every class")
    form.add_argument("--csv", action="store_true", help="print CSV, with every class")
    return parser


def positive(word: str) -> int:
    """A whole number of 1 or more, as argparse wants its types."""
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError("give 1 or more")
    return number


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(Path(parent) / name for parent, _, names in os.walk(path) for name in names if is_clip(name))
        if not found:
            raise GenreclfError(f"{path}: holds no audio file or picture")
        yield from found


def _rows(predictor: Predictor, paths: Sequence[Path], options: argparse.Namespace) -> list[Row]:
    """A row a path, in order: from the journal where that has it, else answered now."""
    model = predictor.model.digest() + ("+segments" if options.segments else "")
    journal = Journal(options.journal, model) if options.journal else None
    rows = {path: journal.known(path) for path in paths} if journal else dict.fromkeys(paths)
    todo = [path for path, row in rows.items() if row is None]
    with progress_bar("predicting", "files") as report:
        for done, (path, answer) in enumerate(predict_files(predictor, todo, options.workers), 1):
            rows[path] = row_of(path, answer, predictor.facts.classes, options.segments)
            if journal:
                journal.add(path, rows[path])
            report(done, len(todo))
    for path in paths:
        if rows[path]["problem"]:
            print(f"genreclf: {rows[path]['problem']}", file=sys.stderr)
    return [rows[path] for path in paths]


def _show(rows: Sequence[Row], classes: Sequence[str], options: argparse.Namespace) -> None:
    if options.parquet:
        write_parquet(rows, classes, options.segments, options.parquet)
    if options.json:
        show_json(rows, sys.stdout)
    elif options.csv:
        show_csv(rows, classes, options.segments, sys.stdout)
    elif not options.parquet:
        show_table(rows, options.top, options.segments)


if __name__ == "__main__":
    sys.exit(predict())

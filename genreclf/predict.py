"""Genres of audio files and spectrogram pictures: genreclf predict FILE... --model MODEL."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from genreclf.command_options import (
    SOME_FILES_FAILED,
    Parser,
    add_file_options,
    add_model_options,
    find_files,
    load,
    positive,
)
from genreclf.errors import command
from genreclf.files import user_path
from genreclf.inference.catalog import DEFAULT_MODEL
from genreclf.inference.journal import Journal
from genreclf.inference.library import predict_files
from genreclf.inference.predictor import Predictor
from genreclf.inference.results import Row, check_output, file_row, flat, show_csv, show_json, show_table, write_parquet
from genreclf.inference.run_folder import CARD, PRETRAINED
from genreclf.progress import progress_bar
from genreclf.stopping import stoppable


@command
@stoppable()
def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns 0, 1 where a file could not be read, or 2 for a wrong call."""
    options = _parser().parse_args(arguments)
    check_output(options.parquet)
    paths, unreadable_folders = find_files(options.paths)
    predictor = load(options)
    if options.model is None:
        card = PRETRAINED / DEFAULT_MODEL / CARD
        print(f"genreclf: using the pretrained model {DEFAULT_MODEL}; its scores: {card}", file=sys.stderr)
    rows = _predict(predictor, paths, options)
    _show(rows, predictor.info.classes, options)
    return SOME_FILES_FAILED if unreadable_folders or any(row["problem"] for row in rows) else 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="genreclf predict",
        description="Predicts the genre of audio files (wav flac mp3 m4a ogg opus wma ...), of videos by their sound, "
        "and of spectrogram pictures (png jpg).",
        epilog="Exit code: 0, 1 if some files could not be read (the others are predicted), 2 for a wrong call.",
    )
    add_file_options(parser)
    add_model_options(parser)
    parser.add_argument("--top", type=positive, default=3, metavar="K", help="genres per line of the table (default 3)")
    parser.add_argument("--segments", action="store_true", help="the genre over time: a line for each segment")
    parser.add_argument("--parquet", type=user_path, metavar="OUT", help="write a Parquet file with all classes")
    parser.add_argument(
        "--journal", type=user_path, metavar="LOG", help="keep results in this file, and resume from it"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON with all classes")
    form.add_argument("--csv", action="store_true", help="print CSV with all classes")
    return parser


def _predict(predictor: Predictor, paths: Sequence[Path], options: argparse.Namespace) -> list[Row]:
    """A row per path, in order; rows in the journal are not predicted again."""
    journal, done = None, {}
    if options.journal:
        journal = Journal(options.journal, predictor.digest + ("+segments" if options.segments else ""))
        done = {path: row for path in paths if (row := journal.find(path)) is not None}
    todo = [path for path in dict.fromkeys(paths) if path not in done]
    with progress_bar("predicting", "files") as report:
        for count, (path, result) in enumerate(predict_files(predictor, todo, options.workers), 1):
            done[path] = file_row(path, result, predictor.info.classes, options.segments)
            if journal:
                journal.add(path, done[path])
            report(count, len(todo))
    for path in paths:
        if done[path]["problem"]:
            print(f"genreclf: {done[path]['problem']}", file=sys.stderr)
    return [done[path] for path in paths]


def _show(rows: Sequence[Row], classes: Sequence[str], options: argparse.Namespace) -> None:
    if options.parquet:
        write_parquet(flat(rows, classes, options.segments), options.parquet)
    if options.json:
        show_json(rows, sys.stdout)
    elif options.csv:
        show_csv(rows, classes, options.segments, sys.stdout)
    elif not options.parquet:
        show_table(rows, options.top, options.segments)


if __name__ == "__main__":
    sys.exit(main())

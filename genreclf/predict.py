"""Genres of audio files and spectrogram pictures: genreclf predict FILE... --model MODEL."""

import argparse
import sys
from collections.abc import Sequence

from genreclf.command_options import (
    SOME_FILES_FAILED,
    Parser,
    add_file_options,
    add_journal_option,
    add_model_options,
    find_files,
    load,
    positive,
    tell_default_model,
    tell_problems,
)
from genreclf.errors import command
from genreclf.files import user_path
from genreclf.inference.predicted_rows import predicted_rows
from genreclf.inference.results import Row, check_output, flat, show_csv, show_json, show_table, write_parquet
from genreclf.stopping import stoppable


@command
@stoppable()
def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns 0, 1 where a file could not be read, or 2 for a wrong call."""
    options = _parser().parse_args(arguments)
    check_output(options.parquet)
    paths, unreadable_folders = find_files(options.paths)
    predictor = load(options)
    tell_default_model(options)
    rows = list(predicted_rows(predictor, paths, options.workers, options.journal, options.segments))
    tell_problems(row["problem"] for row in rows)
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
    add_journal_option(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON with all classes")
    form.add_argument("--csv", action="store_true", help="print CSV with all classes")
    return parser


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

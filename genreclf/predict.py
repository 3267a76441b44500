"""Predicts the genres of audio files and spectrogram pictures: genreclf predict FILE... --model MODEL."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import tee
from pathlib import PurePath

from genreclf.command_options import (
    SOME_FILES_FAILED,
    Parser,
    add_model_options,
    load,
    positive,
    print_default_model,
    print_problems,
)
from genreclf.errors import command
from genreclf.files import user_path
from genreclf.frontend.object_store import Location
from genreclf.inference.predicted_rows import Contents
from genreclf.inference.results import Row, check_output, flat, show_csv, show_json, show_table, write_parquet
from genreclf.library_options import add_library_options, check_library_options, find_locations, library_rows
from genreclf.outputs import lost_output
from genreclf.stopping import stoppable

# The modules that decode files with the usual suffixes.
_DECODERS = {".wav": "sndfile_audio", ".flac": "sndfile_audio", ".mp3": "av_audio", ".m4a": "av_audio"}


@command
@stoppable()
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0, 1 if a file could not be read, or 2 for a usage error."""
    parser = _parser()
    options = parser.parse_args(arguments)
    check_library_options(parser, options, ("json", "csv", "parquet", "top"))
    check_output(options.parquet, parquet=True)
    contents = Contents(segments=options.segments)
    if options.shards:
        from genreclf.shard_steps import shard_step  # imported only for shards

        return shard_step(options, contents, lambda rows, all_of: _show(rows, all_of.classes, all_of.contents, options))
    paths, unreadable_folders = find_locations(options.paths)
    _import_in_a_thread(paths, options)
    predictor = load(options)
    print_default_model(options)
    prints_as_they_come = (options.json or options.csv) and sys.stdout.isatty()  # through a progress bar
    rows = library_rows(options, predictor, contents, paths, bar=not prints_as_they_come)
    code = _show(rows, predictor.info.classes, contents, options)
    return SOME_FILES_FAILED if unreadable_folders else code


def _import_in_a_thread(paths: Sequence[Location], options: argparse.Namespace) -> None:
    """Imports modules for the first file and the table while onnxruntime loads the model without Python's lock."""
    decoder = _DECODERS.get(PurePath(str(next(iter(paths), ""))).suffix.lower())
    modules = [f"genreclf.frontend.{decoder}"] if decoder else []
    if not (options.json or options.csv or options.parquet):
        modules += ["rich.console", "rich.table"]
    thread = ThreadPoolExecutor(1)
    for module in modules:
        thread.submit(import_module, module)  # an error will be raised again where the module is needed
    thread.shutdown(wait=False)


def _parser() -> Parser:
    parser = Parser(
        prog="genreclf predict",
        description="Predicts the genre of audio files (wav flac mp3 m4a ogg opus wma ...), of videos by their sound, "
        "and of spectrogram pictures (png jpg gif bmp tif webp).",
        epilog="Exit code: 0, 1 if some files could not be read (the others are predicted), 2 for a usage error.",
    )
    add_library_options(parser)
    add_model_options(parser)
    parser.add_argument("--top", type=positive, default=3, metavar="K", help="genres per line of the table (default 3)")
    parser.add_argument("--segments", action="store_true", help="the genre over time: a line for each segment")
    parquet = "write a Parquet file with all classes at the end"
    parser.add_argument("--parquet", type=user_path, metavar="OUT", help=parquet)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON with all classes, file by file")
    form.add_argument("--csv", action="store_true", help="print CSV with all classes, file by file")
    return parser


def _show(rows: Iterable[Row], classes: Sequence[str], contents: Contents, options: argparse.Namespace) -> int:
    """Shows the rows as they come, reports their problems, and returns the exit code.

    Ends early when standard output takes no more rows and nothing else keeps them.
    """
    problems: list[str] = []
    rows = _reported(rows, problems, kept=bool(options.parquet or options.journal))
    if options.parquet:
        rows, copies = tee(rows)
    if options.json:
        show_json(rows, sys.stdout)
    elif options.csv:
        show_csv(rows, classes, contents.segments, sys.stdout)
    elif not options.parquet:
        show_table(rows, options.top, contents.segments)
    if options.parquet:
        write_parquet(flat(copies, classes, contents.segments), options.parquet)
    return SOME_FILES_FAILED if problems else 0


def _reported(rows: Iterable[Row], problems: list[str], kept: bool) -> Iterator[Row]:
    for row in rows:
        if not kept and lost_output():
            return
        if row["problem"]:
            problems.append(row["problem"])
            print_problems(problems[-1:])
        yield row


if __name__ == "__main__":
    sys.exit(main())

"""Writes genres into files' tags: genreclf tag DIR --plan plan.csv, then --apply plan.csv; --undo LOG restores them."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from genreclf.command_options import (
    SOME_FILES_FAILED,
    Parser,
    add_journal_option,
    add_model_options,
    embeddings_file,
    number,
    positive,
    print_problems,
)
from genreclf.config import SHARE
from genreclf.cores import cores
from genreclf.errors import command
from genreclf.files import user_path
from genreclf.progress import progress_map
from genreclf.stopping import stoppable
from genreclf.tag_plan import make_plan, show_playlists, watch
from genreclf.tags.changes import SKIPPED, WRITTEN, Outcome, apply_row, undo_change
from genreclf.tags.choice import LEAST
from genreclf.tags.file_tags import check_installed
from genreclf.tags.genre_log import GenreLog, read_log
from genreclf.tags.plan import read_plan
from genreclf.terminal import print_table
from genreclf.text import shell_command

LOG_SUFFIX = ".log"  # suffix of the log beside a plan
LEFT = "unchanged, as planned"

Item = TypeVar("Item")


@command
@stoppable(lambda: "stopped: no file is damaged; run the same command again to continue")
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0, 1 if a file could not be read or written as wanted, or 2 for a usage error."""
    parser = _parser()
    options = parser.parse_args(arguments)
    _check_combination(parser, options)
    check_installed()
    if options.m3u:
        options.m3u.mkdir(parents=True, exist_ok=True)  # now, because it may fail
    if options.apply:
        return _apply(options)
    if options.undo:
        return _undo(options)
    return watch(options) if options.watch else make_plan(options)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="genreclf tag",
        usage="genreclf tag FILE... --plan PLAN [options]\n"
        "       genreclf tag --apply PLAN [--log LOG] [--m3u DIR]\n"
        "       genreclf tag --undo LOG",
        description="Writes genres into the tags of audio files, in three steps. --plan predicts and writes a table, "
        "nothing else. --apply writes the genres in that table, after you have checked it. --undo restores the tags.",
        epilog="Exit code: 0, 1 if some files were not read or not written (the others are), 2 for a usage error.",
    )
    meaning = "a file, or a folder to search for files"
    parser.add_argument("paths", nargs="*", type=user_path, metavar="FILE", help=meaning)
    parser.add_argument("--workers", type=positive, default=cores(), metavar="N", help="threads (default: all cores)")
    steps = parser.add_argument_group("steps")
    steps.add_argument("--plan", type=user_path, metavar="PLAN", help="write a CSV with the proposed changes")
    edited = "write the genres in the column correct, or in genre if the action is write"
    steps.add_argument("--apply", type=user_path, metavar="PLAN", help=edited)
    steps.add_argument("--undo", type=user_path, metavar="LOG", help="restore the genres from before --apply")
    log = "with --apply: the file for the previous genres (default PLAN.log)"
    steps.add_argument("--log", type=user_path, help=log)
    _add_plan_options(parser.add_argument_group("options of --plan"))
    add_model_options(parser, pictures=False)
    return parser


def _add_plan_options(group: argparse._ArgumentGroup) -> None:
    least = f"write only genres of at least this probability (default {LEAST}; with task=multilabel: 0)"
    group.add_argument("--min", type=number(SHARE), metavar="P", help=least)
    group.add_argument("--overwrite", action="store_true", help="also replace genres that files have")
    several = "write up to N genres: the fewest that together reach --min (default 1; multi-label: up to all)"
    group.add_argument("--genres", type=positive, metavar="N", help=several)
    playlists = "write a playlist (.m3u8) for each genre into this folder; also with --apply"
    group.add_argument("--m3u", type=user_path, metavar="DIR", help=playlists)
    vectors = "write the embeddings of the files for `genreclf similar` (.parquet, .npz or .csv)"
    group.add_argument("--embeddings", type=embeddings_file, metavar="OUT", help=vectors)
    group.add_argument("--watch", action="store_true", help="add new files to the plan as they appear, until Ctrl-C")
    add_journal_option(group)


def _check_combination(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Raises GenreclfError for options that exclude each other."""
    steps = [name for name in ("apply", "undo") if getattr(options, name)] + ["FILE"] * bool(options.paths)
    if len(steps) != 1:
        parser.error("give files with --plan, or --apply PLAN, or --undo LOG")
    (step,) = steps
    allowed = {"FILE": None, "apply": ("apply", "log", "m3u"), "undo": ("undo",)}[step]
    for name, value in vars(options).items():
        if allowed and name not in allowed and value != parser.get_default(name) and value != []:
            parser.error(f"--{name.replace('_', '-')}: not with --{step}; give it with --plan")
    if options.log and step != "apply":
        parser.error("--log: only with --apply")
    if options.watch and (not options.plan or options.m3u or options.embeddings):
        parser.error("--watch: give --plan PLAN, and neither --m3u nor --embeddings")
    if step == "FILE" and not (options.plan or options.m3u or options.embeddings):
        parser.error("nothing to write; give --plan PLAN, --m3u DIR or --embeddings OUT")


def _apply(options: argparse.Namespace) -> int:
    plan = read_plan(options.apply)
    log = GenreLog(options.log or options.apply.with_name(options.apply.name + LOG_SUFFIX))
    rows = [row for row in plan if row.wanted]
    counts = _change_each(rows, lambda row: apply_row(row, log), "writing tags")
    counts[LEFT] = len(plan) - len(rows)
    _show_counts(counts)
    if counts[WRITTEN]:
        print(f"To restore: {shell_command('genreclf', 'tag', '--undo', str(log.file))}")
    failed = options.m3u is not None and not show_playlists(plan, options.m3u)
    return SOME_FILES_FAILED if failed or counts[SKIPPED] else 0


def _undo(options: argparse.Namespace) -> int:
    changes = read_log(options.undo)
    counts = _change_each(changes[::-1], undo_change, "restoring tags")
    _show_counts(counts)
    return SOME_FILES_FAILED if counts[SKIPPED] else 0


def _change_each(items: Sequence[Item], change: Callable[[Item], Outcome], label: str) -> Counter[str]:
    """Changes one file per item, reports problems immediately, and returns the number of files by outcome."""

    def changed(item: Item) -> str:
        outcome = change(item)
        print_problems([outcome.problem])
        return outcome.what

    return Counter(progress_map(changed, items, label, "files"))


def _show_counts(counts: Counter[str]) -> None:
    rows = [[str(count), what] for what, count in counts.items() if count]
    print_table([("files", "number"), ("result", "text")], rows)


if __name__ == "__main__":
    sys.exit(main())

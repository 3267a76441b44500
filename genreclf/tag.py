"""Genres into the tags of files: genreclf tag DIR --plan plan.csv, then --apply plan.csv; --undo LOG restores."""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from genreclf.command_options import (
    SOME_FILES_FAILED,
    Parser,
    add_file_options,
    add_journal_option,
    add_model_options,
    embeddings_file,
    find_files,
    load,
    positive,
    share,
    tell_default_model,
    tell_problems,
)
from genreclf.errors import GenreclfError, command
from genreclf.files import user_path
from genreclf.frontend.folder import folder_contents
from genreclf.frontend.picture import PICTURE_SUFFIXES
from genreclf.inference.catalog import DEFAULT_MODEL, read_scores
from genreclf.inference.embeddings import Embeddings, write_embeddings
from genreclf.inference.predicted_rows import predicted_rows
from genreclf.inference.predictor import Predictor
from genreclf.inference.reliability import at_least
from genreclf.inference.results import Row, check_output
from genreclf.inference.run_folder import find_bundle
from genreclf.progress import progress_bar
from genreclf.stopping import stoppable
from genreclf.tags.arrivals import arrivals, check_watching
from genreclf.tags.changes import SKIPPED, WRITTEN, Outcome, apply_row, undo_change
from genreclf.tags.choice import Rules, plan_row
from genreclf.tags.file_tags import check_installed
from genreclf.tags.genre_log import GenreLog, read_log
from genreclf.tags.plan import (
    KEEP,
    SEPARATOR,
    SKIP,
    WRITE,
    PlanRow,
    append_rows,
    read_plan,
    split_genres,
    write_plan,
)
from genreclf.tags.playlists import write_playlists
from genreclf.terminal import print_table
from genreclf.text import letters, one_line, percent, shell_command

LOG_SUFFIX = ".log"  # of the log beside a plan
LEAST = 0.8
LEFT = "left as the plan says"

Item = TypeVar("Item")


@command
@stoppable(lambda: "stopped: every file is whole; run the same command again to go on")
def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns 0, 1 where a file was not read or not written as wanted, or 2 for a wrong call."""
    parser = _parser()
    options = parser.parse_args(arguments)
    _check_combination(parser, options)
    check_installed()
    if options.apply:
        return _apply(options)
    if options.undo:
        return _undo(options)
    return _watch(options) if options.watch else _plan(options)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="genreclf tag",
        usage="genreclf tag FILE... --plan PLAN [options]\n"
        "       genreclf tag --apply PLAN [--log LOG] [--m3u DIR]\n"
        "       genreclf tag --undo LOG",
        description="Writes genres into the tags of audio files, in three steps. --plan predicts and writes a table, "
        "nothing else. --apply writes what that table says, after you have looked at it. --undo restores.",
        epilog="Exit code: 0, 1 if some files were not read or not written (the others are), 2 for a wrong call.",
    )
    add_file_options(parser, at_least=0)
    steps = parser.add_argument_group("steps")
    steps.add_argument("--plan", type=user_path, metavar="PLAN", help="write a CSV with what would be done")
    edited = "write the genres of the column correct, or of genre where the action is write"
    steps.add_argument("--apply", type=user_path, metavar="PLAN", help=edited)
    steps.add_argument("--undo", type=user_path, metavar="LOG", help="restore the genres from before --apply")
    steps.add_argument("--log", type=user_path, help="of --apply: what the genres were before (default PLAN.log)")
    _add_plan_options(parser.add_argument_group("options of --plan"))
    add_model_options(parser, pictures=False)
    return parser


def _add_plan_options(group: argparse._ArgumentGroup) -> None:
    least = f"write only where the genre is at least so probable (default {LEAST})"
    group.add_argument("--min", type=share, default=LEAST, metavar="P", help=least)
    group.add_argument("--overwrite", action="store_true", help="also replace genres that files have")
    several = "write up to N genres: the fewest that reach --min together (default 1)"
    group.add_argument("--genres", type=positive, default=1, metavar="N", help=several)
    playlists = "write a playlist (.m3u8) for each genre into this folder; also with --apply"
    group.add_argument("--m3u", type=user_path, metavar="DIR", help=playlists)
    vectors = "write the embeddings of the files for `genreclf similar` (.parquet, .npz or .csv)"
    group.add_argument("--embeddings", type=embeddings_file, metavar="OUT", help=vectors)
    group.add_argument("--watch", action="store_true", help="add new files to the plan as they appear, until Ctrl-C")
    add_journal_option(group)


def _check_combination(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Raises GenreclfError for options that do not go together."""
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
        parser.error("say what to write: --plan PLAN, --m3u DIR or --embeddings OUT")


def _plan(options: argparse.Namespace) -> int:
    _check_plan_file(options.plan)
    check_output(options.embeddings)
    paths, unreadable_folders = find_files(options.paths)
    songs = _without_pictures(paths)
    predictor = _load(options)
    predicted = predicted_rows(
        predictor, songs, options.workers, options.journal, embedding=options.embeddings is not None
    )
    rows = list(predicted)
    tell_problems(row["problem"] for row in rows)
    plan = _plan_rows(rows, _rules(options))
    if options.plan:
        write_plan(plan, options.plan)
    if options.embeddings:
        _write_embeddings(rows, predictor, options.embeddings)
    failed = _write_playlists(plan, options.m3u) if options.m3u else False
    _show_summary(plan, options)
    return SOME_FILES_FAILED if failed or unreadable_folders or any(row["problem"] for row in rows) else 0


def _check_plan_file(file: Path | None) -> None:
    """Raises GenreclfError for a file that a new plan must not replace: before long work starts."""
    check_output(file)
    if file is None or not file.exists():
        return
    if any(row.correct.strip() for row in read_plan(file)):
        raise GenreclfError(f"{file}: this plan has corrections, which would be lost; choose another file")


def _without_pictures(paths: Sequence[Path]) -> list[Path]:
    songs = [path for path in paths if not _is_picture(path)]
    if len(songs) < len(paths):
        print(f"genreclf: {len(paths) - len(songs)} pictures passed over: they have no tags", file=sys.stderr)
    if not songs:
        raise GenreclfError("no audio file among these; give files or folders with music")
    return songs


def _is_picture(path: Path) -> bool:
    return path.name.lower().endswith(PICTURE_SUFFIXES)


def _load(options: argparse.Namespace) -> Predictor:
    """The predictor. Raises GenreclfError for one of whose genres a cell of the plan would make two."""
    predictor = load(options)
    for name in predictor.info.classes:
        if split_genres(name) != (name,):
            fault = f"separates genres with {SEPARATOR!r}, and this model has the genre {name!r}"
            raise GenreclfError(f"--model {options.model or DEFAULT_MODEL}: a plan {fault}; train with another name")
    tell_default_model(options)
    return predictor


def _rules(options: argparse.Namespace) -> Rules:
    return Rules(options.min, options.overwrite, options.genres)


def _plan_rows(rows: Sequence[Row], rules: Rules) -> list[PlanRow]:
    plan = []
    with progress_bar("reading tags", "files") as report:
        for row in rows:
            plan.append(plan_row(row, rules))
            report(len(plan), len(rows))
    return plan


def _write_embeddings(rows: Sequence[Row], predictor: Predictor, out: Path) -> None:
    found = [(row["path"], row["embedding"]) for row in rows if row.get("embedding")]
    if not found:
        print(f"genreclf: {out}: not written: no file has an embedding", file=sys.stderr)
        return
    paths, values = zip(*found, strict=True)
    write_embeddings(Embeddings(paths, np.array(values, np.float32), predictor.model.weights_sha256), out)


def _write_playlists(plan: Sequence[PlanRow], folder: Path) -> bool:
    """Writes a playlist for each genre that files will have; returns whether something could not be written.

    Spellings of a genre that differ in case and punctuation are one.
    """
    spelling: dict[str, str] = {}
    songs: defaultdict[str, list[Path]] = defaultdict(list)
    for row in plan:
        for genre in row.wanted or (split_genres(row.present) if row.action == KEEP else ()):
            songs[spelling.setdefault(letters(genre), genre)].append(Path(row.path))
    written, problems = write_playlists(dict(sorted(songs.items())), folder)
    tell_problems(problems)
    print(f"{len(written)} playlists in {one_line(str(folder))}")
    return bool(problems)


def _show_summary(plan: Sequence[PlanRow], options: argparse.Namespace) -> None:
    """Prints how many files would be written, kept and skipped, and what is known of answers like those."""
    counts = Counter((row.action, row.reason) for row in plan)
    order = {action: number for number, action in enumerate((WRITE, KEEP, SKIP))}
    lines = sorted(counts.items(), key=lambda item: (order[item[0][0]], -item[1]))
    cells = [[action, str(count), reason] for (action, reason), count in lines]
    print_table([("action", "text"), ("files", "number"), ("why", "text")], cells)
    answers = [row for row in plan if row.probability is not None]
    if answers:
        reached = sum(row.probability >= options.min for row in answers if row.probability is not None)
        print(f"{reached} of the {len(answers)} files that the model gives a genre reach {percent(options.min)}.")
    if measured := _measured(options):
        print(measured)
    if options.plan:
        print(f"Look at the plan, then: {shell_command('genreclf', 'tag', '--apply', str(options.plan))}")


def _measured(options: argparse.Namespace) -> str:
    """How answers above the threshold did on held-out clips; empty where that was not measured."""
    scores = read_scores(find_bundle(options.model or DEFAULT_MODEL))
    found = at_least(scores.reliability, options.min) if scores else None
    if found is None or options.genres > 1 or options.prior or options.tta != "none":
        return ""
    return (
        f"Of {found.of_clips} held-out clips, {percent(found.clips / found.of_clips)} reached "
        f"{percent(found.least)}; {percent(found.accuracy)} of those answers were right."
    )


def _watch(options: argparse.Namespace) -> int:
    """Adds the files that appear in the folders to the plan, until it is stopped."""
    check_watching()
    check_output(options.plan)
    for folder in options.paths:
        if not folder.is_dir():
            raise GenreclfError(f"{folder}: not a folder; --watch needs folders")
    planned = {Path(row.path) for row in read_plan(options.plan)} if options.plan.exists() else set()
    predictor = _load(options)
    if not options.plan.exists():
        write_plan([], options.plan)
    print(f"genreclf: watching; Ctrl-C ends it; the plan: {options.plan}", file=sys.stderr)
    for paths in arrivals(options.paths, lambda: set(_songs(options.paths)) - planned):
        for row in predicted_rows(predictor, paths, options.workers, options.journal):
            planned_row = plan_row(row, _rules(options))
            append_rows([planned_row], options.plan)
            print(one_line(f"{planned_row.action}  {planned_row.genre or planned_row.note}  {planned_row.path}"))
    return 0


def _songs(folders: Sequence[Path]) -> Iterable[Path]:
    for folder in folders:
        if not folder.is_dir():
            raise GenreclfError(f"{folder}: the folder is gone; start again when it is there")
        yield from (folder / clip for clip in folder_contents(folder).clips if not _is_picture(Path(clip)))


def _apply(options: argparse.Namespace) -> int:
    plan = read_plan(options.apply)
    log = GenreLog(options.log or options.apply.with_name(options.apply.name + LOG_SUFFIX))
    rows = [row for row in plan if row.wanted]
    counts = _change_each(rows, lambda row: apply_row(row, log), "writing tags")
    counts[LEFT] = len(plan) - len(rows)
    _show_counts(counts)
    if counts[WRITTEN]:
        print(f"To restore: {shell_command('genreclf', 'tag', '--undo', str(log.file))}")
    failed = _write_playlists(plan, options.m3u) if options.m3u else False
    return SOME_FILES_FAILED if failed or counts[SKIPPED] else 0


def _undo(options: argparse.Namespace) -> int:
    changes = read_log(options.undo)
    counts = _change_each(changes[::-1], undo_change, "restoring tags")
    _show_counts(counts)
    return SOME_FILES_FAILED if counts[SKIPPED] else 0


def _change_each(items: Sequence[Item], change: Callable[[Item], Outcome], label: str) -> Counter[str]:
    """Changes a file per item; tells problems at once, and returns how many files had each outcome."""
    counts: Counter[str] = Counter()
    with progress_bar(label, "files") as report:
        for number, item in enumerate(items, 1):
            outcome = change(item)
            counts[outcome.what] += 1
            tell_problems([outcome.problem])
            report(number, len(items))
    return counts


def _show_counts(counts: Counter[str]) -> None:
    print_table([("files", "number"), ("", "text")], [[str(count), what] for what, count in counts.items() if count])


if __name__ == "__main__":
    sys.exit(main())

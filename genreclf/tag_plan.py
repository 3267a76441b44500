"""Makes the plan of `genreclf tag`, playlists and embeddings from predictions and existing tags."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from genreclf.command_options import SOME_FILES_FAILED, find_files, load, print_default_model, print_problems
from genreclf.errors import GenreclfError
from genreclf.frontend.clip import PICTURE_SUFFIXES
from genreclf.frontend.folder import folder_contents
from genreclf.inference.catalog import read_scores
from genreclf.inference.embeddings import Embeddings, write_embeddings
from genreclf.inference.predicted_rows import Contents, predicted_rows, thread_rows
from genreclf.inference.predictor import Predictor
from genreclf.inference.reliability import at_least
from genreclf.inference.results import Row, check_output
from genreclf.inference.run_folder import DEFAULT_MODEL, find_bundle
from genreclf.inference.task import MULTICLASS, MULTILABEL
from genreclf.progress import progress_map
from genreclf.tags.arrivals import arrivals, check_watching
from genreclf.tags.choice import Rules, plan_row, rules_for
from genreclf.tags.plan import KEEP, SEPARATOR, SKIP, WRITE, PlanRow, append_rows, read_plan, split_genres, write_plan
from genreclf.tags.playlists import songs_by_genre, write_playlists
from genreclf.terminal import print_table
from genreclf.text import one_line, percent, shell_command


def make_plan(options: argparse.Namespace) -> int:
    """Predicts, writes the requested files, and prints a summary. Returns the command's exit code."""
    _check_plan_file(options.plan)
    check_output(options.embeddings)
    _check_paths(options.paths)
    paths, unreadable_folders = find_files(options.paths)
    songs = _without_pictures(paths)
    predictor = _load(options)
    rows = list(_predicted(songs, predictor, options))
    print_problems(row["problem"] for row in rows)
    wanted = _rules(options, predictor)
    plan = progress_map(partial(plan_row, rules=wanted), rows, "reading tags", "files")
    if options.plan:
        write_plan(plan, options.plan)
    if options.embeddings:
        _write_embeddings(rows, predictor, options.embeddings)
    failed = options.m3u is not None and not show_playlists(plan, options.m3u)
    _show_summary(plan, wanted, options)
    return SOME_FILES_FAILED if failed or unreadable_folders or any(row["problem"] for row in rows) else 0


def _check_paths(paths: Sequence[Path]) -> None:
    """Raises GenreclfError for a missing file or folder, because a plan without it would seem complete."""
    for path in paths:
        if not os.path.lexists(path):
            raise GenreclfError(f"{path}: no such file or folder; give files or folders with music")


def _check_plan_file(file: Path | None) -> None:
    """Raises GenreclfError, before long work starts, for a file that a new plan must not replace."""
    check_output(file)
    if file is None or not file.exists():
        return
    if any(row.correct.strip() for row in read_plan(file)):
        raise GenreclfError(f"{file}: this plan has corrections, which would be lost; choose another file")


def _without_pictures(paths: Sequence[Path]) -> list[Path]:
    songs = [path for path in paths if not _is_picture(path)]
    if len(songs) < len(paths):
        print(f"genreclf: pictures ignored, because they have no tags: {len(paths) - len(songs)}", file=sys.stderr)
    if not songs:
        raise GenreclfError("no audio file among these; give files or folders with music")
    return songs


def _is_picture(path: Path) -> bool:
    return path.name.lower().endswith(PICTURE_SUFFIXES)


def _load(options: argparse.Namespace) -> Predictor:
    """Returns the predictor. Raises GenreclfError if a genre's name contains the separator of a plan's cells."""
    predictor = load(options)
    for name in predictor.info.classes:
        if split_genres(name) != (name,):
            fault = f"separates genres with {SEPARATOR!r}, and this model has the genre {name!r}"
            raise GenreclfError(f"--model {options.model or DEFAULT_MODEL}: a plan {fault}; train with another name")
    print_default_model(options)
    return predictor


def _predicted(songs: Sequence[Path], predictor: Predictor, options: argparse.Namespace) -> Iterator[Row]:
    contents = Contents(embedding=options.embeddings is not None)
    engine = partial(thread_rows, predictor, options.workers, contents)
    return predicted_rows(songs, predictor, contents, engine, options.journal)


def _rules(options: argparse.Namespace, predictor: Predictor) -> Rules:
    return rules_for(options.min, options.overwrite, options.genres, predictor.info.task == MULTILABEL)


def _write_embeddings(rows: Sequence[Row], predictor: Predictor, out: Path) -> None:
    found = [(row["path"], row["embedding"]) for row in rows if row.get("embedding")]
    if not found:
        print(one_line(f"genreclf: {out}: not written: no file has an embedding"), file=sys.stderr)
        return
    paths, values = zip(*found, strict=True)
    write_embeddings(Embeddings(paths, np.array(values, np.float32), predictor.model.weights_sha256), out)


def _show_summary(plan: Sequence[PlanRow], wanted: Rules, options: argparse.Namespace) -> None:
    """Prints how many files would be written, kept and skipped, and how such predictions did on held-out clips."""
    counts = Counter((row.action, row.reason) for row in plan)
    order = {action: number for number, action in enumerate((WRITE, KEEP, SKIP))}
    lines = sorted(counts.items(), key=lambda item: (order[item[0][0]], -item[1]))
    cells = [[action, str(count), reason] for (action, reason), count in lines]
    print_table([("action", "text"), ("files", "number"), ("why", "text")], cells)
    answers = [row for row in plan if row.probability is not None]
    if answers and wanted.least:
        reached = sum(row.probability >= wanted.least for row in answers if row.probability is not None)
        print(f"{reached} of the {len(answers)} files with a predicted genre reach {percent(wanted.least)}.")
    if measured := _measured(wanted, options):
        print(measured)
    if options.plan:
        print(f"Check the plan, then run {shell_command('genreclf', 'tag', '--apply', str(options.plan))}")


def _measured(wanted: Rules, options: argparse.Namespace) -> str:
    """Describes the accuracy of predictions above the threshold on held-out clips; empty if it was not measured."""
    scores = read_scores(find_bundle(options.model or DEFAULT_MODEL))
    found = at_least(scores.reliability, wanted.least) if scores and scores.task == MULTICLASS else None
    if found is None or wanted.genres > 1 or options.prior or options.tta != "none":
        return ""
    return (
        f"Of {found.of_clips} held-out clips, {percent(found.clips / found.of_clips)} reached "
        f"{percent(found.least)}; {percent(found.accuracy)} of those predictions were correct."
    )


def watch(options: argparse.Namespace) -> int:
    """Adds new files in the folders to the plan until the command is stopped."""
    check_watching()
    check_output(options.plan)
    for folder in options.paths:
        if not folder.is_dir():
            raise GenreclfError(f"{folder}: not a folder; --watch needs folders")
    planned = {Path(row.path) for row in read_plan(options.plan)} if options.plan.exists() else set()
    predictor = _load(options)
    wanted = _rules(options, predictor)
    if not options.plan.exists():
        write_plan([], options.plan)
    print(one_line(f"genreclf: watching for new files until Ctrl-C; the plan: {options.plan}"), file=sys.stderr)
    for paths in arrivals(options.paths, lambda: set(_songs(options.paths)) - planned):
        for row in _predicted(paths, predictor, options):
            planned_row = plan_row(row, wanted)
            append_rows([planned_row], options.plan)
            found = planned_row.genre or planned_row.note
            name = "" if found.startswith(planned_row.path) else f"  {planned_row.path}"  # a note may begin with it
            print(one_line(f"{planned_row.action}  {found}{name}"), flush=True)
    return 0


def _songs(folders: Sequence[Path]) -> Iterable[Path]:
    for folder in folders:
        if not folder.is_dir():
            raise GenreclfError(f"{folder}: the folder no longer exists; start again when it is back")
        yield from (folder / clip for clip in folder_contents(folder).clips if not _is_picture(Path(clip)))


def show_playlists(plan: Sequence[PlanRow], folder: Path) -> bool:
    """Writes a playlist for each genre that files will have. Returns False if there were problems."""
    written, problems = write_playlists(songs_by_genre(plan), folder)
    print_problems(problems)
    print(f"{len(written)} playlists in {one_line(str(folder))}")
    return not problems

"""Genres of audio files and spectrogram pictures: python -m genreclf.predict FILE... --run RUN."""

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from genreclf.data.sources import is_clip
from genreclf.errors import GenreclfError, print_any_name
from genreclf.evaluation.tta import TTA
from genreclf.progress import progress_bar
from genreclf.serving.bundle import CARD, find_bundle, load_bundle, shipped
from genreclf.serving.predictor import Prediction, Predictor

SOME_FILES_FAILED, USER_ERROR = 1, 2
DEFAULT = "a"  # of the models that come along, the one that did best on held-out folds


def predict(arguments: Sequence[str] | None = None) -> int:
    """The command; returns 0, 1 where a file could not be read, or 2 for a mistake in the call."""
    options = _parser().parse_args(arguments)
    print_any_name()
    try:
        paths = list(_files(options.paths))
        bundle = find_bundle(options.run or Path(DEFAULT))
        predictor = Predictor(load_bundle(bundle), options.tta, options.device)
    except GenreclfError as error:
        print(f"genreclf: {error}", file=sys.stderr)
        return USER_ERROR
    if options.run is None:
        print(f"no --run: model {DEFAULT}, which comes along; how far to trust it: {bundle / CARD}", file=sys.stderr)
    rows = []
    with progress_bar("predicting", "files") as report:
        for path in paths:
            rows.append(_row(predictor, path))
            report(len(rows), len(paths))
    show = _show_json if options.json else _show_csv if options.csv else _show_table
    show(rows, predictor.bundle.classes)
    return SOME_FILES_FAILED if any(row["problem"] for row in rows) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m genreclf.predict",
        description="Says which genre audio files (wav flac ogg mp3 au aiff) or spectrogram pictures (png jpg) are.",
        epilog="Exit code: 0 all files answered, 1 some could not be read (the others are answered), 2 a wrong call.",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE", help="a file, or a folder to search for files")
    models = " or ".join(shipped())
    parser.add_argument(
        "--run",
        type=Path,
        help=f"a finished run folder, a bundle folder, or the name of a model that comes along: {models} "
        f"(default {DEFAULT})",
    )
    parser.add_argument("--tta", default="none", choices=list(TTA), help="average over changed copies (default none)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default auto)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, with every class and segment")
    form.add_argument("--csv", action="store_true", help="print CSV, with every class")
    return parser


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(Path(parent) / name for parent, _, names in os.walk(path) for name in names if is_clip(name))
        if not found:
            raise GenreclfError(f"{path}: holds no audio file or picture")
        yield from found


def _row(predictor: Predictor, path: Path) -> dict[str, Any]:
    """One file's answer; a file that cannot be read has a problem in place of it, and the rest go on."""
    try:
        return {"path": str(path), "answer": predictor.predict_file(path), "problem": ""}
    except GenreclfError as error:
        print(f"genreclf: {error}", file=sys.stderr)
        return {"path": str(path), "answer": None, "problem": str(error)}


def _show_table(rows: Sequence[dict[str, Any]], classes: Sequence[str]) -> None:
    table = Table("genre", "", "then")
    table.add_column("file", overflow="fold")
    for row in rows:
        answer: Prediction | None = row["answer"]
        if answer is None:
            table.add_row("-", "", "could not be read", row["path"])
            continue
        ranked = sorted(zip(answer.probabilities, classes, strict=True), reverse=True)
        then = ", ".join(f"{name} {share:.0%}" for share, name in ranked[1:3])
        path = f"{row['path']} ({answer.note})" if answer.note else row["path"]
        table.add_row(answer.genre, f"{answer.probability:.0%}", then, path)
    Console().print(table)


def _show_json(rows: Sequence[dict[str, Any]], classes: Sequence[str]) -> None:
    print(json.dumps([_plain(row, classes) for row in rows], indent=1))


def _plain(row: dict[str, Any], classes: Sequence[str]) -> dict[str, Any]:
    answer: Prediction | None = row["answer"]
    if answer is None:
        return {"path": row["path"], "problem": row["problem"]}
    return {
        "path": row["path"],
        "genre": answer.genre,
        "probability": answer.probability,
        "probabilities": dict(zip(classes, answer.probabilities, strict=True)),
        "seconds": answer.seconds,
        "segments": [
            {
                "start_seconds": piece.start_seconds,
                "end_seconds": piece.end_seconds,
                "probabilities": dict(zip(classes, piece.probabilities, strict=True)),
            }
            for piece in answer.segments
        ],
        "note": answer.note,
        "problem": "",
    }


def _show_csv(rows: Sequence[dict[str, Any]], classes: Sequence[str]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["path", "genre", "probability", "seconds", *classes, "note", "problem"])
    for row in rows:
        answer: Prediction | None = row["answer"]
        if answer is None:
            writer.writerow([row["path"], *[""] * (3 + len(classes)), "", row["problem"]])
        else:
            figures = [answer.genre, answer.probability, answer.seconds, *answer.probabilities, answer.note]
            writer.writerow([row["path"], *figures, ""])


if __name__ == "__main__":
    sys.exit(predict())

"""Compares trained models on the same clips: genreclf compare RUN RUN..."""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genreclf.command_options import Parser, add_tta_option
from genreclf.config import build
from genreclf.data.columns import meaning_of
from genreclf.errors import GenreclfError, command, explained
from genreclf.evaluation.comparison import System, calibrate, compare, count, format_p
from genreclf.evaluation.comparison_plot import draw_comparison
from genreclf.evaluation.multilabel_comparison import SCORE, compare_multilabel
from genreclf.evaluation.predictions import Predictions, cells, read_predictions
from genreclf.evaluation.score_tables import ends
from genreclf.evaluation.slices import NO_VALUE, Columns, check_slices, not_shown, slice_columns
from genreclf.evaluation.systems import Run, build_systems, find_runs
from genreclf.files import user_path, write_atomically
from genreclf.inference.results import check_output_folder
from genreclf.inference.run_folder import COMPARISON_JSON, COMPARISON_MD, COMPARISON_PNG, EVALUATION, PREDICTIONS
from genreclf.page import render
from genreclf.stopping import stoppable
from genreclf.terminal import Kind, print_table
from genreclf.text import one_line
from genreclf.training.resume import MOVABLE

_NAMES = {"accuracy": "accuracy", SCORE: "mAP"}


@command
@stoppable()
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0, or 2 for a usage error."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    moved = {key: word.partition("=")[2] for word in words for key in MOVABLE if word.startswith(f"{key}=")}
    options = _parser().parse_args([word for word in words if word.partition("=")[0] not in moved])
    runs, unfinished = find_runs(options.runs)
    for folder in unfinished:
        print(one_line(f"left out {folder}: its training did not finish"), file=sys.stderr)
    table = _table(runs, moved)
    check_slices(options.slices, table)
    folder = options.out or Path("comparisons") / time.strftime("%Y-%m-%d_%H-%M-%S")
    check_output_folder("--out ", folder)
    predictions = {run.folder: _predictions(run, options.clips, options.tta, moved) for run in runs}
    systems = build_systems(predictions, runs)
    columns = _columns(systems[0], options.slices, table)
    if options.calibrate:
        systems = [calibrate(system) for system in systems]
    several = next(iter(systems[0].predictions.values())).several
    compared = compare_multilabel(systems, columns) if several else compare(systems, columns)
    found = {"split": options.clips, "tta": options.tta, "calibrated": options.calibrate, **compared}
    _write(folder, found)
    _show(found)
    print(one_line(f"comparison: {folder}"))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="genreclf compare",
        description="Compares trained models on the same clips and reports which differences are significant. Runs of "
        "one configuration form a system: its seeds are averaged, its folds are pooled.",
        epilog="Runs without scores are scored first; if their data have moved, give data.path=FOLDER, data.table=FILE "
        "or data.drop=FILE. Writes comparison.md, comparison.json and comparison.png. "
        "Exit code: 0, or 2 for a usage error.",
    )
    runs = "a run folder, or a folder of runs (a sweep)"
    parser.add_argument("runs", nargs="+", type=user_path, metavar="RUN", help=runs)
    parser.add_argument("--clips", default="test", choices=["test", "val"], help="which clips (default test)")
    add_tta_option(parser)
    calibrate = "calibrate each fold on the other folds, and print the temperature for a model of all clips"
    parser.add_argument("--calibrate", action="store_true", help=calibrate)
    slices = "also compare by the values of these columns of data.table, or of genre; give it after the runs"
    parser.add_argument("--slices", nargs="+", default=[], metavar="COLUMN", help=slices)
    parser.add_argument("--out", type=user_path, metavar="FOLDER", help="where to write (default comparisons/TIME)")
    return parser


def _table(runs: Sequence[Run], moved: Mapping[str, str]) -> Path | None:
    """Returns the table of the slices: from the command line, or from the first run that has one."""
    of_runs = (run.config["data"].get("table") for run in runs)
    found = moved.get("data.table") or next(filter(None, of_runs), None)
    return None if found is None else user_path(found)


def _columns(system: System, slices: Sequence[str], table: Path | None) -> Columns:
    predictions = next(iter(system.predictions.values()))
    if predictions.several and any(meaning_of(name) == "genre" for name in slices):
        raise GenreclfError("--slices genre: these runs predict several genres per clip; name columns of data.table")
    genres = cells(predictions.target, predictions.classes)
    return slice_columns(slices, predictions.paths, genres, table)


def _predictions(run: Run, split: str, tta: str, moved: Mapping[str, str]) -> Predictions:
    """Returns the predictions of a run, which is scored first if it has none."""
    file = run.folder / EVALUATION / split / PREDICTIONS
    found = _read(file, tta)
    if found is None:
        from genreclf.evaluate import EvaluateConfig, MovedData, score  # slow: imports torch and Lightning

        print(one_line(f"scoring {run.folder}"))
        # Predictions without TTA are always scored. By default, evaluate adds pitch_shift.
        scored_tta = "pitch_shift" if tta == "none" else tta
        data = build(MovedData, {key.removeprefix("data."): moved.get(key) for key in MOVABLE}, "data")
        score(EvaluateConfig(str(run.folder), split, scored_tta, (), "auto", data, None, None))
        found = _read(file, tta)
    assert found is not None  # score has just written it
    return found


def _read(file: Path, tta: str) -> Predictions | None:
    with explained(f"{file}: cannot be read", "delete it, and compare again", OSError, ValueError, KeyError):
        return read_predictions(file, tta) if file.is_file() else None


def _write(folder: Path, found: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / COMPARISON_JSON, json.dumps(found, indent=1) + "\n")
    write_atomically(folder / COMPARISON_MD, render("evaluation/comparison.md.jinja", found=found, no_value=NO_VALUE))
    draw_comparison(found, folder / COMPARISON_PNG)


def _show(found: dict[str, Any]) -> None:
    clips, groups = count(found["clips"], f"{found['split']} clip"), count(found["groups"], "group")
    score = found["score"]
    name, several = _NAMES[score], score == SCORE
    columns = _columns_of("system", "seeds", name, "95 %", "SD seeds", "SD folds", "ECE")
    print_table(columns, [_system_row(system, score) for system in found["systems"]], f"{clips} in {groups}")
    if found["pairs"]:
        columns = [("better", "text"), *_columns_of("other", "points", "95 %", "p (Holm)", "detectable")]
        print_table(columns, map(_pair_row, found["pairs"]), "differences")
    for pair in found["pairs"]:
        print(one_line(f"- {pair['verdict']}"))
    for column, sliced in found["slices"].items():
        by_value = [(one["value"] or NO_VALUE, one, system) for one in sliced["values"] for system in one["systems"]]
        numbers = ("clips", name, "95 %", *(() if several else ("macro",)), "ECE")
        columns = [(one_line(column), "text"), *_columns_of("system", *numbers)]
        print_table(columns, [_slice_row(*row, score) for row in by_value], f"by {column}{not_shown(sliced)}")
    for system in found["systems"] if found["calibrated"] else ():
        use = f"to train on all clips, use split=all temperature={system['temperature']:.2f}"
        print(one_line(f"{system['label']}: {use}"))


def _columns_of(text: str, *numbers: str) -> list[tuple[str, Kind]]:
    return [(text, "text"), *((name, "number") for name in numbers)]


def _system_row(system: dict[str, Any], score: str) -> list[str]:
    return [
        *(system["label"], str(len(system["seeds"])), f"{system[score]:.1%}", ends(system["shown"])),
        *(_points(system["deviation_over_seeds"]), _points(system["deviation_over_folds"]), f"{system['ece']:.1%}"),
    ]


def _slice_row(value: str, of_value: dict[str, Any], system: dict[str, Any], score: str) -> list[str]:
    several = score == SCORE
    interval = system["shown"] if several else system["intervals"]["accuracy"]
    return [
        *(value, system["label"], str(of_value["clips"]), "" if system[score] is None else f"{system[score]:.1%}"),
        *(ends(interval), *(() if several else (f"{system['macro_accuracy']:.1%}",)), f"{system['ece']:.1%}"),
    ]


def _pair_row(pair: dict[str, Any]) -> list[str]:
    interval, detectable = pair["clustered"], pair["detectable"]
    return [
        *(pair["better"], pair["other"], f"{100 * pair['difference']:.1f}"),
        f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}" if interval else "",
        format_p(pair["p_holm"]).removeprefix("= "),
        "" if detectable is None else f"{100 * detectable:.1f}",
    ]


def _points(deviation: float | None) -> str:
    return "" if deviation is None else f"± {100 * deviation:.1f}"


if __name__ == "__main__":
    sys.exit(main())

"""What the same clips tell of several models: python -m genreclf.compare RUN RUN..."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from genreclf.errors import GenreclfError, escape_unencodable, user_error
from genreclf.evaluation.comparison import calibrated, compare, counted, shown_p
from genreclf.evaluation.comparison_plot import draw_comparison
from genreclf.evaluation.predictions import FILE, Predictions, read_predictions
from genreclf.evaluation.systems import Run, find_runs, systems
from genreclf.inference.tta import TTA
from genreclf.page import render_text

TEMPLATE = "evaluation/comparison.md.jinja"
_LABEL_WIDTH = 12  # letters: both tables then fit 80 columns


def run_compare(arguments: Sequence[str] | None = None) -> int:
    """The command; returns 0, or 2 for a mistake in the call."""
    options = _parser().parse_args(arguments)
    escape_unencodable()
    try:
        runs, unfinished = find_runs(options.runs)
        for folder in unfinished:
            print(f"left out {folder}: its training did not end", file=sys.stderr)
        answers = {run.folder: _answers(run, options.clips, options.tta) for run in runs}
        every = systems(answers, runs)
        if options.calibrate:
            every = [calibrated(system) for system in every]
        facts = {"split": options.clips, "tta": options.tta, "calibrated": options.calibrate}
        found = {**facts, **compare(every)}
        _write(options.out or Path("comparisons") / time.strftime("%Y-%m-%d_%H-%M-%S"), found)
    except GenreclfError as error:
        return user_error(error)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m genreclf.compare",
        description="Says which of several trained models is better, and what the scored clips cannot tell. "
        "Runs of one configuration are taken together: their seeds give a deviation, their folds are pooled.",
        epilog="Runs that were not scored yet are scored first. Writes comparison.md, comparison.json and "
        "comparison.png. Exit code: 0, or 2 for a mistake in the call.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run folder, or a folder of such: a sweep")
    parser.add_argument("--clips", default="test", choices=["test", "val"], help="which clips (default test)")
    parser.add_argument("--tta", default="none", choices=list(TTA), help="which answers (default none: plain ones)")
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="temper each fold by what fits the others, and tell the temperature for a model of all clips",
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (default comparisons/TIME)")
    return parser


def _answers(run: Run, split: str, tta: str) -> Predictions:
    """What the run answered, scored now where that was not done yet."""
    file = run.folder / "evaluation" / split / FILE
    for scored in (False, True):
        if file.is_file() and (answers := _read(file, tta)) is not None:
            return answers
        if not scored:
            _evaluate(run, split, tta)
    raise GenreclfError(f"{file}: has no answers of tta={tta}; delete it, and it is made anew")


def _read(file: Path, tta: str) -> Predictions | None:
    try:
        return read_predictions(file, tta)
    except (OSError, ValueError, KeyError) as error:
        raise GenreclfError(f"{file}: cannot be read ({error}); delete it, and it is made anew") from error


def _evaluate(run: Run, split: str, tta: str) -> None:
    from genreclf.evaluate import score  # with torch and lightning behind it: only who needs it waits for it

    print(f"scoring {run.folder}")
    beside = "keys" if tta == "none" else tta  # plain answers are always scored; keys is what evaluate adds to them
    config = {"run": str(run.folder), "clips": split, "tta": beside, "batch_size": 32, "device": "auto"}
    score(config, [f"run={run.folder}", f"clips={split}", f"tta={beside}"])


def _write(folder: Path, found: dict[str, Any]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "comparison.json").write_text(json.dumps(found, indent=1) + "\n")
        (folder / "comparison.md").write_text(render_text(TEMPLATE, found=found), encoding="utf-8")
        draw_comparison(found, folder / "comparison.png")
    except OSError as error:
        raise GenreclfError(f"--out {folder}: cannot be written ({error}); choose another folder") from error
    _show(found)
    print(f"table, figures and picture: {folder}")


def _show(found: dict[str, Any]) -> None:
    console = Console()
    console.print(_system_table(found))
    if found["pairs"]:
        console.print(_pair_table(found["pairs"]))
    for system in found["systems"] if found["calibrated"] else ():
        told = f"{system['label']}: for a model of all clips, split=all temperature={system['temperature']:.2f}"
        console.print(told, highlight=False, soft_wrap=True, markup=False, emoji=False)
    for pair in found["pairs"]:
        console.print(f"- {pair['verdict']}", highlight=False, soft_wrap=True, markup=False, emoji=False)


def _system_table(found: dict[str, Any]) -> Table:
    clips = counted(found["clips"], f"{found['split']} clip")
    table = Table(title=f"{clips} in {counted(found['groups'], 'group')}")
    table.add_column("system", overflow="fold", min_width=_LABEL_WIDTH)
    for heading in ("seeds", "accuracy", "95 %", "over seeds", "over folds", "ECE"):
        table.add_column(heading, justify="right", no_wrap=True)
    for system in found["systems"]:
        interval = system["clustered"]
        table.add_row(
            Text(system["label"]),  # no markup: overrides may hold brackets
            str(len(system["seeds"])),
            f"{system['accuracy']:.1%}",
            f"{100 * interval[0]:.0f}-{100 * interval[1]:.0f}" if interval else "",
            *(_points(system[f"deviation_over_{what}"]) for what in ("seeds", "folds")),
            f"{system['ece']:.1%}",
        )
    return table


def _pair_table(pairs: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="differences")
    for heading in ("better", "other"):
        table.add_column(heading, overflow="fold", min_width=_LABEL_WIDTH)
    for heading in ("points", "95 %", "p, Holm", "shown from"):
        table.add_column(heading, justify="right", no_wrap=True)
    for pair in pairs:
        interval, detectable = pair["clustered"], pair["detectable"]
        table.add_row(
            Text(pair["better"]),
            Text(pair["other"]),
            f"{100 * pair['difference']:.1f}",
            f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}" if interval else "",
            shown_p(pair["p_holm"]).removeprefix("= "),
            "" if detectable is None else f"{100 * detectable:.1f}",
        )
    return table


def _points(deviation: float | None) -> str:
    return "" if deviation is None else f"± {100 * deviation:.1f}"


if __name__ == "__main__":
    sys.exit(run_compare())

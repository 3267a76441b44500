"""Trains a model on all clips of a table with folds, and gives its bundle the scores of the folds.

python scripts/ship.py MODEL PICTURES TABLE FOLDER [KEY=VALUE...]

Trains MODEL five times, each time without one fold (a finished training in FOLDER is kept), compares, fits the
temperature on the held-out answers, trains on all clips, and puts the bundle with its card into genreclf/weights/MODEL.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from genreclf.evaluate import clip_scores_of, facts_of
from genreclf.evaluation.card import model_card
from genreclf.evaluation.comparison import calibrated
from genreclf.evaluation.predictions import FILE, read_predictions
from genreclf.evaluation.systems import find_runs, systems
from genreclf.serving.bundle import CARD, SHIPPED, load_bundle

FOLDS = 5


def main(model: str, pictures: Path, table: Path, folder: Path, overrides: list[str]) -> None:
    """The whole road; long trainings come first, and are not repeated. `overrides` are of `genreclf.train`."""
    data = [f"model={model}", "data=folder", f"data.path={pictures}", f"data.table={table}", *overrides]
    held_out = [folder / f"fold-{fold}" for fold in range(FOLDS)]
    for fold, run in enumerate(held_out):
        _train(run, *data, "split=table", f"split.fold={fold}", "split.validation=false", "temperature=1")
    _run("compare", *held_out, "--calibrate", "--out", folder / "comparison")
    (system,) = json.loads((folder / "comparison" / "comparison.json").read_text())["systems"]
    whole = folder / "all"
    _train(whole, *data, "split=all", f"temperature={system['temperature']:.3f}", "half=true")
    (SHIPPED / model).mkdir(parents=True, exist_ok=True)
    for name in ("model.safetensors", "config.json"):
        shutil.copyfile(whole / "bundle" / name, SHIPPED / model / name)
    (SHIPPED / model / CARD).write_text(_card(whole, held_out), encoding="utf-8")


def _train(run: Path, *overrides: str) -> None:
    if (run / "bundle" / "config.json").is_file():
        return
    resume = ["ckpt=last"] if (run / "last.ckpt").is_file() else []
    _run("train", *overrides, "logger=none", f"run={run}", *resume)


def _run(command: str, *words: object) -> None:
    subprocess.run([sys.executable, "-m", f"genreclf.{command}", *map(str, words)], check=True)


def _card(whole: Path, held_out: list[Path]) -> str:
    """The card of the net of all clips, with the scores of the nets that each left a fold out."""
    runs, _ = find_runs(held_out)
    answers = {run.folder: read_predictions(run.folder / "evaluation" / "test" / FILE, "none") for run in runs}
    (system,) = map(calibrated, systems(answers, runs))
    (pooled,) = system.answers.values()
    scored = [json.loads((run / "evaluation" / "test" / "metrics.json").read_text()) for run in held_out]
    folds = {
        **facts_of(whole, load_bundle(whole / "bundle")),
        "clips": {"train": len(pooled.paths), "val": 0, "test": 0},
        "audit": "; ".join(sorted({own["audit"] for own in scored})),
        "audit_leaks": any(own["audit_leaks"] for own in scored),
        "tta": {"none": {"clip": clip_scores_of(pooled)}},
    }
    return model_card({"folds": folds})


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(sys.argv[1], *(Path(word).expanduser().resolve() for word in sys.argv[2:5]), sys.argv[5:])

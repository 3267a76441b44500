"""Trains a model on all clips of a table with folds, and gives its bundle the scores of the folds.

python scripts/ship.py MODEL PICTURES TABLE FOLDER [KEY=VALUE...]

MODEL is one of conf/model, or committee: A and the support vector machine on its statistics. Trains it five times, each
time without one fold (a finished training in FOLDER is kept), fits the temperature on the held-out answers, trains on
all clips, and puts the bundle with its card into genreclf/weights/MODEL.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from genreclf.evaluate import clip_scores_of, facts_of
from genreclf.evaluation.card import model_card
from genreclf.evaluation.comparison import calibrated
from genreclf.evaluation.predictions import FILE, read_predictions
from genreclf.evaluation.systems import find_runs, systems
from genreclf.serving.bundle import load_bundle
from genreclf.serving.find import CARD, SHIPPED

FOLDS = 5
MEMBERS = {"committee": ("a", "svm_statistics")}
CALIBRATED = 0.02  # how far from 1 the temperature of calibrated answers may lie


def main(model: str, pictures: Path, table: Path, folder: Path, overrides: list[str]) -> None:
    """The whole road. `overrides` are of `genreclf.train`, and have no part in a committee's members."""
    data = ["data=folder", f"data.path={pictures}", f"data.table={table}"]
    for member in MEMBERS.get(model, ()):
        _trained(member, folder, data)
    held_out, whole = _trained(model, folder, [*data, *overrides])
    (SHIPPED / model).mkdir(parents=True, exist_ok=True)
    for name in ("model.safetensors", "config.json"):
        shutil.copyfile(whole / "bundle" / name, SHIPPED / model / name)
    (SHIPPED / model / CARD).write_text(_card(whole, held_out), encoding="utf-8")


def _trained(model: str, folder: Path, data: list[str]) -> tuple[list[Path], Path]:
    """The runs that each left out a fold, calibrated by each other, and the run of all clips with their temperature."""
    places = [f"fold-{fold}" for fold in range(FOLDS)]
    held_out = [folder / model / place for place in places]

    def train(place: str, temperature: float, *words: str) -> None:
        seats = [str(folder / member / place) for member in MEMBERS.get(model, ())]
        members = [f"model.members=[{','.join(seats)}]"] if seats else []
        given = [f"model={model}", *members, f"temperature={temperature:.4f}", *data, *words]
        _train(folder / model / place, temperature, given)

    def train_folds(temperature: float) -> None:
        for fold, place in enumerate(places):
            train(place, temperature, "split=table", f"split.fold={fold}", "split.validation=false")

    before = _temperature(held_out[0]) or 1.0
    train_folds(before)
    _run("compare", *held_out, "--calibrate", "--out", folder / model / "comparison")
    (system,) = json.loads((folder / model / "comparison" / "comparison.json").read_text())["systems"]
    found = system["temperature"]
    temperature = before if abs(found - 1) < CALIBRATED else before * found
    train_folds(temperature)  # the same nets with another temperature: no step of training is repeated
    train("all", temperature, "split=all", "half=true")
    return held_out, folder / model / "all"


def _train(run: Path, temperature: float, words: list[str]) -> None:
    if _temperature(run) == round(temperature, 4):
        return
    resume = ["ckpt=last"] if (run / "last.ckpt").is_file() else []
    _run("train", *words, "logger=none", f"run={run}", *resume)


def _temperature(run: Path) -> float | None:
    """That of a finished run."""
    if not (run / "bundle" / "config.json").is_file():
        return None
    return yaml.safe_load((run / "config.yaml").read_text())["temperature"]


def _run(command: str, *words: object) -> None:
    subprocess.run([sys.executable, "-m", f"genreclf.{command}", *map(str, words)], check=True)


def _card(whole: Path, held_out: list[Path]) -> str:
    """The card of the net of all clips, with the scores of the nets that each left a fold out."""
    for run in held_out:
        _run("evaluate", f"run={run}", "tta=none")
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

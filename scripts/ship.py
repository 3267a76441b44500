"""Trains a model on all clips of a table with folds, and gives its bundle the scores of the folds.

python scripts/ship.py MODEL PICTURES TABLE FOLDER [KEY=VALUE...]

MODEL is one of conf/model, or committee: A and B. Trains it five times, each time without one fold, and on all clips (a
finished training in FOLDER is kept), fits the temperature on the held-out answers, and puts the bundle of all clips
with its card, and for the default model its translation to ONNX, into genreclf/pretrained/MODEL.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import yaml

from genreclf.evaluate import clip_scores_of, facts_of
from genreclf.evaluation.card import model_card
from genreclf.evaluation.comparison import calibrated
from genreclf.evaluation.predictions import FILE, read_predictions
from genreclf.evaluation.systems import find_runs, systems
from genreclf.inference.run_folder import CARD, PRETRAINED
from genreclf.nets.bundle import load_bundle, save_bundle
from genreclf.predict import DEFAULT
from genreclf.training.record import CONFIG, LAST, RECORD

FOLDS = 5
MEMBERS = {"committee": ("a", "b")}
CALIBRATED = 0.02  # how far from 1 the temperature of calibrated answers may lie


def main(model: str, pictures: Path, table: Path, folder: Path, overrides: list[str]) -> None:
    """The whole road. `overrides` are of `genreclf.train`, and have no part in a committee's members."""
    data = ["data=folder", f"data.path={pictures}", f"data.table={table}"]
    for member in MEMBERS.get(model, ()):
        _trained(member, folder, data)
    held_out, whole = _trained(model, folder, [*data, *overrides])
    (PRETRAINED / model).mkdir(parents=True, exist_ok=True)
    for name in ("model.safetensors", "config.json"):
        shutil.copyfile(whole / "bundle" / name, PRETRAINED / model / name)
    (PRETRAINED / model / CARD).write_text(_card(whole, held_out), encoding="utf-8")
    if model == DEFAULT:
        _run("export", f"run={whole}", "format=onnx", "input=picture", f"out={PRETRAINED / model}")


def _trained(model: str, folder: Path, data: list[str]) -> tuple[list[Path], Path]:
    """The runs that each left out a fold, calibrated by each other, and the run of all clips with their temperature."""
    held_out = [folder / model / f"fold-{fold}" for fold in range(FOLDS)]
    whole = folder / model / "all"

    def train(run: Path, *words: str) -> None:
        if (run / "bundle" / "config.json").is_file():
            return
        seats = [str(folder / member / run.name) for member in MEMBERS.get(model, ())]
        members = [f"model.members=[{','.join(seats)}]"] if seats else []
        resume = ["ckpt=last"] if (run / LAST).is_file() else []
        given = [f"model={model}", *members, "temperature=1.0", "half=true", *data, *words, "logger=none"]
        _run("train", *given, f"run={run}", *resume)

    for fold, run in enumerate(held_out):
        train(run, "split=table", f"split.fold={fold}", "split.validation=false")
    train(whole, "split=all")
    _run("compare", *held_out, "--calibrate", "--out", folder / model / "comparison")
    (system,) = json.loads((folder / model / "comparison" / "comparison.json").read_text())["systems"]
    temperature = load_bundle(held_out[0] / "bundle").temperature
    if abs(system["temperature"] - 1) >= CALIBRATED:
        temperature = round(temperature * system["temperature"], 4)
    for run in (*held_out, whole):
        if load_bundle(run / "bundle").temperature != temperature:
            _temper(run, temperature)
    return held_out, whole


def _temper(run: Path, temperature: float) -> None:
    """Makes of a finished run what it would be, had it been called with this temperature: no step depends on it."""
    save_bundle(run / "bundle", replace(load_bundle(run / "bundle"), temperature=temperature))
    shutil.rmtree(run / "evaluation", ignore_errors=True)
    config, record = yaml.safe_load((run / CONFIG).read_text()), json.loads((run / RECORD).read_text())
    words = [f"temperature={temperature}" if w.startswith("temperature=") else w for w in record["overrides"]]
    (run / CONFIG).write_text(yaml.safe_dump({**config, "temperature": temperature}, sort_keys=False))
    (run / RECORD).write_text(json.dumps({**record, "overrides": words}, indent=1) + "\n")


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

"""Trains a pretrained model of the package, and scores it by cross-validation.

python scripts/make_pretrained.py MODEL PICTURES TABLE FOLDER [KEY=VALUE...]

MODEL is a name of conf/model; KEY=VALUE are more settings for `genreclf train`. TABLE assigns the clips in PICTURES to
five folds. Trains six times in FOLDER: once without each fold, and once on all clips; finished trainings are reused.
Fits the temperature on the predictions for the held-out folds. Writes the bundle of the training on all clips, with the
scores of the folds, to genreclf/pretrained/MODEL.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from genreclf.evaluate import describe_model
from genreclf.evaluation.card import main_scores, model_card
from genreclf.evaluation.comparison import calibrate
from genreclf.evaluation.predictions import Predictions, read_predictions
from genreclf.evaluation.scoring import clip_scores
from genreclf.evaluation.systems import build_systems, find_runs
from genreclf.exporters.bundle import load_bundle
from genreclf.files import write_atomically
from genreclf.inference import run_folder
from genreclf.inference.model_info import read_bundle_config

FOLDS = 5
MIN_CHANGE = 0.02  # a fitted temperature nearer to 1 changes nothing


def main(model: str, pictures: Path, table: Path, folder: Path, overrides: list[str]) -> None:
    """Trains, calibrates, scores and copies."""
    folds = [folder / model / f"fold-{fold}" for fold in range(FOLDS)]
    whole = folder / model / "all"
    words = [f"model={model}", "temperature=1.0", "fp16_weights=true", "data=folder", f"data.path={pictures}"]
    words += [f"data.table={table}", *overrides, "logger=none"]
    for fold, run in enumerate(folds):
        _train(run, *words, "split=table", f"split.fold={fold}", "split.validation=false")
    _train(whole, *words, "split=all")
    _calibrate(folds, whole, folder / model / "comparison")
    target = run_folder.PRETRAINED / model
    target.mkdir(parents=True, exist_ok=True)
    for name in (run_folder.WEIGHTS, run_folder.MODEL_ONNX, run_folder.MODEL_CONFIG):
        shutil.copyfile(whole / run_folder.BUNDLE / name, target / name)
    by_split = {"folds": _metrics(folds, whole)}
    write_atomically(target / run_folder.CARD, model_card(by_split))
    write_atomically(target / run_folder.SCORES_JSON, json.dumps(main_scores(by_split), indent=1) + "\n")


def _train(run: Path, *words: str) -> None:
    """Trains, resumes, or leaves a finished run as it is."""
    if not (run / run_folder.BUNDLE / run_folder.MODEL_CONFIG).is_file():
        resume = ["ckpt=last"] if (run / run_folder.LAST_CHECKPOINT).is_file() else []
        _genreclf("train", *words, f"run={run}", *resume)


def _calibrate(folds: list[Path], whole: Path, comparison: Path) -> None:
    """Gives all runs the temperature that fits the predictions for the held-out folds."""
    _genreclf("compare", *folds, "--calibrate", "--out", comparison)
    (system,) = json.loads((comparison / run_folder.COMPARISON_JSON).read_text())["systems"]
    temperature = _temperature(folds[0])
    if abs(system["temperature"] - 1) >= MIN_CHANGE:  # fitted on calibrated predictions
        temperature = round(temperature * system["temperature"], 4)
    for run in (*folds, whole):
        if _temperature(run) != temperature:
            _set_temperature(run, temperature)


def _temperature(run: Path) -> float:
    return read_bundle_config(run / run_folder.BUNDLE).info.temperature


def _set_temperature(run: Path, temperature: float) -> None:
    """Makes a finished run equal to one that was trained with this temperature: no training step depends on it."""
    bundle = run / run_folder.BUNDLE
    config = read_bundle_config(bundle)
    config = replace(config, info=replace(config.info, temperature=temperature))
    write_atomically(bundle / run_folder.MODEL_CONFIG, config.to_json())
    shutil.rmtree(run / run_folder.EVALUATION, ignore_errors=True)
    settings = yaml.safe_load((run / run_folder.CONFIG_YAML).read_text())
    settings["temperature"] = temperature
    write_atomically(run / run_folder.CONFIG_YAML, yaml.safe_dump(settings, sort_keys=False))
    record = json.loads((run / run_folder.RECORD).read_text())
    record["overrides"] = [
        f"temperature={temperature}" if word.startswith("temperature=") else word for word in record["overrides"]
    ]
    write_atomically(run / run_folder.RECORD, json.dumps(record, indent=1) + "\n")


def _metrics(folds: list[Path], whole: Path) -> dict[str, Any]:
    """The description of the training on all clips, with the pooled scores of the folds."""
    for run in folds:
        _genreclf("evaluate", run, "tta=none")
    by_fold = [json.loads((_test_folder(run) / run_folder.METRICS).read_text()) for run in folds]
    pooled = _pooled_predictions(folds)
    return {
        **describe_model(whole, load_bundle(whole / run_folder.BUNDLE)),
        "clips": {"train": len(pooled.paths), "val": 0, "test": 0},
        "audit": "; ".join(sorted({metrics["audit"] for metrics in by_fold})),
        "audit_leaks": any(metrics["audit_leaks"] for metrics in by_fold),
        "audit_not_compared": {
            "test": sorted({path for one in by_fold for paths in one["audit_not_compared"].values() for path in paths})
        },
        "tta": {"none": {"clip": clip_scores(pooled)}},
    }


def _pooled_predictions(folds: list[Path]) -> Predictions:
    """The predictions for all held-out clips, each fold calibrated on the others."""
    runs, _ = find_runs(folds)
    predictions = {}
    for run in runs:
        found = read_predictions(_test_folder(run.folder) / run_folder.PREDICTIONS, "none")
        assert found is not None  # evaluate has just written them
        predictions[run.folder] = found
    (system,) = map(calibrate, build_systems(predictions, runs))
    (pooled,) = system.predictions.values()  # of the one seed
    return pooled


def _test_folder(run: Path) -> Path:
    return run / run_folder.EVALUATION / "test"


def _genreclf(command: str, *words: object) -> None:
    subprocess.run([sys.executable, "-m", f"genreclf.{command}", *map(str, words)], check=True)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    pictures, table, folder = (Path(word).expanduser().resolve() for word in sys.argv[2:5])
    main(sys.argv[1], pictures, table, folder, sys.argv[5:])

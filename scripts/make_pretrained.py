"""Makes a pretrained model: trains it in stages, scores, calibrates, and writes its bundle with the card.

python scripts/make_pretrained.py MODEL MUSIC FOLDER [--folds 0 1 2 3 4] [--out BUNDLE] [KEY=VALUE...]

MODEL is one of RECIPES. MUSIC contains gtzan/pictures, foreign/pictures, foreign/folds.csv (path, genre, group, fold,
source), foreign/clips.csv (whose clips without a genre are out-of-scope music) and teachers/teachers.npz. KEY=VALUE are
more settings for every stage.

In FOLDER, each stage is trained without each fold of --folds (default all five) and on all music; finished runs are
reused. The scores, the temperature and the fit of `known` come from the folds, predicted by nets that were not trained
on them. BUNDLE (default genreclf/pretrained/MODEL) gets the weights that were trained on all music.
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.data.leaks import VERDICTS
from genreclf.data.table import columns_in_use
from genreclf.evaluation.calibration import cross_calibrate, fit_temperature
from genreclf.evaluation.card import main_scores, model_card
from genreclf.evaluation.clip_set import ClipSet, clips_of_split
from genreclf.evaluation.known_fit import fit_known
from genreclf.evaluation.predictions import predict_clips
from genreclf.evaluation.provenance import describe_bundle, describe_leaks, describe_training
from genreclf.evaluation.scoring import score_clips
from genreclf.evaluation.torch_model import TorchModel
from genreclf.exporters.bundle import load_bundle
from genreclf.files import write_atomically
from genreclf.inference import run_folder
from genreclf.inference.model_info import ModelInfo, read_bundle_config
from genreclf.inference.predictor import Prediction, Predictor
from genreclf.inference.temperature import apply_temperature
from genreclf.training.resume import read_run


class Stage(NamedTuple):
    """One training run. Each run except the first starts from the weights of the one before."""

    music: str  # gtzan: GTZAN only; all: with other sources, out-of-scope music, and the teachers
    settings: str


RECIPES = {
    "a": (
        Stage("all", "trainer.max_epochs=70 augment=channels augment.raised_floor=0.6"),
        Stage("all", "trainer.max_epochs=45 augment=channels augment.raised_floor=0.6"),
    ),
    "b": (
        Stage("gtzan", "model.weights=lite0"),
        Stage("gtzan", "optim.learning_rate=1e-3 trainer.max_epochs=55 augment=channels augment.raised_floor=0.6"),
        Stage("all", "optim.learning_rate=1e-3 trainer.max_epochs=10"),
        Stage("all", "optim.learning_rate=1e-3 trainer.max_epochs=32 augment=channels augment.raised_floor=0.6"),
    ),
}
# Settings of all stages. This genre mix was better than others on sources left out of training.
SETTINGS = ("temperature=1", "fp16_weights=true", "logger=none", "optim.prior_power=0.25")
NONE = "none"  # the genre of out-of-scope music
GTZAN, OTHER = "GTZAN", "other sources"  # values of the column `collection`
SLICES = ("collection", "source")
TEACHERS = {"musicnn": ("musicnn_mean", "musicnn_penultimate"), "yamnet": ("yamnet_embedding",)}
ABOUT = (
    "Music: clips of GTZAN, and spectrograms of 30 s of songs from other sources (the clips of Panda, Malheiro and "
    "Paiva's emotion set; those of the Emotify study; songs of small collections), with out-of-scope music (of none). "
    "None of these sources states a licence. Teachers: musicnn (Pons and Serra 2019; ISC licence; trained on the "
    "Million Song Dataset) and YAMNet (Apache-2.0; trained on AudioSet). Whether they were trained on GTZAN is not "
    "known. In training, a linear layer of the net predicted their embeddings; it is not part of this model."
)


@dataclass(frozen=True)
class HeldOut:
    """Uncalibrated predictions for clips that the nets were not trained on: `music.clips`, then `music.none`."""

    music: ClipSet
    found: list[Prediction]
    fold: np.ndarray  # (clips,) for `music.clips`
    audit: list[str]
    verdict: str  # one of `leaks.VERDICTS`
    not_compared: list[str]


def main(model: str, music: Path, folder: Path, folds: Sequence[int], out: Path, overrides: Sequence[str]) -> None:
    """Trains, scores and writes the bundle."""
    tables = write_inputs(music, folder)
    fixed = [*SETTINGS, f"model={model}", "data=folder", f"data.path={music}"]
    held = []
    for fold in folds:
        words = [*fixed, "split=table", f"split.fold={fold}", "split.validation=false", *overrides]
        held.append(held_out(fold, train(RECIPES[model], folder / model / f"fold-{fold}", tables, words)))
    whole = train(RECIPES[model], folder / model / "all", tables, [*fixed, "split=all", *overrides])
    write_bundle(whole, out, *score(pooled(held), whole))


def write_inputs(music: Path, folder: Path) -> dict[str, list[str]]:
    """Writes the tables and teachers' vectors to `folder`, and returns the settings that name them, by Stage.music."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{**row, "collection": GTZAN if row["source"] == "gtzan" else OTHER} for row in read(music, "folds.csv")]
    others = [
        {**row, "path": f"foreign/pictures/{row['clip']}.png", "genre": NONE, "collection": OTHER}
        for row in read(music, "clips.csv")
        if not row["genre"]
    ]
    tables = {"all": [*rows, *others], "gtzan": [row for row in rows if row["collection"] == GTZAN]}
    for name, table in tables.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ("path", "genre", "group", "fold", *SLICES), extrasaction="ignore")
            writer.writeheader()
            writer.writerows(table)
    teachers = np.load(music / "teachers" / "teachers.npz")
    vectors: dict[str, Any] = {
        name: np.concatenate([teachers[part] for part in parts], axis=1) for name, parts in TEACHERS.items()
    }
    np.savez(folder / "teachers.npz", clip=teachers["clip"], **vectors)
    mixed = [f"data.none={NONE}", f"teacher={folder / 'teachers.npz'}"]
    return {"all": [f"data.table={folder / 'all.csv'}", *mixed], "gtzan": [f"data.table={folder / 'gtzan.csv'}"]}


def read(music: Path, name: str) -> list[dict[str, str]]:
    with (music / "foreign" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def train(stages: Sequence[Stage], folder: Path, tables: dict[str, list[str]], words: Sequence[str]) -> list[Path]:
    """Trains or resumes the stages, leaves finished runs unchanged, and returns the run folders."""
    runs: list[Path] = []
    for number, stage in enumerate(stages, 1):
        run = folder / f"stage-{number}"
        if not (run / run_folder.BUNDLE / run_folder.MODEL_CONFIG).is_file():
            init = [f"init={runs[-1]}"] if runs else []
            resume = ["ckpt=last"] if (run / run_folder.LAST_CHECKPOINT).is_file() else []
            settings = [*tables[stage.music], *init, *stage.settings.split(), *words, f"run={run}", *resume]
            subprocess.run([sys.executable, "-m", "genreclf.train", *settings], check=True)
        runs.append(run)
    return runs


def held_out(fold: int, runs: Sequence[Path]) -> HeldOut:
    """Returns the predictions of the last of `runs` for the fold that it was not trained on."""
    config, _ = read_run(runs[-1])
    with columns_in_use(SLICES):
        datamodule = SpectrogramDataModule.from_config(config)
        datamodule.setup()
        music = clips_of_split(datamodule, "test", SLICES)
    predictor = Predictor(TorchModel(load_bundle(runs[-1] / run_folder.BUNDLE), "cpu"))
    found = predict_clips(predictor, music.store, (*music.clips, *music.none), f"scoring fold {fold}")
    shared = describe_leaks(datamodule, "test")
    paths = [path for paths in shared["audit_not_compared"].values() for path in paths]
    return HeldOut(music, found, np.full(len(music.clips), fold), [shared["audit"]], shared["audit_verdict"], paths)


def pooled(held: Sequence[HeldOut]) -> HeldOut:
    """Pools all folds."""
    parts = [one.music for one in held]
    clips, labels, groups, none = (
        tuple(value for part in parts for value in getattr(part, name))
        for name in ("clips", "labels", "groups", "none")
    )
    found = [one.found[: len(one.music.clips)] for one in held] + [one.found[len(one.music.clips) :] for one in held]
    return HeldOut(
        replace(parts[0], clips=clips, labels=labels, groups=groups, none=none),
        [prediction for part in found for prediction in part],
        np.concatenate([one.fold for one in held]),
        sorted({line for one in held for line in one.audit}),
        min((one.verdict for one in held), key=VERDICTS.index),
        sorted({path for one in held for path in one.not_compared}),
    )


def score(held: HeldOut, whole: Sequence[Path]) -> tuple[ModelInfo, dict[str, Any]]:
    """Returns the model's info, with temperature and `known` fitted on the folds, and the metrics of its card."""
    bundle = load_bundle(whole[-1] / run_folder.BUNDLE)
    probabilities = np.array([prediction.probabilities for prediction in held.found])
    count = len(held.music.clips)
    target = np.array([bundle.info.classes.index(label) for label in held.music.labels])
    temperature = fit_temperature(probabilities[:count], target)
    calibrated = apply_temperature(probabilities, temperature)
    if len(np.unique(held.fold)) > 1:
        calibrated[:count] = cross_calibrate(probabilities[:count], target, held.fold)
    known = fit_known(calibrated[:count], target, calibrated[count:])
    info = replace(bundle.info, temperature=round(temperature, 4), known=known)
    found = [replace(one, probabilities=tuple(row)) for one, row in zip(held.found, calibrated, strict=True)]
    _, results = score_clips(found, replace(info, temperature=1.0), held.music)
    record = read_run(whole[-1])[1]
    counts = record["data"]["clips"]["train"]
    return info, {
        **describe_bundle(replace(bundle, info=info)),
        **describe_training(whole[-1]),
        "weights": read_run(whole[0])[1]["weights"],
        "stages": [read_run(run)[1]["overrides"] for run in whole],
        "about": ABOUT,
        "folds": len(np.unique(held.fold)),
        "clips": {"train": sum(counts.values()), "val": 0, "test": 0},
        "audit": "; ".join(held.audit),
        "audit_verdict": held.verdict,
        "audit_not_compared": {"test": held.not_compared},
        "tta": {"none": results},
    }


def write_bundle(whole: Sequence[Path], out: Path, info: ModelInfo, metrics: dict[str, Any]) -> None:
    """Writes the weights of the last run on all music, with this info, card and scores."""
    bundle = whole[-1] / run_folder.BUNDLE
    out.mkdir(parents=True, exist_ok=True)
    for name in (run_folder.WEIGHTS, run_folder.MODEL_ONNX):
        shutil.copyfile(bundle / name, out / name)
    config = replace(read_bundle_config(bundle), info=info)
    by_split = {"folds": metrics}
    write_atomically(out / run_folder.MODEL_CONFIG, config.to_json())
    write_atomically(out / run_folder.CARD, model_card(by_split))
    write_atomically(out / run_folder.SCORES_JSON, json.dumps(main_scores(by_split), indent=1) + "\n")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=RECIPES)
    parser.add_argument("music", type=lambda word: Path(word).expanduser().resolve())
    parser.add_argument("folder", type=lambda word: Path(word).expanduser().resolve())
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--out", type=Path)
    return parser.parse_intermixed_args()


if __name__ == "__main__":
    arguments = options()
    out = arguments.out or run_folder.PRETRAINED / arguments.model
    main(arguments.model, arguments.music, arguments.folder, arguments.folds, out, arguments.overrides)

"""Groups run folders into systems: configurations, each with runs of one or more seeds and folds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from genreclf.config import flatten
from genreclf.errors import GenreclfError, reason
from genreclf.evaluation.comparison import System
from genreclf.evaluation.predictions import Predictions
from genreclf.files import walk
from genreclf.grouping import grouped
from genreclf.inference.run_folder import BUNDLE, CONFIG_YAML, MODEL_CONFIG, RECORD
from genreclf.inference.task import MULTICLASS
from genreclf.training.resume import OUTSIDE, read_run

# Keys that differ between the runs of one system, or that do not affect predictions.
RUN_KEYS = (*OUTSIDE, "seed", "data.cache", "workers", "device_store_mib", "cuda_graph", "split.fold")

_EARLIER = {"task": MULTICLASS, "data.task": MULTICLASS}  # missing from runs of earlier versions


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    config: dict[str, Any]  # as composed
    overrides: tuple[str, ...]  # as typed

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration with dotted keys, which is equal for all runs of a system."""
        prefixes = tuple(f"{key}." for key in RUN_KEYS)
        found = {**_EARLIER, **flatten(self.config)}
        return {key: value for key, value in found.items() if not f"{key}.".startswith(prefixes)}

    @property
    def fold(self) -> int:
        """The fold of the run's test clips; 0 if its split has no folds."""
        return int(self.config["split"].get("fold") or 0)


def find_runs(paths: Sequence[Path]) -> tuple[list[Run], list[Path]]:
    """Returns the finished runs at or below `paths`, each once, and the folders of unfinished runs.

    Raises GenreclfError for a path without a finished run.
    """
    found: dict[Path, Run] = {}
    unfinished = []
    for path in paths:
        places = walk(path, onerror=_refuse)
        folders = sorted({Path(place).resolve() for place, below, files in places if _is_run(below, files)})
        finished = [folder for folder in folders if (folder / BUNDLE / MODEL_CONFIG).is_file()]
        if not finished:
            what = "its training did not finish" if folders else "not a run folder, and contains none"
            raise GenreclfError(f"{path}: {what}; give folders of finished runs of genreclf train")
        unfinished += [folder for folder in folders if folder not in finished]
        found.update((folder, _read(folder)) for folder in finished)
    return list(found.values()), unfinished


def _is_run(folders: Sequence[str], files: Sequence[str]) -> bool:
    """Returns whether a folder with this content is a run, even if its record or configuration was lost."""
    return RECORD in files or (CONFIG_YAML in files and BUNDLE in folders)


def _refuse(error: OSError) -> NoReturn:
    remedy = "give folders of finished runs of genreclf train"
    raise GenreclfError(f"{error.filename}: cannot be read ({reason(error)}); {remedy}") from error


def _read(folder: Path) -> Run:
    config, record = read_run(folder, ("seed", "split.name"))
    return Run(folder, config, tuple(record["overrides"]))


def build_systems(predictions: Mapping[Path, Predictions], runs: Sequence[Run]) -> list[System]:
    """Returns the systems of the runs, with their folds pooled. `predictions` are by run folder.

    Raises GenreclfError if the systems were not scored on the same clips.
    """
    by_system = grouped((json.dumps(run.settings, sort_keys=True), run) for run in runs)
    labels = _labels([members[0] for members in by_system.values()])
    systems = [_system(label, members, predictions) for label, members in zip(labels, by_system.values(), strict=True)]
    for system in systems:
        for seed in system.predictions:
            _check_same_clips(systems[0], system, seed)
    return systems


def _system(label: str, runs: Sequence[Run], predictions: Mapping[Path, Predictions]) -> System:
    in_order = sorted(runs, key=lambda run: (run.config["seed"], run.fold))
    by_seed = grouped((run.config["seed"], run) for run in in_order)
    pooled, folds = zip(*(_pool_folds(of_seed, predictions) for of_seed in by_seed.values()), strict=True)
    return System(label, tuple(str(run.folder) for run in runs), dict(zip(by_seed, pooled, strict=True)), folds[0])


def _pool_folds(runs: Sequence[Run], predictions: Mapping[Path, Predictions]) -> tuple[Predictions, np.ndarray]:
    """Pools the clips of all folds, sorted by path, and returns them with the fold of each."""
    parts = [predictions[run.folder] for run in runs]
    scored_by: dict[str, Run] = {}
    for run, part in zip(runs, parts, strict=True):
        for path in part.paths:
            if scored_by.setdefault(path, run) is not run:
                raise GenreclfError(
                    f"{run.folder}: scored {path}, as did {scored_by[path].folder} with the same seed and settings; "
                    "leave one of them out"
                )
    if len({part.classes for part in parts}) > 1:
        raise GenreclfError(f"{runs[0].folder}: its other folds have other classes; train all folds on the same data")
    texts = [row for part in parts for row in zip(part.paths, part.digests, part.groups, strict=True)]
    order = sorted(range(len(texts)), key=texts.__getitem__)
    paths, digests, groups = zip(*(texts[index] for index in order), strict=True)
    target = np.concatenate([part.target for part in parts])[order]
    probabilities = np.concatenate([part.probabilities for part in parts])[order]
    fold = np.repeat([run.fold for run in runs], [len(part.paths) for part in parts])[order]
    return Predictions(parts[0].classes, paths, digests, groups, target, probabilities), fold


def _check_same_clips(first: System, system: System, seed: int) -> None:
    reference_seed, reference = next(iter(first.predictions.items()))
    predictions = system.predictions[seed]
    where = f"{system.label}, seed {seed}, and {first.label}, seed {reference_seed}"
    if predictions.target.ndim != reference.target.ndim:
        raise GenreclfError(f"{where}: one predicts one genre, the other several; compare runs with the same task=...")
    if predictions.classes != reference.classes:
        raise GenreclfError(f"{where}: different classes; compare runs on the same data")
    both = (predictions, reference)
    here, there = (set(zip(one.paths, one.digests, map(str, one.target.tolist()), strict=True)) for one in both)
    differing = sorted({path for path, *_ in here ^ there})
    if differing:
        raise GenreclfError(
            f"{where}: scored on different clips: {len(differing)} differ (first: {differing[0]}); compare runs of one "
            "split, with all of its folds"
        )
    if predictions.groups != reference.groups:
        raise GenreclfError(f"{where}: clips are in different groups; train both with the same data.table")


def _labels(runs: Sequence[Run]) -> list[str]:
    """Returns a short unique name per system: the model, and the overrides that not all systems with it share.

    If these are equal (because defaults or data differ), the configuration keys that differ are added.
    """
    models = [run.config["model"]["name"] for run in runs]
    overrides = [[word for word in run.overrides if _is_descriptive(word)] for run in runs]
    labels = []
    for model, words in zip(models, overrides, strict=True):
        same_model = [set(other) for name, other in zip(models, overrides, strict=True) if name == model]
        common = set.intersection(*same_model)
        labels.append(" ".join([model, *(word for word in words if word not in common)]))
    for label in {label for label in labels if labels.count(label) > 1}:
        settings = {index: runs[index].settings for index, other in enumerate(labels) if other == label}
        keys = sorted(set().union(*settings.values()))
        for index, one in settings.items():
            differing = [key for key in keys if any(other.get(key) != one.get(key) for other in settings.values())]
            labels[index] = " ".join([label, *(f"{key}={one.get(key)}" for key in differing)])
    return labels


def _is_descriptive(override: str) -> bool:
    key = override.lstrip("+~").partition("=")[0]
    return key not in ("model", "data.path", "data.table", *RUN_KEYS) and key.split(".")[0] != "hydra"

"""Run folders -> the systems that they are runs of: configurations, with their seeds and folds."""

import functools
import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from genreclf.errors import GenreclfError
from genreclf.evaluation.comparison import System
from genreclf.evaluation.predictions import Predictions

CONFIG, RECORD, BUNDLE = "config.yaml", "record.json", "bundle/config.json"
# What differs between runs of one system; paths and helpers that change no answer. (Committees have names.)
OF_A_RUN = ("seed", "run", "ckpt", "cache", "workers", "logger", "split.fold", "model.members")


@dataclass(frozen=True)
class Run:
    """A finished run: `config` as it was composed, `overrides` as they were typed."""

    folder: Path
    config: dict[str, Any]
    overrides: tuple[str, ...]

    @property
    def system(self) -> str:
        """Equal for the runs of one system."""
        config = {key: value for key, value in self.config.items() if key not in OF_A_RUN}
        for group in ("split", "model"):
            config[group] = {key: value for key, value in config[group].items() if f"{group}.{key}" not in OF_A_RUN}
        return json.dumps(config, sort_keys=True)


def find_runs(paths: Sequence[Path]) -> tuple[list[Run], list[Path]]:
    """The finished runs at or below `paths`, each once, and the folders of unfinished ones.

    Raises GenreclfError for a path below which there is no finished run.
    """
    found: dict[Path, Run] = {}
    unfinished = []
    for path in paths:
        folders = sorted(record.parent.resolve() for record in path.rglob(RECORD))
        whole = [folder for folder in folders if (folder / BUNDLE).is_file() and (folder / CONFIG).is_file()]
        if not whole:
            what = "its training did not end" if folders else "no run folder, and holds none"
            raise GenreclfError(f"{path}: {what}; give folders that python -m genreclf.train has finished")
        unfinished += [folder for folder in folders if folder not in whole]
        found.update((folder, _read(folder)) for folder in whole)
    return list(found.values()), unfinished


def _read(folder: Path) -> Run:
    try:
        config, record = yaml.safe_load((folder / CONFIG).read_text()), json.loads((folder / RECORD).read_text())
        for keys in (("seed",), ("model", "name"), ("split", "fold")):
            functools.reduce(operator.getitem, keys, config)
        return Run(folder, config, tuple(record["overrides"]))
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise GenreclfError(f"{folder}: is damaged ({error}); copy the run again, or leave it out") from error


def systems(answers: Mapping[Path, Predictions], runs: Sequence[Run]) -> list[System]:
    """The runs' systems, their folds pooled. Raises GenreclfError where they were not scored on the same clips."""
    members: dict[str, list[Run]] = {}
    for run in runs:
        members.setdefault(run.system, []).append(run)
    labels = _labels([own[0] for own in members.values()])
    made = [_system(label, own, answers) for label, own in zip(labels, members.values(), strict=True)]
    for system in made:
        for seed, own in system.answers.items():
            _check_same(made[0], system, seed, own)
    return made


def _system(label: str, runs: Sequence[Run], answers: Mapping[Path, Predictions]) -> System:
    by_seed: dict[int, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.config["seed"], run.config["split"]["fold"])):
        by_seed.setdefault(run.config["seed"], []).append(run)
    pooled = {seed: _pooled(own, answers) for seed, own in by_seed.items()}
    fold = next(iter(pooled.values()))[1]
    return System(label, tuple(str(run.folder) for run in runs), {s: own[0] for s, own in pooled.items()}, fold)


def _pooled(runs: Sequence[Run], answers: Mapping[Path, Predictions]) -> tuple[Predictions, np.ndarray]:
    """The clips of all folds in the order of their paths, and the fold of each."""
    parts = [answers[run.folder] for run in runs]
    owner: dict[str, Run] = {}
    for run, part in zip(runs, parts, strict=True):
        for path in part.paths:
            if owner.setdefault(path, run) is not run:
                raise GenreclfError(
                    f"{run.folder}: scored {path}, and so did {owner[path].folder}, of the same seed and settings; "
                    "leave one of them out"
                )
    if len({part.classes for part in parts}) > 1:
        raise GenreclfError(f"{runs[0].folder}: its other folds have other classes; train all on the same data")
    paths = [path for part in parts for path in part.paths]
    order = sorted(range(len(paths)), key=paths.__getitem__)

    def joined(name: str) -> tuple[str, ...]:
        every = [value for part in parts for value in getattr(part, name)]
        return tuple(every[place] for place in order)

    target = np.concatenate([part.target for part in parts])[order]
    probabilities = np.concatenate([part.probabilities for part in parts])[order]
    fold = np.repeat([run.config["split"]["fold"] for run in runs], [len(part.paths) for part in parts])[order]
    texts = (joined(name) for name in ("paths", "digests", "groups"))
    return Predictions(parts[0].classes, *texts, target, probabilities), fold


def _check_same(first: System, system: System, seed: int, own: Predictions) -> None:
    reference = next(iter(first.answers.values()))
    where = f"{system.label}, seed {seed}, and {first.label}, seed {next(iter(first.answers))}"
    if own.classes != reference.classes:
        raise GenreclfError(f"{where}: have other classes; compare runs on the same data")
    here, there = (
        {path: known for path, *known in zip(one.paths, one.digests, one.target.tolist(), strict=True)}
        for one in (own, reference)
    )
    differing = sorted(path for path in here | there if here.get(path) != there.get(path))
    if differing:
        raise GenreclfError(
            f"{where}: were scored on different clips: {len(differing)} are not the same in both (first: "
            f"{differing[0]}); compare runs of one split, and all of its folds"
        )
    if own.groups != reference.groups:
        raise GenreclfError(f"{where}: put clips in different groups; train both with the same data.table")


def _labels(runs: Sequence[Run]) -> list[str]:
    """Short names that tell the systems apart: the model; of several with it, the overrides that not all share;
    and where these do not suffice (other defaults, other folders), the keys that differ.
    """
    models = [run.config["model"]["name"] for run in runs]
    own = [[word for word in run.overrides if _tells(word)] for run in runs]
    labels = []
    for model, words in zip(models, own, strict=True):
        alike = [set(other) for name, other in zip(models, own, strict=True) if name == model]
        common = set.intersection(*alike) if len(alike) > 1 else set(words)
        labels.append(" ".join([model, *(word for word in words if word not in common)]))
    return [
        label if labels.count(label) == 1 else f"{label} {_differing(run, _called(label, labels, runs))}"
        for label, run in zip(labels, runs, strict=True)
    ]


def _called(label: str, labels: Sequence[str], runs: Sequence[Run]) -> list[Run]:
    return [run for own, run in zip(labels, runs, strict=True) if own == label]


def _differing(run: Run, alike: Sequence[Run]) -> str:
    """The keys and values of `run` that others of one label do not share."""
    every = [_flat(json.loads(own.system)) for own in alike]
    own = _flat(json.loads(run.system))
    keys = sorted(key for key in set().union(*every) if any(one.get(key) != own.get(key) for one in every))
    return " ".join(f"{key}={own.get(key)}" for key in keys)


def _flat(config: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(config, dict):
        return {prefix: config}
    return {
        path: leaf for key, value in config.items() for path, leaf in _flat(value, f"{prefix}.{key}".strip(".")).items()
    }


def _tells(override: str) -> bool:
    key = override.lstrip("+~").partition("=")[0]
    return key not in ("model", "data.path", "data.table") and key.split(".")[0] != "hydra" and key not in OF_A_RUN

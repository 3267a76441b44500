"""The record of a run in its folder: enough to repeat it."""

import importlib.metadata
import json
import platform
import subprocess
from pathlib import Path
from typing import Any

import yaml

from genreclf.config import flatten
from genreclf.errors import GenreclfError
from genreclf.files import write_atomically
from genreclf.inference.run_folder import AUDIT, CONFIG_YAML, LAST_CHECKPOINT, RECORD

PACKAGES = (
    "genreclf",
    "torch",
    "torchvision",
    "torchaudio",
    "lightning",
    "timm",
    "torchmetrics",
    "hydra-core",
    "numpy",
)
# Keys that do not affect the training steps; the last two shape the bundle of a finished run.
_FREE = ("run", "ckpt", "logger", "temperature", "fp16_weights")


def write_record(
    folder: Path, config: dict[str, Any], overrides: list[str], details: dict[str, Any], audit: dict[str, Any]
) -> None:
    """Writes `config.yaml`, the composed configuration; `record.json`: overrides, versions, git commit and `details`;
    and `audit.json`, the summary of the data's audit. Raises GenreclfError where the folder cannot be written.
    """
    record = {
        "overrides": overrides,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "git_commit": _git_commit(),
        "seed": config["seed"],
        "split_salt": config["split"].get("salt"),
        **details,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / CONFIG_YAML, yaml.safe_dump(config, sort_keys=False))
        write_atomically(folder / RECORD, json.dumps(record, indent=1) + "\n")
        write_atomically(folder / AUDIT, json.dumps(audit, indent=1) + "\n")
    except OSError as error:
        raise GenreclfError(f"run={folder}: cannot be written ({error.strerror}); choose another folder") from error


def check_resumable(folder: Path, config: dict[str, Any]) -> Path:
    """The run folder's `last.ckpt`. Raises GenreclfError if it is missing, or if the run had other settings."""
    checkpoint = folder / LAST_CHECKPOINT
    if not checkpoint.is_file() or not (folder / CONFIG_YAML).is_file():
        raise GenreclfError(f"ckpt=last: there is no {checkpoint}; name the run to resume: run=FOLDER")
    before = flatten(yaml.safe_load((folder / CONFIG_YAML).read_text()))
    now = flatten(config)
    for key in sorted(set(before) | set(now)):
        if key.split(".")[0] not in _FREE and before.get(key) != now.get(key):
            raise GenreclfError(
                f"ckpt=last: the run had {key}={before.get(key)}, now it is {now.get(key)}; "
                f"repeat the overrides in {folder / RECORD}"
            )
    return checkpoint


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """The commit of the checkout that contains this file, with `+` if files differ from it; None for a package."""
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
        tracked = subprocess.run(["git", "ls-files", "--error-unmatch", __file__], cwd=here, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip() if tracked.returncode == 0 else None

"""Writes the record of a run to its folder: everything needed to repeat it."""

import importlib.metadata
import json
import platform
import subprocess
from pathlib import Path
from typing import Any

import yaml

from genreclf.files import write_atomically
from genreclf.inference.run_folder import AUDIT, CONFIG_YAML, RECORD

PACKAGES = (
    *("genreclf", "torch", "torchvision", "torchaudio", "lightning", "timm", "torchmetrics"),
    *("hydra-core", "numpy"),
)


def write_record(
    folder: Path, config: dict[str, Any], overrides: list[str], details: dict[str, Any], audit: dict[str, Any]
) -> None:
    """Writes the record of a run.

    `record.json` contains overrides, versions, git commit and `details`; `audit.json` the summary of the data's audit.
    The last file is `config.yaml`, the composed configuration. Raises OSError if the folder cannot be written.
    """
    record = {
        "overrides": overrides,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "git_commit": _git_commit(),
        "seed": config["seed"],
        "split_salt": config["split"].get("salt"),
        **details,
    }
    folder.mkdir(parents=True, exist_ok=True)
    update_record(folder, record)
    write_atomically(folder / AUDIT, json.dumps(audit, indent=1) + "\n")
    write_atomically(folder / CONFIG_YAML, yaml.safe_dump(config, sort_keys=False))


def update_record(folder: Path, record: dict[str, Any]) -> None:
    """Replaces the record of a run."""
    write_atomically(folder / RECORD, json.dumps(record, indent=1) + "\n")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """Returns the commit of this file's checkout, with `+` if files differ, or None for an installed package."""
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

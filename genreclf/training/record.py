"""What a run folder says of its run: enough to repeat it."""

import importlib.metadata
import json
import platform
import subprocess
from pathlib import Path
from typing import Any

import yaml

from genreclf.errors import GenreclfError

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
CONFIG, RECORD, AUDIT, LAST = "config.yaml", "record.json", "audit.json", "last.ckpt"
# What no step of the training depends on; the last two shape the bundle that is made of a finished one.
_FREE = ("run", "ckpt", "logger", "temperature", "half")


def write_record(
    folder: Path, config: dict[str, Any], overrides: list[str], facts: dict[str, Any], audit: dict[str, Any]
) -> None:
    """`config.yaml`, the composed configuration; `record.json`: overrides, versions, git commit and `facts`; and
    `audit.json`, the summary of the data's audit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(yaml.safe_dump(config, sort_keys=False))
    record = {
        "overrides": overrides,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "git_commit": _git_commit(),
        "seed": config["seed"],
        "split_salt": config["split"]["salt"],
        **facts,
    }
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n")
    (folder / AUDIT).write_text(json.dumps(audit, indent=1) + "\n")


def check_resumable(folder: Path, config: dict[str, Any]) -> Path:
    """The run folder's `last.ckpt`; raises GenreclfError where it is missing, or the run had other settings."""
    if not (folder / LAST).is_file() or not (folder / CONFIG).is_file():
        raise GenreclfError(f"ckpt=last: {folder / LAST} is not there; name the run to go on with: run=FOLDER")
    before = _flat(yaml.safe_load((folder / CONFIG).read_text()))
    now = _flat(config)
    for key in sorted(set(before) | set(now)):
        if key.split(".")[0] not in _FREE and before.get(key) != now.get(key):
            raise GenreclfError(
                f"ckpt=last: the run had {key}={before.get(key)}, now it is {now.get(key)}; "
                f"repeat the overrides that {folder / RECORD} lists"
            )
    return folder / LAST


def _flat(config: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(config, dict):
        return {prefix: config}
    return {
        path: leaf for key, value in config.items() for path, leaf in _flat(value, f"{prefix}.{key}".strip(".")).items()
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """The commit of the checkout that this file lies in, with `+` where files differ from it; None for a package."""
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

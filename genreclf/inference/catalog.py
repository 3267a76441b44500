"""Which trained models are at hand, and what their cards say of them. Nothing is loaded."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from genreclf.inference.run_folder import CARD, CONFIG, PRETRAINED, pretrained_names


@dataclass(frozen=True)
class ModelEntry:
    """A model: its `label` for people, its folder, and of its card, where it has one, size and score as it says them.

    `picture_seconds` is how much music a picture shows, if nobody says otherwise.
    """

    label: str
    folder: Path
    parameters: str
    accuracy: str
    picture_seconds: float


def list_models(runs: Path) -> list[ModelEntry]:
    """The models that come along, then the finished runs and bundles below the folder `runs`, the newest first."""
    along = [_known(f"{name} (comes along)", PRETRAINED / name) for name in pretrained_names()]
    found = sorted(runs.glob(f"**/{CONFIG}"), key=lambda config: -config.stat().st_mtime)
    own = [_known(_label(config.parent, runs), config.parent) for config in found]
    return [known for known in (*along, *own) if known is not None]


def _label(folder: Path, runs: Path) -> str:
    place = folder.parent if folder.name == "bundle" else folder
    return str(place.relative_to(runs)) if place != runs else runs.name


def _known(label: str, folder: Path) -> ModelEntry | None:
    try:
        config = json.loads((folder / CONFIG).read_text())
        seconds = float(config["picture_seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # whoever chose it by hand would be told why
    card = folder / CARD
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    parameters = re.search(r"^([\d,]+) parameters", text, re.MULTILINE)
    accuracy = re.search(r"\| plain \| ([^|]+) \|", text)
    return ModelEntry(label, folder, parameters[1] if parameters else "", accuracy[1] if accuracy else "", seconds)

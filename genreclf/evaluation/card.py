"""A bundle's model card: README.md in Markdown, as model hubs show it."""

import re
from typing import Any

from genreclf.page import render_text

TEMPLATE = "evaluation/card.md.jinja"
PLACES = ("data.path", "data.table", "run", "cache")


def model_card(metrics: dict[str, dict[str, Any]]) -> str:
    """The card of a model from what `evaluate` wrote of it, by split; at least one. Class names may hold any text."""
    facts = next(iter(metrics.values()))
    command = " ".join(_without_places(word) for word in facts["trained_with"])
    return render_text(TEMPLATE, m=facts, by_split=metrics, command=command, plain=_plain)


def _without_places(override: str) -> str:
    """A card is passed on: where its maker keeps the music is nobody's business."""
    key = override.partition("=")[0]
    return f"{key}=..." if key in PLACES else override


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&!])", r"\\\1", " ".join(text.split()))

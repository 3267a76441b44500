"""Labels of clips: a class, or with task=multilabel all of a clip's genres, joined as in tables."""

from genreclf.inference.task import MULTILABEL
from genreclf.tags.plan import join_genres, split_genres


def genres_of(label: str, task: str) -> tuple[str, ...]:
    """Returns the genres in a label: the label itself, or with task=multilabel its parts."""
    return split_genres(label) if task == MULTILABEL else (label,)


def normal_label(cell: str, task: str) -> str:
    """Returns the label for a table's cell or a folder's name, with genres in alphabetical order, each once."""
    return join_genres(sorted(set(genres_of(cell, task))))

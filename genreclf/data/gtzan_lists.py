"""GTZAN's fault-filtered lists of training, validation and test clips (Kereliuk et al. 2015)."""

from collections.abc import Sequence

from genreclf.data.clip_name import gtzan_name
from genreclf.errors import GenreclfError


def published(names: Sequence[str], fold: int | None = None) -> list[str | None]:
    """Returns the split of each clip in torchaudio's copy of the lists, in which no artist is in two splits.

    Accepts the usual spellings: blues.00000.wav, blues00000.png. Raises GenreclfError if no clip is listed, and for a
    `fold`, because there is only one split.
    """
    if fold is not None:
        raise GenreclfError("split.fold: GTZAN has one published split; remove it")
    found = listed(names)
    if not any(found):
        raise GenreclfError(f"split=published: no clip is in GTZAN's lists (first: {names[0]}); use split=hashed")
    return found


def listed(names: Sequence[str]) -> list[str | None]:
    """Returns the split of each clip of any data set, or None for clips that are not in GTZAN's lists."""
    split_of = {name: split for split, members in _published_lists().items() for name in members}
    return [split_of.get(gtzan_name(name)) for name in names]


def published_missing(names: Sequence[str]) -> dict[str, list[str]]:
    """Returns, by split, the clips in GTZAN's fault-filtered lists that are not among `names`."""
    present = {gtzan_name(name) for name in names}
    return {split: [name for name in members if name not in present] for split, members in _published_lists().items()}


def _published_lists() -> dict[str, list[str]]:
    from torchaudio.datasets import gtzan  # imported here because nothing else in the split needs torchaudio

    return {"train": gtzan.filtered_train, "val": gtzan.filtered_valid, "test": gtzan.filtered_test}

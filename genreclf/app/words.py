"""Sentences about a prediction that a musician understands."""

import re
from collections.abc import Sequence
from pathlib import PurePath

from genreclf.app.time_axis import clock
from genreclf.inference import results
from genreclf.inference.catalog import Scores
from genreclf.inference.predictor import Prediction, Segment
from genreclf.inference.reliability import bin_of
from genreclf.inference.task import MULTICLASS, MULTILABEL
from genreclf.text import one_line

_MAX_STEM = 100


def plain(text: str) -> str:
    """Escapes text, such as the name of a file or genre, so that Streamlit's Markdown shows it unchanged."""
    # Streamlit looks for these patterns after Markdown's own escapes. A word joiner, which is invisible, keeps them
    # from becoming emoji, icons, colours, links, addresses, dashes or arrows.
    joined = re.sub(r":(?=[\w+/-])|@|www(?=\.)|[-<>~](?=[-=>])", "\\g<0>\u2060", one_line(text), flags=re.IGNORECASE)
    return re.sub(r"([\\`*_{}\[\]()<>#+.!|~$&-])", r"\\\1", joined)


def file_stem(name: str) -> str:
    """Returns a song's name without its suffix, for the names of downloads."""
    stem = re.sub(r'[/\\:*?"<>|]', "_", one_line(PurePath(name).stem)).strip(" .")
    return stem[:_MAX_STEM] or "song"


def percent(share: float) -> str:
    """Formats a share as 84 %, without a line break before the sign."""
    return f"{100 * share:.0f}\u00a0%"


def prediction_sentence(prediction: Prediction, classes: Sequence[str]) -> str:
    """Returns the prediction in words: "jazz, probability 84 %", or for several genres "rock 84 %, pop 61 %"."""
    if not prediction.genres:
        return no_genre(prediction, classes)
    if prediction.task == MULTICLASS:
        return f"{prediction.genre}, probability {percent(prediction.probability)}"
    return ", ".join(f"{name} {percent(probability)}" for name, probability in predicted_genres(prediction, classes))


def predicted_genres(prediction: Prediction, classes: Sequence[str]) -> list[tuple[str, float]]:
    """Returns the predicted genres with their probabilities, the most probable first."""
    return [pair for pair in ranked(prediction, classes) if pair[0] in prediction.genres]


def trust(prediction: Prediction, scores: Scores | None, averaged: bool) -> str:
    """Describes the accuracy of held-out predictions with such a probability. `averaged` means over three pitches."""
    if prediction.task == MULTILABEL:
        return (
            "Each genre is judged on its own. The song has all that reach their thresholds, which the bars below mark."
        )
    if scores is None or not scores.reliability:
        return "How often this model is correct at such a probability has not been measured."
    measured = bin_of(scores.reliability, prediction.probability)
    if measured is None:
        return "In a test on music that was not in its training, no answer had a probability this low: it is a guess."
    without = " (measured without averaging over pitches)" if averaged else ""
    return (
        f"In a test on music that was not in its training, {measured.clips} of its answers were as probable as this "
        f"one ({100 * measured.low:.0f} to {percent(measured.high)}): {percent(measured.accuracy)} of them were "
        f"correct{without}."
    )


def no_genre(prediction: Prediction, classes: Sequence[str]) -> str:
    """Explains why a song has no genre; if none of the model's genres seems to fit, it names the nearest."""
    if not prediction.probabilities:
        return f"No genre ({prediction.no_genre})."
    nearest, probability = ranked(prediction, classes)[0]
    if prediction.task == MULTILABEL:
        return f"No genre reaches its threshold. The most probable is {nearest} ({percent(probability)})."
    return f"None of these genres. The nearest is {nearest} ({percent(probability)})."


def ranked(prediction: Prediction, classes: Sequence[str]) -> list[tuple[str, float]]:
    """Returns all genres with their probabilities, the most probable first."""
    return results.ranked(dict(zip(classes, prediction.probabilities, strict=True)))


def span(segment: Segment) -> str:
    """Formats the times of a segment as 0:05 to 0:15."""
    return f"{clock(segment.start_seconds)} to {clock(segment.end_seconds)}"


def best(segment: Segment, classes: Sequence[str]) -> tuple[str, float]:
    """Returns the most probable genre of a segment and its probability."""
    probability = max(segment.probabilities)
    return classes[segment.probabilities.index(probability)], probability


def agreement(
    first: Prediction, second: Prediction, first_classes: Sequence[str], second_classes: Sequence[str]
) -> str:
    """Describes whether two models agree on a song and, if their segments are the same, in which parts they differ."""
    one, other = first.genre, second.genre
    if not (one and other):
        if named := one or other:
            return f"One model predicts {named}, the other none of its genres."
        return "Both models predict none of their genres."
    whole = f"Both models predict {one}." if one == other else f"The models disagree: {one} or {other}."
    if [span(segment) for segment in first.segments] != [span(segment) for segment in second.segments]:
        return whole
    pairs = [
        (span(segment), best(segment, first_classes)[0], best(others, second_classes)[0])
        for segment, others in zip(first.segments, second.segments, strict=True)
    ]
    differ = [f"{time} ({here} or {there})" for time, here, there in pairs if here != there]
    if not differ:
        return f"{whole} They agree in every part."
    shown = "; ".join(differ[:5]) + (f"; and {len(differ) - 5} more" if len(differ) > 5 else "")
    return f"{whole} They differ in {len(differ)} of {len(pairs)} parts: {shown}."

"""Sentences about a prediction, in words that a musician understands."""

import re
from collections.abc import Sequence

from genreclf.inference.predictor import Prediction, Segment
from genreclf.text import one_line

_NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def plain(text: str) -> str:
    """`text`, such as the name of a file or a genre, for a place that Streamlit reads as Markdown: shown as it is."""
    # Streamlit looks for these in what remains after Markdown's own escapes. A word joiner, which is invisible, keeps
    # them from becoming emoji, icons, colours, links, addresses, dashes or arrows.
    joined = re.sub(r":(?=[\w+/-])|@|www(?=\.)|[-<>~](?=[-=>])", "\\g<0>\u2060", one_line(text), flags=re.IGNORECASE)
    return re.sub(r"([\\`*_{}\[\]()<>#+.!|~$&-])", r"\\\1", joined)


def trust(prediction: Prediction) -> str:
    """How often predictions with such a probability are correct: it is calibrated on held-out clips."""
    if prediction.probability < 0.4:
        return "This is little more than a guess: the model is undecided between several genres."
    tenths = round(10 * prediction.probability)
    often = "nearly all" if tenths == 10 else f"about {_NUMBERS[tenths]} in ten"
    return f"With a probability like this, {often} predictions are correct for music like the training music."


def ranked(prediction: Prediction, classes: Sequence[str]) -> list[tuple[str, float]]:
    """Genres and their probabilities, the most probable first."""
    return sorted(zip(classes, prediction.probabilities, strict=True), key=lambda pair: -pair[1])


def also_likely(prediction: Prediction, classes: Sequence[str]) -> str:
    """The second and third most probable genres."""
    following = ranked(prediction, classes)[1:3]
    return "Next: " + ", ".join(f"{name} ({probability:.0%})" for name, probability in following) + "."


def clock(seconds: float) -> str:
    """2:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def span(segment: Segment) -> str:
    """0:05 to 0:15."""
    return f"{clock(segment.start_seconds)} to {clock(segment.end_seconds)}"


def best(segment: Segment, classes: Sequence[str]) -> tuple[str, float]:
    """The most probable genre of a segment, and its probability."""
    probability = max(segment.probabilities)
    return classes[segment.probabilities.index(probability)], probability


def agreement(
    first: Prediction, second: Prediction, first_classes: Sequence[str], second_classes: Sequence[str]
) -> str:
    """Whether two models agree on the song, and, if their segments are the same, in which parts they do not."""
    one, other = (prediction.genre or "none of its genres" for prediction in (first, second))
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

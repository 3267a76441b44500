"""What the app says of an answer, in words that a musician understands."""

from collections.abc import Sequence

from genreclf.inference.prediction import Prediction, Segment


def trust(prediction: Prediction) -> str:
    """How far to trust an answer: its probability is calibrated on clips that were held out."""
    tenths = round(10 * prediction.probability)
    if prediction.probability < 0.4:
        return "Hardly more than a guess: the model wavers between several genres."
    if tenths == 10:
        return "Nearly all answers as sure as this one were right, on music like that of the training."
    return (
        f"Of ten answers as sure as this one, about {NUMBERS[tenths]} were right, on music like that of the training."
    )


NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def also_likely(prediction: Prediction, classes: Sequence[str]) -> str:
    """The second and third guess."""
    ranked = sorted(zip(classes, prediction.probabilities, strict=True), key=lambda pair: -pair[1])[1:3]
    return "After that: " + ", then ".join(f"{name} ({share:.0%})" for name, share in ranked) + "."


def clock(seconds: float) -> str:
    """2:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def best(segment: Segment, classes: Sequence[str]) -> tuple[str, float]:
    """A segment's genre and its probability."""
    share = max(segment.probabilities)
    return classes[segment.probabilities.index(share)], share


def agreement(first: Prediction, second: Prediction, classes: Sequence[str], others: Sequence[str]) -> str:
    """Whether two models agree on the whole, and where in the song they do not; both have the same segments."""
    if first.genre == second.genre:
        whole = f"Both say {first.genre}."
    else:
        whole = f"They disagree: {first.genre} or {second.genre}."
    if [own.start_seconds for own in first.segments] != [own.start_seconds for own in second.segments]:
        return whole
    differ = [
        f"{clock(own.start_seconds)} to {clock(own.end_seconds)} ({best(own, classes)[0]} or {best(other, others)[0]})"
        for own, other in zip(first.segments, second.segments, strict=True)
        if best(own, classes)[0] != best(other, others)[0]
    ]
    if not differ:
        return f"{whole} They agree in every part of it."
    shown = "; ".join(differ[:5]) + (f"; and {len(differ) - 5} more parts" if len(differ) > 5 else "")
    return f"{whole} They differ in {len(differ)} of {len(first.segments)} parts: {shown}."

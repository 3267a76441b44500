"""What a model says of a clip."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Segment:
    """A piece of the clip, in seconds from its start, with one apply_temperature probability a class."""

    start_seconds: float
    end_seconds: float
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Prediction:
    """`probabilities` are the segments' mean, apply_temperature, in the order of the model's classes; `note` may warn."""

    genre: str
    probability: float
    probabilities: tuple[float, ...]
    segments: tuple[Segment, ...]
    seconds: float
    note: str

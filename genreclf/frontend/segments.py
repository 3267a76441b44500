"""Which pieces of a clip are its segments, in frames of the front end (512 samples, 23.2 ms)."""

from dataclasses import dataclass

from genreclf.errors import GenreclfError

SEGMENT_COLUMNS = 256


@dataclass(frozen=True)
class ViewConfig:
    """How segments are cut: each shows `segment_frames`, their starts lie at most `hop_frames` apart in evaluation.

    A clip whose length is within the share `tolerance` of `segment_frames` is one segment, stretched to fit.
    A shorter clip is repeated to fill the segment. Raises GenreclfError for numbers that leave gaps or make no segment.
    """

    name: str
    segment_frames: int
    hop_frames: int
    tolerance: float

    def __post_init__(self) -> None:
        if self.segment_frames < 1:
            raise GenreclfError(f"view.segment_frames={self.segment_frames}: give at least 1")
        if not 1 <= self.hop_frames <= self.segment_frames:
            raise GenreclfError(f"view.hop_frames={self.hop_frames}: give 1 to segment_frames={self.segment_frames}")
        if not 0 <= self.tolerance < 1:
            raise GenreclfError(f"view.tolerance={self.tolerance}: give 0 or more, below 1")


def spans(frames: int, view: ViewConfig) -> list[tuple[int, int]]:
    """(start, length) in frames of the segments that cover a clip of `frames`, in order of time; never empty."""
    return cover(frames, view.segment_frames, view.hop_frames, view.tolerance)


def cover(frames: int, length: int, hop_frames: int, tolerance: float) -> list[tuple[int, int]]:
    """The rule of `spans` on plain numbers, as TorchScript wants them; `length` is a segment's frames."""
    if abs(frames - length) <= tolerance * length:
        return [(0, frames)]
    if frames <= length:
        return [(0, length)]
    count = 1 + -(-(frames - length) // hop_frames)  # the smallest number of hops that reaches the end
    return [((frames - length) * i // (count - 1), length) for i in range(count)]

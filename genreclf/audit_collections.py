"""Prints the results of comparing a data set with other collections, for the audit command."""

from genreclf.data.collections import Comparison, Contents, SharedRecording
from genreclf.frontend.folder import ignored_note
from genreclf.terminal import print_table
from genreclf.text import first_names, one_line

PAIRS_SHOWN = 10


def show_shared(found: Comparison) -> None:
    """Prints the contents of each collection, the first pairs, and the overall result."""
    for contents in (found.collection, *found.others):
        print(one_line(_contents(contents)))
    if found.same_files:
        print(f"files that are in both collections are not pairs: {found.same_files}")
    if found.pairs:
        heads = ("clip", "sounds like", "in", "confidence", "begins after", "in common")
        rows = list(map(_row, found.pairs[:PAIRS_SHOWN]))
        title = f"{min(PAIRS_SHOWN, len(found.pairs))} of {len(found.pairs)} pairs of one recording"
        print_table([(head, "text" if number < 3 else "number") for number, head in enumerate(heads)], rows, title)
    print(one_line(_verdict(found)))


def _row(pair: SharedRecording) -> tuple[str, ...]:
    offset = f"{round(pair.offset_seconds, 1) + 0:.1f} s"  # + 0: no "-0.0"
    return pair.path, pair.other, pair.against, f"{pair.confidence:.2f}", offset, f"{pair.overlap_seconds:.1f} s"


def _contents(contents: Contents) -> str:
    absent = [f"{len(contents.left_out)} left out ({first_names(list(contents.left_out))})"] * bool(contents.left_out)
    if contents.ignored:
        absent.append(ignored_note(contents.ignored))
    if contents.not_compared:
        names = first_names(contents.not_compared)
        absent.append(f"{len(contents.not_compared)} not compared by sound: shorter than 4 s, or uniform ({names})")
    if contents.figures:
        kind = "Kaggle's figures without quiet sounds; about a tenth of these find no match"
        absent.append(f"{contents.figures} are {kind}")
    return "; ".join([f"{contents.name}: {contents.clips} clips", *absent])


def _verdict(found: Comparison) -> str:
    others = ", ".join(other.name for other in found.others)
    if found.pairs:
        clips = f"{len(found.shared)} of {found.collection.clips} clips of {found.collection.name}"
        return f"{clips} sound like a recording in {others}"
    if found.is_blind:
        return f"whether {found.collection.name} shares recordings with {others} is not known: no two could be compared"
    each = (found.collection, *found.others)
    partly = " among the clips that could be compared" if any(one.compared < one.clips for one in each) else ""
    return f"no recording of {found.collection.name} was found in {others}{partly}"

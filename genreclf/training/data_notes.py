"""Notes about the data that are printed before a training run."""

import sys
from collections.abc import Iterator
from typing import Any

from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.data.findings import notes
from genreclf.data.split import SPLITS
from genreclf.frontend.log_mel import FRAME_RATE_HZ
from genreclf.text import one_line


def show_data(datamodule: SpectrogramDataModule) -> None:
    """Prints the numbers of clips and notes on them on standard output, and problems with clips on standard error."""
    if datamodule.data.name == "demo":
        print("data=demo: generated music, not a benchmark; for real music: data=gtzan or data=folder data.path=FOLDER")
    summary = datamodule.summary()
    parts = (f"{name} {len(datamodule.clips[name])} clips, {summary['groups'][name]} groups" for name in SPLITS)
    print(f"split={datamodule.split.name}: {'; '.join(parts)}; {len(datamodule.classes)} classes")
    if summary["repeated"]:
        seconds = datamodule.view.segment_frames / FRAME_RATE_HZ
        print(f"{summary['repeated']} clips are shorter than a segment ({seconds:.1f} s) and are repeated to fill one")
    for note in notes(datamodule.store.rows):
        print(one_line(note))
    for note in _problems(summary, datamodule.data.label_conflicts):
        print(one_line(note), file=sys.stderr)


def _problems(summary: dict[str, Any], label_conflicts: str) -> Iterator[str]:
    """Yields a line for each problem of the data in `SpectrogramDataModule.summary`."""
    for name, paths in summary["missing"].items():
        if paths:
            yield f"{len(paths)} clips of the published {name} list are missing (first: {paths[0]})"
    for path, problem in summary["unreadable"].items():
        yield f"left out {path}: {problem}"
    kept = "kept together" if label_conflicts == "keep" else "left out"
    for paths in summary["label_conflicts"]:
        yield f"one recording with different classes, {kept}: {', '.join(paths)}"

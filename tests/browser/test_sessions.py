"""Many sessions, one after the other."""

import time
import tomllib
from pathlib import Path

import numpy as np
import soundfile
from driving import APP, give, open_app, result

from genreclf.data.demo import render
from genreclf.frontend.audio import SAMPLE_RATE_HZ

SESSIONS = 10
KEPT_SECONDS = tomllib.loads((APP / ".streamlit" / "config.toml").read_text())["server"]["disconnectedSessionTTL"]


def test_closed_sessions_release_their_memory(chromium, server, tmp_path):
    """An app that kept all uploads would grow by 151 MiB; a third of that is allowed, for the results that it keeps."""
    address, process = server
    songs = [song(tmp_path, number) for number in range(1 + SESSIONS)]
    session(chromium, address, songs[0])
    before = settled_mib(chromium, address, process)
    for path in songs[1:]:
        session(chromium, address, path)
    grown = settled_mib(chromium, address, process) - before
    assert grown < sum(path.stat().st_size for path in songs[1:]) / 1024**2 / 3


def song(folder: Path, number: int) -> Path:
    """Writes 1.5 minutes of stereo, 15 MiB."""
    path, wave = folder / f"{number}.wav", render("chorale", number, 0, 9.0)
    soundfile.write(path, np.tile(wave[:, None], (10, 2)), SAMPLE_RATE_HZ, subtype="PCM_32")
    return path


def session(chromium, address: str, path: Path) -> None:
    page = open_app(chromium, address)
    give(page, path)
    result(page)
    page.close()


def settled_mib(chromium, address: str, process: int) -> float:
    """Returns the memory of the process alone, without mapped files, after it has released closed sessions."""
    found = []
    for _ in range(2):  # memory that Streamlit releases when a page closes may be freed only when the next one does
        time.sleep(KEPT_SECONDS + 1)
        open_app(chromium, address).close()  # Streamlit looks for such sessions when another one closes
        time.sleep(1)
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        (kib,) = (int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))
        found.append(kib / 1024)
    return min(found)

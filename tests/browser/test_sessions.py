"""Many sessions, one after the other."""

import os
from pathlib import Path

import soundfile
from driving import give, open_app, result

from genreclf.data.demo import render
from genreclf.frontend.audio import SAMPLE_RATE_HZ


def test_twenty_sessions_leave_memory_flat(chromium, server, tmp_path):
    address, process = server
    sizes = []
    for number in range(20):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, render("march", number, 0, 9.0), SAMPLE_RATE_HZ)
        page = open_app(chromium, address)
        give(page, path)
        result(page)
        page.close()
        sizes.append(resident_mib(process))
    assert max(sizes[-5:]) < 1.1 * max(sizes[5:10]), sizes


def resident_mib(process: int) -> float:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024**2

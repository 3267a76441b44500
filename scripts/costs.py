"""Measures the cost of a call: wall time, CPU seconds and memory. Used by the benches."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """The cost of one call."""

    wall: float  # seconds
    cpu: float  # seconds, user and system, of this process and of the child processes that ended
    peak: float  # MiB: the peak resident memory of this process during the call


def cost_of(work: Callable[[], object]) -> Cost:
    """Calls `work` and returns its cost."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak resident memory (proc(5))
    wall, cpu = time.perf_counter(), sum(os.times()[:4])
    work()
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    return Cost(time.perf_counter() - wall, sum(os.times()[:4]) - cpu, peak)


def cpu_of(process: int) -> float:
    """Returns the CPU seconds, user and system, of a running process so far."""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def load() -> str:
    """Returns the load averages of the last 1 and 5 minutes, and the number of cores."""
    last, before, _ = os.getloadavg()
    return f"load {last:.1f} and {before:.1f} on {len(os.sched_getaffinity(0))} cores"

"""How many processor cores there are to use."""

import os


def cores() -> int:
    """Those that this process may use: a job on a cluster has some of a machine's."""
    return len(os.sched_getaffinity(0))

"""The number of usable processor cores."""

import os


def cores() -> int:
    """Returns the number of cores that this process may use. A job on a cluster may have only some of a machine's."""
    return len(os.sched_getaffinity(0))

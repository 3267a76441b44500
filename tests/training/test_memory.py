import platform
import subprocess
import sys

import pytest
import torch

from genreclf.errors import GenreclfError
from genreclf.training.memory import memory_for

FAULTS = """
import resource
import numpy as np
from genreclf.training.memory import keep_freed_memory

keep_freed_memory()
for number in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(2**26, np.uint8).fill(number)  # 64 MiB, freed at once
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_serves_the_next_array():
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100  # otherwise one for each of 16,384 pages, or 544 if NumPy requests huge pages


def test_a_lack_of_memory_is_about_its_key():
    with (
        pytest.raises(GenreclfError, match=r"^batch_size=3: .*memory; give less"),
        memory_for("batch_size=3", "give less"),
    ):
        torch.empty(2**50)


def test_another_error_is_a_bug():
    with pytest.raises(RuntimeError, match="size"), memory_for("batch_size=3", "less"):
        torch.empty(2) + torch.empty(3)

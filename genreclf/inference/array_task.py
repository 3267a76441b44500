"""Shards of a list, numbered from 1, and the tasks of a SLURM job array that process them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from genreclf.errors import GenreclfError

_ID, _COUNT = "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"
_MIN, _MAX, _STEP = "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX", "SLURM_ARRAY_TASK_STEP"


def part_of(count: int, number: int, shards: int) -> slice:
    """Returns the slice of shard `number` in a list of `count` items. Shards' sizes differ by at most one."""
    return slice((number - 1) * count // shards, number * count // shards)


def read_shard(word: str) -> tuple[int, int]:
    """Parses I/N, the number of a shard and the number of shards. Raises ValueError for anything else."""
    number, _, count = word.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ValueError(f"{word}: expected I/N, I from 1 to N, such as 3/10")
    return int(number), int(count)


@dataclass(frozen=True)
class Numbering:
    """The number of the first task and the step between tasks (10 and 2 for `--array=10-28:2`)."""

    first: int = 1
    step: int = 1

    def task(self, shard: int) -> int:
        """Returns the number of a shard's task."""
        return self.first + (shard - 1) * self.step

    def shard(self, task: int, shards: int) -> int:
        """Returns the shard of a task. Raises GenreclfError for a task without a shard."""
        number, rest = divmod(task - self.first, self.step)
        if rest or not 0 <= number < shards:
            tasks = ranges(self.task(shard) for shard in range(1, shards + 1))
            raise GenreclfError(f"{_ID}={task}: these shards have the tasks {tasks}; submit those, or give --shard I/N")
        return number + 1


@dataclass(frozen=True)
class ArrayTask:
    """The task of a job array that this process runs."""

    task: int
    count: int  # of the array's tasks; a second array with only the failed tasks has fewer
    numbering: Numbering
    last: int  # the number of the array's last task

    def shards(self) -> int:
        """Returns the number of shards of a first array. Raises GenreclfError if its task numbers are not a range."""
        if self.last != self.numbering.task(self.count):
            numbers = f"{_MIN}={self.numbering.first}, {_MAX}={self.last}, {_COUNT}={self.count}"
            remedy = "submit --array=1-N, or give --shard I/N"
            raise GenreclfError(f"{numbers}: no range, so its part is not known; {remedy}")
        return self.count

    def shard(self) -> int:
        """Returns this task's shard in a first array. Raises GenreclfError as `shards` does."""
        return self.numbering.shard(self.task, self.shards())


def array_task(environment: Mapping[str, str]) -> ArrayTask | None:
    """Returns the task that SLURM has started, or None. Raises GenreclfError if its variables are invalid numbers."""
    if _ID not in environment or _COUNT not in environment:
        return None
    task, count = _number(environment, _ID), _number(environment, _COUNT)
    first, step = _number(environment, _MIN, 0), _number(environment, _STEP, 1)
    last = _number(environment, _MAX, first + (count - 1) * step)
    if count < 1 or step < 1:
        raise GenreclfError(f"{_COUNT}={count}, {_STEP}={step}: expected 1 or more; give --shard I/N")
    return ArrayTask(task, count, Numbering(first, step), last)


def _number(environment: Mapping[str, str], key: str, default: int | None = None) -> int:
    value = environment.get(key, "" if default is None else str(default))
    if not value.isdecimal():
        raise GenreclfError(f"{key}={value}: expected a whole number; give --shard I/N")
    return int(value)


def ranges(numbers: Iterable[int]) -> str:
    """Formats ascending numbers for `sbatch --array=`: 1-3,7,9-10."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{first}-{last}" if first < last else f"{first}" for first, last in runs)

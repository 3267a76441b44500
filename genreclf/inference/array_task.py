"""Shards of a list, numbered from 1, and the tasks of a SLURM job array that do them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from genreclf.errors import GenreclfError

_ID, _COUNT = "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"
_MIN, _MAX, _STEP = "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX", "SLURM_ARRAY_TASK_STEP"


def part_of(count: int, number: int, shards: int) -> slice:
    """Where shard `number` lies in a list of `count`. Shards follow each other; their sizes differ by at most one."""
    return slice((number - 1) * count // shards, number * count // shards)


def read_shard(word: str) -> tuple[int, int]:
    """I/N: the number of a shard and how many there are. Raises ValueError for other words."""
    number, _, count = word.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ValueError(f"{word}: expected I/N, I from 1 to N, such as 3/10")
    return int(number), int(count)


@dataclass(frozen=True)
class Numbering:
    """The number of the first task, and the step from each to the next (`--array=10-28:2` has 10 and 2)."""

    first: int = 1
    step: int = 1

    def task(self, shard: int) -> int:
        """The number of a shard's task."""
        return self.first + (shard - 1) * self.step

    def shard(self, task: int, shards: int) -> int:
        """The shard of a task. Raises GenreclfError for a task that has none."""
        number, rest = divmod(task - self.first, self.step)
        if rest or not 0 <= number < shards:
            tasks = ranges(self.task(shard) for shard in range(1, shards + 1))
            raise GenreclfError(f"{_ID}={task}: these shards have the tasks {tasks}; submit those, or give --shard I/N")
        return number + 1


@dataclass(frozen=True)
class ArrayTask:
    """The task of an array that this process is."""

    task: int
    count: int  # of the array's tasks; a second array, of those that failed, has fewer
    numbering: Numbering
    last: int  # the number of the array's last task

    def shards(self) -> int:
        """How many shards an array makes that begins. Raises GenreclfError for a list of numbers that is no range."""
        if self.last != self.numbering.task(self.count):
            numbers = f"{_MIN}={self.numbering.first}, {_MAX}={self.last}, {_COUNT}={self.count}"
            raise GenreclfError(
                f"{numbers}: no range, so its part is not known; submit --array=1-N, or give --shard I/N"
            )
        return self.count

    def shard(self) -> int:
        """The shard of this task in an array that begins. Raises GenreclfError as `shards` does."""
        return self.numbering.shard(self.task, self.shards())


def array_task(environment: Mapping[str, str]) -> ArrayTask | None:
    """The task that SLURM has started, or None. Raises GenreclfError for numbers that are none."""
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
    """Rising numbers as `sbatch --array=` takes them: 1-3,7,9-10."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{first}-{last}" if first < last else f"{first}" for first, last in runs)

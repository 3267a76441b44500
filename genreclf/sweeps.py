"""Sweeps (-m): the folders of their jobs, and jobs in separate processes, which survive the failure of others."""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException

from genreclf.errors import GenreclfError, reason
from genreclf.text import one_line

_LONGEST_NAME = 120  # bytes; file systems allow 255, and tools add prefixes or suffixes


def is_sweep(words: Sequence[str]) -> bool:
    """Returns whether a command line in Hydra's form starts a sweep."""
    return bool({"-m", "--multirun"} & set(words))


def sweep_words(words: Sequence[str]) -> list[str]:
    """Returns a sweep's command line in Hydra's form, in which `run` is the folder of the whole sweep.

    The folders of its jobs are named after the keys that differ between them.
    """
    fixed = [each.key_or_group for each in map(parsed, words) if each and not each.is_sweep_override()]
    excluded = ",".join(f'"{key}"' for key in fixed)
    words = [f"hydra.sweep.dir={word.removeprefix('run=')}" if word.startswith("run=") else word for word in words]
    return [*words, f"hydra.job.config.override_dirname.exclude_keys=[{excluded}]"]


def folder_name(text: str) -> str:
    """Makes a folder name from a text. If the text is too long or has a slash, the name ends with its digest."""
    name = text.replace("/", "_").encode()
    if name == text.encode() and len(name) <= _LONGEST_NAME:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_NAME - 9].decode(errors='ignore')}-{digest}"


@contextmanager
def collected_exit_codes(words: Sequence[str], codes: list[int]) -> Iterator[None]:
    """Context manager that adds the exit codes of submitit's jobs to `codes`, also of jobs that were killed.

    Without it, the first job without a result would end the sweep with a traceback, and the other jobs' exit codes
    would be lost.
    """
    uses_submitit = any(word.startswith("hydra/launcher=submitit") for word in words)
    if not uses_submitit or find_spec("submitit") is None:  # Hydra reports that the launcher is missing
        yield
        return
    import submitit

    wait: Any = submitit.Job.results

    @wraps(wait)
    def results(job: Any) -> list[JobReturn]:
        try:
            code = wait(job)[0].return_value
            if code:
                _print_failure(job, f"exit code {code}")
        except Exception as error:  # killed, or a bug, whose traceback is in the log
            code = 1
            _print_failure(job, reason(error))
        codes.append(code)
        return [JobReturn(status=JobStatus.COMPLETED)]

    submitit.Job.results = results
    try:
        yield
    except RuntimeError as error:  # from the submission; errors of jobs are caught above
        raise GenreclfError(f"the sweep's jobs cannot be submitted: {reason(error)}") from error
    finally:
        submitit.Job.results = wait


def _print_failure(job: Any, what: str) -> None:
    log = Path(job.paths.stderr)
    lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
    last = next((line for line in reversed(lines) if line.startswith("genreclf: ")), "").removeprefix("genreclf: ")
    print(one_line(f"genreclf: job {job.job_id} failed: {last or what}; its log: {log}"), file=sys.stderr)


def parsed(word: str) -> Any:
    """Parses an override. Returns None for flags, values of options, and whatever Hydra cannot parse."""
    try:
        return None if word.startswith("-") else OverridesParser.create().parse_override(word)
    except HydraException:  # reported by Hydra
        return None

"""Writing files so that a reader, or a process killed in between, never sees half of one."""

import os
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes `content` (text as UTF-8) beside `path`, flushes it to disk, and renames it into place.

    Surrogate escapes in text, from file names, become their bytes. The folder must exist. Raises OSError where the file
    cannot be written; a file that was there before then stays as it was.
    """
    data = content.encode(errors="surrogateescape") if isinstance(content, str) else content
    # The process id keeps two processes that write the same file apart.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)

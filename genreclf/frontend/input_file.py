"""What must hold for any file before it is opened."""

import os
from pathlib import Path

from genreclf.errors import GenreclfError


def check_input_file(path: Path, formats: str, max_bytes: int) -> None:
    """Raises GenreclfError unless `path` is a regular, readable file of at most `max_bytes`.

    `formats` names in the message what to give. (A pipe is not regular: opening it would wait for a writer.)
    """
    if not path.is_file():
        what = "not a regular file" if path.exists() else "no such file"
        raise GenreclfError(f"{path}: {what}; give a {formats} file")
    if not os.access(path, os.R_OK):
        raise GenreclfError(f"{path}: no permission to read it; change its permissions")
    if path.stat().st_size > max_bytes:
        raise GenreclfError(f"{path}: larger than {max_bytes / 1024**3:g} GiB; cut it into shorter files")

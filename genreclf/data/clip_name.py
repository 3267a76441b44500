"""The name of a clip: that of its file without folder and suffix, in one spelling."""

import re

from genreclf.frontend.clip import is_clip


def file_name(path: str) -> str:
    """The last part of a path of any system."""
    return re.split(r"[/\\]", path)[-1]


def clip_name(path: str) -> str:
    """The name of a file without folder and suffix; for GTZAN's in any usual spelling, `blues.00000`."""
    last = file_name(path.strip())
    known = gtzan_name(last)
    return last.rpartition(".")[0] if known == last and is_clip(last) else known


def gtzan_name(path: str) -> str:
    """`.../blues00000.png` -> `blues.00000`; other names are returned without folder."""
    last = file_name(path)
    match = re.match(r"([a-z]+)\.?(\d{5})(\.[A-Za-z][A-Za-z0-9]*)?$", last)  # .3 is no suffix, but a piece's number
    return f"{match[1]}.{match[2]}" if match else last

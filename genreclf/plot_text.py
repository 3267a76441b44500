"""Figures that show names from outside: not as formulas, in full, and in fonts that have their characters."""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from rich.console import Console
from rich.text import Text

from genreclf.text import one_line, unicode_escape

# matplotlib's own font, then the fonts for other scripts that Linux, macOS and Windows include.
_FAMILIES = (
    *("DejaVu Sans", "Noto Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC"),
    *("Noto Sans Devanagari", "Noto Sans Thai", "Noto Sans Symbols2", "WenQuanYi Zen Hei", "Droid Sans Fallback"),
    *("Arial Unicode MS", "Hiragino Sans", "Apple SD Gothic Neo", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic"),
    *("Nirmala UI", "Leelawadee UI"),
)
_DPI, _MAX_PIXELS = 120, 6_000  # pixels per side: about 100 MB of memory while drawing
_SETTINGS = threading.RLock()  # matplotlib's settings apply to the whole process; the app draws in several threads


@contextmanager
def new_plot(file: Path | BinaryIO, width: float, height: float) -> Iterator[Figure]:
    """Yields a figure of this size in inches, to draw in; then writes it to `file` as PNG.

    Texts in it are literal, not formulas, in all known fonts. A very large figure gets fewer pixels per inch.
    """
    with _SETTINGS, matplotlib.rc_context({"text.parse_math": False, "font.family": list(_installed())}):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        figure.savefig(file, dpi=min(_DPI, _MAX_PIXELS / max(width, height)), format="png")


def drawable(name: str, width: int | None = None) -> str:
    """Returns a name with escapes for characters that no font has, wrapped at `width` characters if given."""
    known = _characters()
    shown = "".join(one if ord(one) in known else unicode_escape(one) for one in one_line(name))
    if width is None:
        return shown
    return "\n".join(line.plain.rstrip() for line in Text(shown).wrap(Console(), width))


@functools.cache
def _installed() -> tuple[str, ...]:
    names = {font.name for font in fontManager.ttflist}
    return tuple(family for family in _FAMILIES if family in names)


@functools.cache
def _characters() -> frozenset[int]:
    """Returns the code points that the installed fonts can draw."""
    fonts = [get_font(findfont(FontProperties(family=family))) for family in _installed()]
    return frozenset().union(*(font.get_charmap() for font in fonts))

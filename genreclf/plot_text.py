"""Names from outside in plots: no formulas, whole, and in fonts that have their characters."""

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

# matplotlib's own font, then fonts of other scripts as systems bring them: Linux, macOS, Windows.
_FAMILIES = (
    *("DejaVu Sans", "Noto Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC"),
    *("Noto Sans Devanagari", "Noto Sans Thai", "Noto Sans Symbols2", "WenQuanYi Zen Hei", "Droid Sans Fallback"),
    *("Arial Unicode MS", "Hiragino Sans", "Apple SD Gothic Neo", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic"),
    *("Nirmala UI", "Leelawadee UI"),
)
_DPI, _MAX_PIXELS = 120, 6_000  # of a side: about 100 MB of memory while it is drawn


_SETTINGS = threading.RLock()  # matplotlib's settings are those of the whole process; the app draws in several threads


@contextmanager
def names_in_plots() -> Iterator[None]:
    """Within it, and in functions decorated with it, texts of matplotlib are not formulas and use all known fonts."""
    with _SETTINGS, matplotlib.rc_context({"text.parse_math": False, "font.family": list(_installed())}):
        yield


def drawable(name: str, width: int | None = None) -> str:
    """A name in characters that can be drawn, others as escapes; in lines of at most `width` characters, if given."""
    known = _characters()
    shown = "".join(one if ord(one) in known else unicode_escape(one) for one in one_line(name))
    if width is None:
        return shown
    return "\n".join(line.plain.rstrip() for line in Text(shown).wrap(Console(), width))


def save(figure: Figure, file: Path | BinaryIO) -> None:
    """Writes a PNG file, with fewer pixels per inch if the figure is very large."""
    dpi = min(_DPI, _MAX_PIXELS / max(figure.get_size_inches()))
    figure.savefig(file, dpi=dpi, format="png")


@functools.cache
def _installed() -> tuple[str, ...]:
    names = {font.name for font in fontManager.ttflist}
    return tuple(family for family in _FAMILIES if family in names)


@functools.cache
def _characters() -> frozenset[int]:
    """What the installed families can draw, as code points."""
    fonts = [get_font(findfont(FontProperties(family=family))) for family in _installed()]
    return frozenset().union(*(font.get_charmap() for font in fonts))

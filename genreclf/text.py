"""Names from outside (files, classes, settings) as text that is shown whole and changes nothing around it."""

import re
import shlex
import unicodedata
from collections.abc import Callable, Sequence

NAMES_SHOWN = 3  # of many

# Unicode's categories Cc, Zl, Zp and Cs, and the marks of Cf that show nothing, or turn the direction of the text
# around. The zero-width joiners U+200C and U+200D stay: several scripts are written with them.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)

_ACCENTS = re.compile("[\u0300-\u036f]")
_BYTE = re.compile(r"(\\*)(?:([\udc80-\udcff])|(?=udc[89a-f][0-9a-f]))")
_FORMULA = re.compile("'*[=+\\-@\\t\\r\\n\uff1d\uff0b\uff0d\uff20]")  # as OWASP lists them, also in full width
_ESCAPED_BYTE = re.compile(r"(\\+)u(dc[89a-f][0-9a-f])")


def unicode_escape(character: str) -> str:
    """Its escape in Python's notation."""
    return character.encode("unicode_escape").decode()


def one_line(text: str, escape: Callable[[str], str] = unicode_escape) -> str:
    """A name from outside, or a text with such names, as it is shown: in one line, with nothing hidden.

    Line breaks, other control characters, marks of direction, and bytes that are no UTF-8 become escapes.
    """
    return _HIDDEN.sub(lambda match: escape(match[0]), text)


def first_names(names: Sequence[str]) -> str:
    """The first of some names, in quotes."""
    return ", ".join(map(repr, names[:NAMES_SHOWN])) + (", ..." if len(names) > NAMES_SHOWN else "")


def normalize_name(name: str) -> str:
    """A name without case, spaces and punctuation. Empty if nothing is left."""
    return "".join(filter(str.isalnum, name.casefold()))


def spelling_key(genre: str) -> str:
    """A genre without case, accents, spaces and punctuation, and with "and" for "&": equal for all its spellings.

    The genre itself if it has no letters and digits.
    """
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", genre.replace("&", " and ")))
    return normalize_name(plain) or genre


def percent(share: float) -> str:
    """A share in [0, 1] as 80 %."""
    return f"{share * 100:.0f} %"


def utf8(text: str) -> str:
    """A name from outside for data whose text is UTF-8: other bytes become escapes, all else stays."""
    return text.encode(errors="backslashreplace").decode()


def escape_bytes(name: str) -> str:
    r"""A file name for text that is UTF-8, such as a CSV: bytes that are not UTF-8 become `\udce9` and the like.

    `unescape_bytes` gives the name back, whatever it is: backslashes before what looks like such an escape are doubled.
    """
    return _BYTE.sub(lambda match: match[1] * 2 + (unicode_escape(match[2]) if match[2] else ""), name)


def unescape_bytes(text: str) -> str:
    """The file name of which `escape_bytes` made `text`."""
    return _ESCAPED_BYTE.sub(_unescaped, text)


def _unescaped(match: re.Match[str]) -> str:
    slashes, is_escape = divmod(len(match[1]), 2)
    return "\\" * slashes + (chr(int(match[2], 16)) if is_escape else "u" + match[2])


def escape_formula(text: str) -> str:
    """Text for the cell of a CSV that people open in a spreadsheet, which would run what looks like a formula.

    An apostrophe is put before it, and before those that are there already, so that `unescape_formula` gives it back.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_formula(cell: str) -> str:
    """The text of which `escape_formula` made `cell`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def markdown_text(text: str) -> str:
    """A name from outside for a Markdown file: everything is escaped that would become markup or a link."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&!$:@.])", r"\\\1", one_line(" ".join(text.split())))


def shell_command(*words: str) -> str:
    """A command to paste into a shell, in one line whatever its words contain."""
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    if one_line(word) == word:
        return shlex.quote(word)
    # bash, zsh and POSIX 2024 read the escapes of $'...'.
    return "$'" + one_line(re.sub(r"[\\']", r"\\\g<0>", word), _bytes) + "'"


def _bytes(character: str) -> str:
    """The escapes of the bytes that a file name has for a character, which may be a surrogate escape."""
    encoding = "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in character.encode(errors=encoding))

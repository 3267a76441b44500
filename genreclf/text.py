"""Shows names from outside (files, classes, settings) in full and without effect on the text around them."""

import re
import shlex
import unicodedata
from collections.abc import Callable, Sequence

NAMES_SHOWN = 3  # the first of many names

# Unicode's categories Cc, Zl, Zp and Cs, and characters of Cf that are invisible or reverse the direction of the text.
# The zero-width joiners U+200C and U+200D are not included, because several scripts need them.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)

_ACCENTS = re.compile("[\u0300-\u036f]")
_BYTE = re.compile(r"(\\*)(?:([\udc80-\udcff])|(?=udc[89a-f][0-9a-f]))")
_FORMULA = re.compile("'*[=+\\-@\\t\\r\\n\uff1d\uff0b\uff0d\uff20]")  # as OWASP lists them, also in full width
_ESCAPED_BYTE = re.compile(r"(\\+)u(dc[89a-f][0-9a-f])")


def unicode_escape(character: str) -> str:
    """Returns a character's escape in Python's notation."""
    return character.encode("unicode_escape").decode()


def one_line(text: str, escape: Callable[[str], str] = unicode_escape) -> str:
    """Returns a name from outside, or a text that contains such names, on one line and without hidden characters.

    Line breaks, other control characters, direction marks, and bytes that are not UTF-8 become escapes.
    """
    return _HIDDEN.sub(lambda match: escape(match[0]), text)


def first_names(names: Sequence[str]) -> str:
    """Returns the first names, in quotes."""
    return ", ".join(map(repr, names[:NAMES_SHOWN])) + (", ..." if len(names) > NAMES_SHOWN else "")


def normalize_name(name: str) -> str:
    """Returns a name without case, spaces and punctuation. Empty if nothing is left."""
    return "".join(filter(str.isalnum, name.casefold()))


def spelling_key(genre: str) -> str:
    """Returns a key that is equal for all spellings of a genre: no case, accents, spaces or punctuation, "&" as "and".

    It is the genre itself if the genre has no letters or digits.
    """
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", genre.replace("&", " and ")))
    return normalize_name(plain) or genre


def percent(share: float) -> str:
    """Formats a share in [0, 1], such as 0.8, as 80 %."""
    return f"{share * 100:.0f} %"


def utf8(text: str) -> str:
    """Returns a name from outside as valid UTF-8 text: only bytes that are not UTF-8 become escapes."""
    return text.encode(errors="backslashreplace").decode()


def escape_bytes(name: str) -> str:
    r"""Returns a file name as valid UTF-8 text, as for a CSV: bytes that are not UTF-8 become escapes such as `\udce9`.

    `unescape_bytes` restores any name, because backslashes before text that looks like such an escape are doubled.
    """
    return _BYTE.sub(lambda match: match[1] * 2 + (unicode_escape(match[2]) if match[2] else ""), name)


def unescape_bytes(text: str) -> str:
    """Inverse of `escape_bytes`."""
    return _ESCAPED_BYTE.sub(_unescaped, text)


def _unescaped(match: re.Match[str]) -> str:
    slashes, is_escape = divmod(len(match[1]), 2)
    return "\\" * slashes + (chr(int(match[2], 16)) if is_escape else "u" + match[2])


def escape_formula(text: str) -> str:
    """Escapes the text of a CSV cell that a spreadsheet would run as a formula, by an apostrophe before it.

    Text that already starts with apostrophes gets another one, so that `unescape_formula` can restore it.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_formula(cell: str) -> str:
    """Inverse of `escape_formula`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def markdown_text(text: str) -> str:
    """Returns a name from outside for Markdown, with everything escaped that would become markup or a link."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&!$:@.])", r"\\\1", one_line(" ".join(text.split())))


def shell_command(*words: str) -> str:
    """Returns a command to paste into a shell, on one line whatever its words contain."""
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    if one_line(word) == word:
        return shlex.quote(word)
    # bash, zsh and POSIX 2024 support $'...' with its escapes.
    return "$'" + one_line(re.sub(r"[\\']", r"\\\g<0>", word), _bytes) + "'"


def _bytes(character: str) -> str:
    """Returns the escapes of a character's bytes in a file name; the character may be a surrogate escape."""
    encoding = "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in character.encode(errors=encoding))

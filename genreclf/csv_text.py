"""Reads CSV files as spreadsheets write them: in any usual encoding, with a line `sep=;` or blank rows."""

import codecs
import csv
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genreclf.errors import GenreclfError, reason
from genreclf.files import check_ends
from genreclf.text import normalize_name

DELIMITERS = (",", ";", "\t", "|")

# Bytes that Western Windows text does not contain: control characters, and letters in UTF-8, as in a truncated file.
_NOT_CP1252 = re.compile(rb"[\0-\x08\x0e-\x1f\x7f]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}")
# Blank lines, and the first line of some spreadsheets
_BEFORE_HEADER = re.compile(r'(?:[ \t]*(?:"?sep=[,;|\t]"?)?(?:\r\n?|\n))*', re.IGNORECASE)
_OTHER_KINDS = {
    b"PK\x03\x04": "a spreadsheet",
    b"\xd0\xcf\x11\xe0": "a spreadsheet",
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "a gzip file",
    b"[": "JSON",
    b"{": "JSON",
    b"<": "XML or HTML",
}
_BEGIN = 2**16  # characters that show how a file is written
csv.field_size_limit(2**24)  # characters per cell, which may contain lyrics or a biography


@dataclass(frozen=True)
class CsvText:
    """The content of a CSV file, including the header line."""

    where: str  # the beginning of messages about the file
    text: str
    note: str  # for the user, about the encoding; empty for UTF-8, UTF-16 and UTF-32
    skipped: int  # lines before the header

    def header(self, delimiter: str) -> tuple[str, ...]:
        """Returns the cells of the first line. Raises GenreclfError if the text is not CSV."""
        try:
            return tuple(next(self._reader(delimiter, strict=False), ()))
        except csv.Error as error:
            raise _unreadable(self.where, error) from error

    def delimiter(self, is_known: Callable[[str], bool]) -> str:
        """Returns the delimiter with which the most cells of the first line are known, or else the most cells."""
        headers = {mark: self.header(mark) for mark in DELIMITERS}
        return max(headers, key=lambda mark: (sum(map(is_known, headers[mark])), len(headers[mark])))

    def rows(self, delimiter: str) -> Iterator[tuple[int, list[str]]]:
        """Yields each row's last line number and its cells, without the header and blank rows.

        Raises GenreclfError if the text is not CSV.
        """
        # Strict, because otherwise an unclosed quote would take all later rows into its cell.
        reader = self._reader(delimiter, strict=True)
        before = 0  # lines of the rows that were read
        try:
            for number, row in enumerate(reader):
                before = reader.line_num
                if number and any(map(str.strip, row)):  # spreadsheets may write blank rows at the end
                    yield before + self.skipped, row
        except csv.Error as error:
            raise self._open_quote(before, delimiter) from error

    def columns(self, *names: str) -> Iterator[tuple[int, list[str]]]:
        """Yields each row's last line number and its cells in the columns `names`, without spaces around them.

        The delimiter is the one that suits the header, in which names may have any case. Raises GenreclfError if the
        text is not CSV, if a column is missing or there twice, or if a row has cells beyond the header's.
        """
        delimiter = self.delimiter(lambda name: normalize_name(name) in names)
        found = list(map(normalize_name, self.header(delimiter)))
        if any(found.count(name) != 1 for name in names):
            needed = " and ".join(names)
            raise GenreclfError(f"{self.where}: needs the columns {needed} in its first line; rename them")
        numbers = list(map(found.index, names))
        for line, row in self.rows(delimiter):
            if any(map(str.strip, row[len(found) :])):
                remedy = f"put a cell that contains {delimiter!r} between quotes"
                raise GenreclfError(f"{self.where}: line {line} has more cells than the first line; {remedy}")
            yield line, [row[number].strip() if number < len(row) else "" for number in numbers]

    def _reader(self, delimiter: str, strict: bool) -> Any:
        """Returns a reader of the rows. If there are spaces before quotes, it ignores them."""
        spaces = re.search(rf'(?:^|{re.escape(delimiter)}) +"(?!")', self.text[:_BEGIN], re.MULTILINE) is not None
        lines = io.StringIO(self.text, newline="")
        return csv.reader(lines, delimiter=delimiter, skipinitialspace=spaces, strict=strict)

    def _open_quote(self, before: int, delimiter: str) -> GenreclfError:
        """Describes the quote that is not closed in the row after `before` lines."""
        row = "".join(itertools.islice(io.StringIO(self.text, newline=""), before, None))
        cell = rf' *+(?:"(?:[^"]|"")*+"|[^"{re.escape(delimiter)}\r\n][^{re.escape(delimiter)}\r\n]*+)?+'
        whole = re.match(rf"(?:{cell}{re.escape(delimiter)})*+", row)
        line = self.skipped + before + len(re.findall(r"\r\n?|\n", whole[0] if whole else "")) + 1
        remedy = "close it after the cell, and write a quote inside a cell twice"
        return GenreclfError(
            f"{self.where}: line {line} has a quote that is not closed, or with text after it; {remedy}"
        )


def read_csv_text(file: Path, where: str) -> CsvText:
    """Reads a CSV file in UTF-8, UTF-16, UTF-32 or Windows-1252.

    Raises GenreclfError, beginning with `where`, if the file cannot be read.
    """
    try:
        content = check_ends(file).read_bytes()
        _check_kind(content, where)
        text, note = _decoded(content)
    except FileNotFoundError as error:
        raise GenreclfError(f"{where}: no such file; give the path of an existing CSV file") from error
    except (OSError, UnicodeError) as error:
        raise _unreadable(where, error) from error
    skipped = _BEFORE_HEADER.match(text)
    end = skipped.end() if skipped else 0
    return CsvText(where, text[end:], note, len(text[:end].splitlines()))


def csv_line(cells: Iterable[object], delimiter: str = ",", line_end: str = "\n") -> str:
    """Returns the line of a CSV file with these cells, whatever they contain.

    A csv.writer whose lines end with "\\n" would not quote a cell with "\\r", which file names may contain.
    """
    line = io.StringIO()
    csv.writer(line, delimiter=delimiter, lineterminator="\r\n").writerow(cells)
    return line.getvalue().removesuffix("\r\n") + line_end


def _check_kind(content: bytes, where: str) -> None:
    """Raises GenreclfError for other formats in which tables are stored."""
    for begin, kind in _OTHER_KINDS.items():
        if content.lstrip().startswith(begin):
            raise GenreclfError(f"{where}: is {kind}; export it as CSV")


def _unreadable(where: str, error: Exception) -> GenreclfError:
    return GenreclfError(f"{where}: cannot be read ({reason(error)}); give a CSV file in UTF-8")


def unicode_text(content: bytes, errors: str = "strict") -> str:
    """Decodes UTF-8, UTF-16 or UTF-32. Raises UnicodeError unless `errors` prevents it."""
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):  # UTF-32's first one begins like UTF-16's
        return content.decode("utf-32", errors)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors)
    if b"\0" in content[:2]:  # a header of Latin letters in UTF-16 without that mark
        return content.decode("utf-16-be" if content[0] == 0 else "utf-16-le", errors)
    return content.decode("utf-8-sig", errors)


def _decoded(content: bytes) -> tuple[str, str]:
    """Returns the text and `CsvText.note`."""
    try:
        return unicode_text(content), ""
    except UnicodeDecodeError:
        if content.startswith(codecs.BOM_UTF8) or _NOT_CP1252.search(content):
            raise
        text = content.decode("cp1252")  # refuses the five undefined bytes
        return text, "not in UTF-8, so read as Windows-1252; if names look wrong, save it as CSV in UTF-8"

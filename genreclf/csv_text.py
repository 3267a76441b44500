"""The text of a CSV file as spreadsheets write it: any usual encoding, a line `sep=;`, blank rows."""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from genreclf.errors import GenreclfError, reason
from genreclf.files import check_ends

DELIMITERS = (",", ";", "\t", "|")

# What text of a Western Windows program lacks: control characters, and letters of UTF-8, as in a file cut inside one.
_NOT_CP1252 = re.compile(rb"[\0-\x08\x0e-\x1f\x7f]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}")
# Blank lines, and the line that some spreadsheets write first
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
csv.field_size_limit(2**24)  # of a cell, which may be lyrics or a biography


@dataclass(frozen=True)
class CsvText:
    """The content of a CSV file, the header line included."""

    where: str  # how messages about it begin
    text: str
    note: str  # about its encoding, for the user: empty for UTF-8, UTF-16 and UTF-32
    skipped: int  # lines before the header

    def header(self, delimiter: str) -> tuple[str, ...]:
        """The cells of the first line. Raises GenreclfError where the text is no CSV."""
        try:
            return tuple(next(csv.reader(io.StringIO(self.text, newline=""), delimiter=delimiter), ()))
        except csv.Error as error:
            raise _unreadable(self.where, error) from error

    def rows(self, delimiter: str) -> Iterator[tuple[int, list[str]]]:
        """The number of the line on which each row ends, and its cells; without the header and blank rows.

        Raises GenreclfError where the text is no CSV.
        """
        # Strict: else a quote that is not closed would take all later rows into its cell.
        reader = csv.reader(io.StringIO(self.text, newline=""), delimiter=delimiter, strict=True)
        try:
            next(reader, None)
            # Spreadsheets may write blank rows at the end.
            yield from ((reader.line_num + self.skipped, row) for row in reader if any(map(str.strip, row)))
        except csv.Error as error:
            raise _unreadable(self.where, error) from error


def read_csv_text(file: Path, where: str) -> CsvText:
    """The text of a CSV file in UTF-8, UTF-16, UTF-32 or Windows-1252.

    Raises GenreclfError, which begins with `where`, for a file that cannot be read.
    """
    try:
        content = check_ends(file).read_bytes()
        _check_kind(content, where)
        text, note = _decoded(content)
    except (OSError, UnicodeError) as error:
        raise _unreadable(where, error) from error
    skipped = _BEFORE_HEADER.match(text)
    end = skipped.end() if skipped else 0
    return CsvText(where, text[end:], note, len(text[:end].splitlines()))


def csv_line(cells: Iterable[object], delimiter: str = ",", line_end: str = "\n") -> str:
    """The line of a CSV file that holds `cells`, whatever is in them.

    A csv.writer whose lines end with "\\n" does not quote a cell that holds "\\r", which a file name may.
    """
    line = io.StringIO()
    csv.writer(line, delimiter=delimiter, lineterminator="\r\n").writerow(cells)
    return line.getvalue().removesuffix("\r\n") + line_end


def _check_kind(content: bytes, where: str) -> None:
    """Raises GenreclfError for the formats that tables are kept in besides CSV."""
    for begin, kind in _OTHER_KINDS.items():
        if content.lstrip().startswith(begin):
            raise GenreclfError(f"{where}: is {kind}; export it as CSV")


def _unreadable(where: str, error: Exception) -> GenreclfError:
    return GenreclfError(f"{where}: cannot be read ({reason(error)}); give a CSV file in UTF-8")


def _decoded(content: bytes) -> tuple[str, str]:
    """The text, and `CsvText.note`."""
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):  # the first begins as UTF-16's does
        return content.decode("utf-32"), ""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16"), ""
    if b"\0" in content[:2]:  # a header of Latin letters in UTF-16 without that mark
        return content.decode("utf-16-be" if content[0] == 0 else "utf-16-le"), ""
    try:
        return content.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        if content.startswith(codecs.BOM_UTF8) or _NOT_CP1252.search(content):
            raise
        text = content.decode("cp1252")  # refuses the five bytes without a meaning
        return text, "not in UTF-8, so read as Windows-1252; if names look wrong, save it as CSV in UTF-8"

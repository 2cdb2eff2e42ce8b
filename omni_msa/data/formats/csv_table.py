"""Reading CSV files with every cell as text, and collecting the mistakes of a corpus by kind."""

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from omni_msa.errors import InputError, Problem

_NUM_SHOWN = 10  # rows listed for each kind of mistake
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")  # float() accepts more: "1_0", "nan"


class Line(NamedTuple):
    """A row of a table that is not blank; `number` counts like a spreadsheet, the first row of the file being 1."""

    number: int
    cells: dict[str, str]


class Mistakes:
    """Collects mistakes row by row and reports one problem for each kind of mistake.

    Args:
        file: the table with the rows.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._by_kind: dict[tuple[str, str], list[str]] = {}

    def add(self, what: str, got: str, allowed: str = "") -> None:
        """Note one mistake.

        Args:
            what: the kind of mistake, in the plural.
            got: the row and its content.
            allowed: what the row may contain.
        """
        self._by_kind.setdefault((what, allowed), []).append(got)

    def problems(self) -> list[Problem]:
        """Return one problem for each kind, with the number of rows and the first ten of them."""
        return [
            Problem(f"{what} ({len(rows)})", str(self.file), first_of(rows), allowed)
            for (what, allowed), rows in self._by_kind.items()
        ]


def first_of(items: Sequence[str], separator: str = "; ") -> str:
    """Return the first ten items as one text that ends with the number of the others, if there are more."""
    rest = [f"and {len(items) - _NUM_SHOWN} more"] if len(items) > _NUM_SHOWN else []
    return separator.join([*items[:_NUM_SHOWN], *rest])


def read_table(file: Path, columns: Sequence[str], usual: Sequence[str] = ()) -> list[Line]:
    """Return the rows of a CSV file that are not blank.

    Args:
        file: an existing file.
        columns: required columns; their order does not matter, and there may be others.
        usual: the columns to assume if the file has no header, as some copies of corpora.

    Raises:
        InputError: the file is not a valid CSV file, a column is missing or repeated, or the number of cells varies.
    """
    rows = list(enumerate(_read_cells(file), 1))
    header = rows[0][1] if rows else []
    if usual and len(header) == len(usual) and not set(header) & set(columns):
        header = list(usual)
    else:
        rows = rows[1:]
    if wrong := [name for name in columns if header.count(name) != 1]:
        what = f"columns that are missing or repeated ({len(wrong)})"
        raise InputError(Problem(what, f"{file} row 1", ", ".join(wrong), ", ".join(columns)))
    mistakes = Mistakes(file)
    for number, cells in rows:
        if any(cells) and len(cells) != len(header):
            mistakes.add("rows with too many or too few cells", f"row {number}: {len(cells)}", f"{len(header)} cells")
    if problems := mistakes.problems():
        raise InputError(*problems)
    return [Line(number, dict(zip(header, cells, strict=True))) for number, cells in rows if any(cells)]


def _read_cells(file: Path) -> list[list[str]]:
    """Return the cells of all rows, stripped of surrounding space; a blank row has none."""
    reader = csv.reader(io.StringIO(read_text(file), newline=None), strict=True)  # CRLF becomes LF, also within quotes
    try:
        return [[cell.strip() for cell in line] for line in reader]
    except csv.Error as error:
        raise InputError(Problem(f"{file.name} is not CSV", f"{file} line {reader.line_num}", str(error))) from error


def read_text(file: Path) -> str:
    """Return the text of a UTF-8 file without a byte order mark.

    Raises:
        InputError: the file cannot be read, or is not UTF-8.
    """
    try:
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(Problem(f"{file.name} cannot be read", str(file), error.strerror or str(error))) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(Problem(f"{file.name} is not UTF-8", f"{file} line {line}", error.reason, "UTF-8")) from error


def read_label(line: Line, column: str, label_range: tuple[float, float], mistakes: Mistakes) -> float:
    """Return the label of a row, NaN if it is not a number.

    Args:
        line: the row.
        column: name of the column with the label.
        label_range: lowest and highest label.
        mistakes: receives a label that is not a number or out of range.
    """
    text = line.cells[column]
    got, (low, high) = f"row {line.number}: {text!r}", label_range
    label = float(text) + 0.0 if _NUMBER.fullmatch(text) else math.nan  # -0.0 becomes 0.0
    if not math.isfinite(label):
        mistakes.add("labels that are not a number", got)
    elif not low <= label <= high:
        mistakes.add("labels out of range", got, f"{low:g} to {high:g}")
    return label

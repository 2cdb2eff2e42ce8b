"""A csv file as people have them: every cell as text, and every mistake of a corpus collected by kind."""

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from omni_msa.errors import InputError, Problem

_NUM_SHOWN = 10  # of the rows with one kind of mistake
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")  # float() takes more: "1_0", "nan"


class Line(NamedTuple):
    """A row of a table that holds anything; `number` as a spreadsheet counts, the first row of the file being 1."""

    number: int
    cells: dict[str, str]


class Mistakes:
    """Collects mistakes row by row; one problem for each kind of mistake, however many rows have it.

    Args:
        file: the table with the rows.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._found: dict[tuple[str, str], list[str]] = {}

    def add(self, what: str, got: str, allowed: str = "") -> None:
        """Note one mistake.

        Args:
            what: the kind, in the plural.
            got: the row, and what stands there.
            allowed: what could stand there.
        """
        self._found.setdefault((what, allowed), []).append(got)

    def problems(self) -> list[Problem]:
        """Return one problem for each kind: how many rows have it, and the first ten of them."""
        return [
            Problem(f"{what} ({len(found)})", str(self.file), first_of(found), allowed)
            for (what, allowed), found in self._found.items()
        ]


def first_of(found: Sequence[str], separator: str = "; ") -> str:
    """Return the first ten, and how many more there are."""
    rest = [f"and {len(found) - _NUM_SHOWN} more"] if len(found) > _NUM_SHOWN else []
    return separator.join([*found[:_NUM_SHOWN], *rest])


def read_table(file: Path, columns: Sequence[str], usual: Sequence[str] = ()) -> list[Line]:
    """Return the rows that hold anything.

    Args:
        file: an existing csv file.
        columns: that must be there; others may be, in any order.
        usual: the columns of such a file when its first row names none: some copies come without a header.

    Raises:
        InputError: it is no table, a column is missing, or rows have another number of cells than the header.
    """
    rows = list(enumerate(_read_cells(file), 1))
    header = rows[0][1] if rows else []
    if usual and len(header) == len(usual) and not set(header) & set(columns):
        header = list(usual)
    else:
        rows = rows[1:]
    if wrong := [name for name in columns if header.count(name) != 1]:
        what = f"columns that are missing or stand twice ({len(wrong)})"
        raise InputError(Problem(what, f"{file} row 1", ", ".join(wrong), ", ".join(columns)))
    mistakes = Mistakes(file)
    for number, cells in rows:
        if any(cells) and len(cells) != len(header):
            mistakes.add("rows with another number of cells than the header", f"row {number}: {len(cells)}")
    if problems := mistakes.problems():
        raise InputError(*problems)
    return [Line(number, dict(zip(header, cells, strict=True))) for number, cells in rows if any(cells)]


def _read_cells(file: Path) -> list[list[str]]:
    """Return the cells of all rows without the space around them; a blank row is empty."""
    reader = csv.reader(io.StringIO(read_text(file), newline=None), strict=True)  # CRLF becomes LF, within quotes too
    try:
        return [[cell.strip() for cell in line] for line in reader]
    except csv.Error as error:
        raise InputError(Problem(f"{file.name} is no table", f"{file} line {reader.line_num}", str(error))) from error


def read_text(file: Path) -> str:
    """Return a file's text without a byte order mark.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    try:
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(Problem(f"{file.name} cannot be read", str(file), error.strerror or str(error))) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(Problem(f"{file.name} is not UTF-8", f"{file} line {line}", error.reason, "UTF-8")) from error


def read_label(line: Line, column: str, label_range: tuple[float, float], mistakes: Mistakes) -> float:
    """Return a row's label, NaN if it is no number.

    Args:
        line: of the table.
        column: where the label stands.
        label_range: lowest and highest label.
        mistakes: a label that is no number or out of range is added to them.
    """
    text = line.cells[column]
    got, (low, high) = f"row {line.number}: {text!r}", label_range
    label = float(text) + 0.0 if _NUMBER.fullmatch(text) else math.nan  # -0.0 is 0.0
    if not math.isfinite(label):
        mistakes.add("labels that are not a number", got)
    elif not low <= label <= high:
        mistakes.add("labels out of range", got, f"{low:g} to {high:g}")
    return label

"""A table as Markdown, LaTeX, HTML or rows of a CSV file."""

import html
import re
from collections.abc import Iterable

from omni_msa.report.tables.grid import DASH, Entry, Grid

_TEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$"}
    | {"±": r"$\pm$", "↓": r"$\downarrow$", "↑": r"$\uparrow$", DASH: "--", "|": r"\textbar{}", '"': "''"}
)
_MINUS = re.compile(r"(?<![\w.-])-(?=\d)")  # of a number, not of a word

STYLE = """<style>
table.omni-msa { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; font-variant-numeric: \
tabular-nums; }
table.omni-msa caption { text-align: left; font-weight: bold; padding: 0.3em 0; }
table.omni-msa th, table.omni-msa td { padding: 0.2em 0.6em; text-align: left; font-weight: normal; }
table.omni-msa thead th { border-bottom: 1px solid; font-weight: bold; vertical-align: bottom; }
table.omni-msa .number { text-align: right; white-space: nowrap; }
table.omni-msa .best { font-weight: bold; }
table.omni-msa tr.human > *, table.omni-msa tr.reported > * { font-style: italic; }
ul.omni-msa-notes { font-size: 0.85em; padding-left: 1.2em; }
</style>
"""
"""Style for a page that has none of its own for these tables."""


def pipe_table(grid: Grid) -> list[str]:
    """Return the lines of a Markdown table."""

    def line(texts: Iterable[str]) -> str:
        return f"| {' | '.join(text.replace('|', '&#124;') for text in texts)} |"

    rule = ["---" if letter == "l" else "---:" for letter in grid.align]
    bodies = ([f"**{entry.text}**" if entry.bold else entry.text for entry in row] for row in grid.rows)
    return [line(grid.headings), line(rule), *map(line, bodies)]


def markdown_section(grid: Grid) -> list[str]:
    """Return the lines of a table with its title and its notes."""
    title = [f"## {grid.title}", ""] if grid.title else []
    return [*title, *pipe_table(grid), "", *(f"- {note}" for note in grid.notes)]


def latex(grid: Grid) -> str:
    """Return a LaTeX `tabular` (needs the package booktabs), its notes in a `minipage` below it."""

    def line(texts: Iterable[str]) -> str:
        return " & ".join(texts) + r" \\"

    bodies = [[_tex_entry(entry) for entry in row] for row in grid.rows]
    lines = ["% needs \\usepackage{booktabs}", rf"\begin{{tabular}}{{{grid.align}}}", r"\toprule"]
    lines += [line(map(tex, grid.headings)), r"\midrule", *map(line, bodies), r"\bottomrule", r"\end{tabular}"]
    if grid.notes:
        notes = [rf"{tex(note)}\par" for note in grid.notes]
        lines += ["", r"\smallskip", r"\begin{minipage}{\linewidth}\footnotesize", *notes, r"\end{minipage}"]
    return "\n".join(lines) + "\n"


def _tex_entry(entry: Entry) -> str:
    return rf"\textbf{{{tex(entry.text)}}}" if entry.bold else tex(entry.text)


def tex(text: str) -> str:
    """Return plain text escaped for LaTeX; a leading `[` or `*` is braced, else it would belong to the `\\\\` above."""
    escaped = _MINUS.sub("$-$", text.translate(_TEX))
    return f"{{{escaped[0]}}}{escaped[1:]}" if escaped[:1] in ("[", "*") else escaped


def html_table(grid: Grid, name: str = "headline") -> str:
    """Return a `<table>` with its notes in a `<ul>`; numbers carry their unrounded value in `data-value`.

    Args:
        grid: the table; its title and texts are escaped here.
        name: a second CSS class of the table, beside `omni-msa`.
    """
    caption = f"<caption>{html.escape(grid.title)}</caption>\n" if grid.title else ""
    heads = "".join(
        f'<th scope="col"{_class(letter == "r" and "number")}>{html.escape(text)}</th>'
        for text, letter in zip(grid.headings, grid.align, strict=True)
    )
    kinds = grid.kinds or [""] * len(grid.rows)
    rows = [f"<tr{_class(kind)}>{_html_row(row, grid)}</tr>" for row, kind in zip(grid.rows, kinds, strict=True)]
    body = "\n".join(rows)
    notes = "".join(f"<li>{html.escape(note)}</li>\n" for note in grid.notes)
    table = f"{caption}<thead>\n<tr>{heads}</tr>\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
    below = f'<ul class="omni-msa-notes">\n{notes}</ul>\n' if notes else ""
    whole = f'<table class="omni-msa {html.escape(name)}">\n{table}{below}'
    return whole.encode("ascii", "xmlcharrefreplace").decode()  # the page's encoding is not known here


def _html_row(row: list[Entry], grid: Grid) -> str:
    return "".join(_html_entry(entry, index < grid.num_axes, grid.align[index]) for index, entry in enumerate(row))


def _html_entry(entry: Entry, is_head: bool, letter: str) -> str:
    tag = 'th scope="row"' if is_head else "td"
    value = "" if entry.value is None else f' data-value="{entry.value!r}"'
    classes = _class(letter == "r" and "number", entry.bold and "best")
    return f"<{tag}{classes}{value}>{html.escape(entry.text)}</{tag[:2]}>"


def _class(*names: str | bool) -> str:
    there = [name for name in names if isinstance(name, str) and name]
    return f' class="{" ".join(there)}"' if there else ""

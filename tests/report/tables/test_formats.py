"""Tables as Markdown, LaTeX and HTML: well-formed, escaped, with the numbers that were put in."""

from helpers.table_texts import Reader, balanced, tabulars
from omni_msa.report.tables.formats import html_table, latex, markdown_section, pipe_table, tex
from omni_msa.report.tables.grid import Entry, Grid

ODD = r'a_b&c% x\y~^{}<i>"$#|'
GRID = Grid(
    ["name", "MAE ↓", "note"],
    [[Entry(ODD), Entry("0.500 ± 0.100", True, 0.5000000001), Entry("-")], [Entry("[b"), Entry("-0.3"), Entry("é")]],
    [f"Note 1: {ODD}", "50 % of [it]"],
    "lrl",
    "Title <1> & more",
    ["cell", "human"],
)


def test_markdown_has_one_line_a_row_and_the_same_bars_in_all():
    lines = pipe_table(GRID)
    assert [line.count("|") for line in lines] == [4] * 4
    assert lines[1] == "| --- | ---: | --- |" and "**0.500 ± 0.100**" in lines[2] and "&#124;" in lines[2]
    section = markdown_section(GRID)
    assert section[0] == "## Title <1> & more" and section[-1] == "- 50 % of [it]"


def test_html_is_closed_escaped_and_says_what_heads_what():
    text = html_table(GRID, "pivot")
    assert text.isascii() and "<i>" not in text
    read = Reader(text)
    assert read.texts == ["Title <1> & more", f"Note 1: {ODD}", "50 % of [it]"]
    heads = [(tag, attrs.get("scope"), attrs.get("class"), found) for tag, attrs, found in read.cells[:4]]
    assert heads == [
        ("th", "col", None, "name"),
        ("th", "col", "number", "MAE ↓"),
        ("th", "col", None, "note"),
        ("th", "row", None, ODD),
    ]
    assert read.cells[4] == ("td", {"class": "number best", "data-value": "0.5000000001"}, "0.500 ± 0.100")
    assert read.cells[7] == ("td", {"class": "number"}, "-0.3")
    assert '<tr class="human">' in text and '<table class="omni-msa pivot">' in text


def test_latex_is_well_formed_and_its_notes_stand_below_the_table():
    text = latex(GRID)
    [(columns, rows)] = tabulars(text)
    assert columns == "lrl" and [len(row) for row in rows] == [3] * 3
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1] * 3
    assert balanced(text) and text.count("$") % 2 == 1 + text.count(r"\$") % 2 - 1
    assert text.index(r"\end{tabular}") < text.index(r"\begin{minipage}") < text.index("Note 1")
    assert r"\textbf{0.500 $\pm$ 0.100}" in text and r"MAE $\downarrow$" in text


def test_every_character_that_latex_reads_as_its_own_is_escaped():
    assert tex("a_b&c%$#") == r"a\_b\&c\%\$\#"
    assert tex(r"x\y~^{}<>|") == r"x\textbackslash{}y\textasciitilde{}\textasciicircum{}\{\}$<$$>$\textbar{}"
    assert tex("–") == "--"  # noqa: RUF001


def test_a_minus_of_a_number_is_no_hyphen():
    assert tex("[-0.5, -0.25]") == "{[}$-$0.5, $-$0.25]"
    assert tex("Acc-7 in 1-3, x-2") == "Acc-7 in 1-3, x-2"


def test_a_bracket_after_a_row_is_not_taken_for_an_option_of_it():
    assert r"\\" + "\n{[}b &" in latex(GRID) and tex("*a") == "{*}a" and tex("a*[") == "a*["

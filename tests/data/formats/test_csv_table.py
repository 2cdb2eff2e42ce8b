"""Tables as people have them: what is read, and what is said about one that cannot be."""

import codecs

import pytest

from omni_msa.data.formats.csv_table import Line, Mistakes, read_label, read_table
from omni_msa.errors import InputError

COLUMNS = ("id", "text")


def written(folder, content):
    file = folder / "table.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def only_problem(file, usual=()):
    with pytest.raises(InputError) as caught:
        read_table(file, COLUMNS, usual)
    [problem] = caught.value.problems
    return problem


@pytest.mark.parametrize("cell", ["0001", "-x_1", "1E05", "=1+1", "#NAME?", "1.0", "1e-3", "007-", "好"])
def test_ids_are_text_as_it_stands(tmp_path, cell):
    file = written(tmp_path, f"text,id\nwords,{cell}\n")
    assert read_table(file, COLUMNS) == [Line(2, {"text": "words", "id": cell})]


def test_text_of_any_kind_and_length(tmp_path):
    texts = ['HE SAID "NO", TWICE', "a\nb", "naïve 🙂👍🏽 不好", "word " * 999 + "word"]
    rows = "\n".join(f'{nth},"{text.replace(chr(34), chr(34) * 2)}"' for nth, text in enumerate(texts))
    assert [line.cells["text"] for line in read_table(written(tmp_path, f"id,text\n{rows}\n"), COLUMNS)] == texts
    assert len(texts[-1]) == 4999


def test_byte_order_mark_line_ends_and_spaces_change_nothing(tmp_path):
    plain = b'id,text,more\n1,"two\nlines",x\n\n,,\n2,b,y\n'
    lines = read_table(written(tmp_path, plain), COLUMNS)
    assert [(line.number, line.cells["text"]) for line in lines] == [(2, "two\nlines"), (5, "b")]
    windows = codecs.BOM_UTF8 + plain.replace(b"\n", b"\r\n").replace(b",b,", b", b ,")
    assert read_table(written(tmp_path, windows), COLUMNS) == lines


def test_a_table_without_a_header(tmp_path):
    usual = ("id", "start", "text")
    lines = [Line(1, {"id": "7", "start": "0.5", "text": "a"})]
    assert read_table(written(tmp_path, "7,0.5,a\n"), COLUMNS, usual) == lines
    assert read_table(written(tmp_path, "text,start,id\na,0.5,7\n"), COLUMNS, usual) == [Line(2, lines[0].cells)]
    assert only_problem(written(tmp_path, "7,a\n"), usual).got == "id, text"


@pytest.mark.parametrize(
    ("header", "wrong"),
    [("text,mode", ["id"]), ("", ["id", "text"]), ("id,text,id", ["id"]), ("id;text", ["id", "text"])],
)
def test_missing_and_doubled_columns(tmp_path, header, wrong):
    file = written(tmp_path, f"{header}\na,b\n")
    problem = only_problem(file)
    assert problem.what == f"columns that are missing or repeated ({len(wrong)})"
    assert (problem.got, problem.allowed, problem.where) == (", ".join(wrong), "id, text", f"{file} row 1")


def test_rows_with_another_number_of_cells(tmp_path):
    rows = "".join(f"{nth}\n" for nth in range(12))
    problem = only_problem(written(tmp_path, f"id,text\nx,well, no\n\n{rows}"))
    assert problem.what == "rows with too many or too few cells (13)"
    assert problem.got.startswith("row 2: 3; row 4: 1; row 5: 1; ")  # row 1 is the header, row 3 is blank
    assert problem.got.endswith("row 12: 1; and 3 more")


@pytest.mark.parametrize(
    ("content", "what", "line"),
    [
        ("id,text\na,b\nc,caf\xe9\n".encode("latin-1"), "table.csv is not UTF-8", 3),
        (b'id,text\na,b\nc,"never closed\n', "table.csv is not CSV", 3),
    ],
)
def test_a_file_that_is_no_table(tmp_path, content, what, line):
    file = written(tmp_path, content)
    problem = only_problem(file)
    assert (problem.what, problem.where) == (what, f"{file} line {line}")


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1.0), ("-0.00", 0.0), ("+1.", 1.0), (".5", 0.5), ("-3E-1", -0.3), ("3", 3.0)]
)
def test_labels(tmp_path, text, value):
    mistakes = Mistakes(tmp_path)
    label = read_label(Line(2, {"label": text}), "label", (-3.0, 3.0), mistakes)
    assert (label, str(label).startswith("-"), mistakes.problems()) == (value, value < 0, [])

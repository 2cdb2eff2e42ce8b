"""Figures."""

from omni_msa.report import draw_probe

ROWS = [
    {"layer": str(layer), "pooling": pooling, "valid_mae": mae, "valid_corr": corr, "chosen": str(mae == "0.5")}
    for pooling, layer, mae, corr in (
        ("last", 0, "1.25", "nan"),
        ("last", 1, "0.5", "0.75"),
        ("mean", 1, "0.75", "0.5"),
        ("mean", 0, "1.0", ""),
    )
]


def test_the_figure_of_a_probe_has_a_line_for_each_pooling(tmp_path):
    files = draw_probe(ROWS, "a probe", tmp_path / "figures" / "probe_1")
    assert [file.name for file in files] == ["probe_1.svg", "probe_1.png"]
    assert files[1].read_bytes().startswith(b"\x89PNG")
    text = files[0].read_text()
    for part in ("a probe", "pooling", ">last<", ">mean<", "MAE on valid", "Corr on valid", "layer"):
        assert part in text


def test_drawing_again_gives_the_same_bytes(tmp_path):
    first, second = ([file.read_bytes() for file in draw_probe(ROWS, "p", tmp_path / name)] for name in "ab")
    assert first == second

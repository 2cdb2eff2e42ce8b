"""Headers of safetensors files by hand, and names of older checkpoints."""

import json
from pathlib import Path

import pytest

from omni_msa.model.hub_checkpoint import canonical, header, missing_files


def write(path: Path, entries: object, num_bytes: int, length: int | None = None) -> Path:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + bytes(num_bytes))
    return path


def entry(shape: list[int], begin: int, end: int) -> dict:
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


def test_shapes_are_read_from_the_header(tmp_path):
    tensors = {"a": entry([2, 3], 0, 24), "b": entry([], 24, 28)}
    assert header(write(tmp_path / "x", {**tensors, "__metadata__": {"format": "pt"}}, 28)) == {"a": (2, 3), "b": ()}
    assert header(write(tmp_path / "none", {}, 0)) == {}


@pytest.mark.parametrize(
    ("entries", "num_bytes", "length", "reason"),
    [
        ({"a": entry([2, 3], 0, 24)}, 23, None, "its header says"),
        ({"a": entry([2, 3], 0, 24)}, 25, None, "its header says"),
        (b"{}", 0, 999, "cut off in its header"),
        (b"{}", 0, 2**63, "cut off in its header"),
        (b"no", 0, None, "x: "),
        (b"[]", 0, None, "x: "),
        ({"a": {"shape": [2]}}, 8, None, "x: "),
        ({"a": 7}, 0, None, "x: "),
    ],
)
def test_other_files_are_refused_by_name(entries, num_bytes, length, reason, tmp_path):
    with pytest.raises(ValueError, match=reason):
        header(write(tmp_path / "x", entries, num_bytes, length))


def test_files_that_are_none_are_refused(tmp_path):
    (tmp_path / "empty").touch()
    for name in ("empty", "absent"):
        with pytest.raises(ValueError, match=name):
            header(tmp_path / name)


def test_older_names_are_those_of_this_version():
    assert canonical("thinker.model.layers.3.mlp.up_proj.weight") == "model.language_model.layers.3.mlp.up_proj.weight"
    assert canonical("thinker.model.embed_tokens.weight") == "model.language_model.embed_tokens.weight"
    assert canonical("thinker.audio_tower.proj.weight") == "model.audio_tower.proj.weight"
    assert canonical("thinker.visual.blocks.0.attn.q.weight") == "model.visual.blocks.0.attn.q.weight"
    assert canonical("thinker.lm_head.weight") == "lm_head.weight"
    for name in ("model.language_model.layers.3.mlp.up_proj.weight", "model.visual.merger.mlp.0.weight"):
        assert canonical(name) == name


def test_files_that_a_folder_lacks(tmp_path):
    assert missing_files(tmp_path) == ["config.json", "tokenizer.json", "model.safetensors"]
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "one", "talker.b": "two", "c": "one"}}))
    (tmp_path / "config.json").touch()
    assert missing_files(tmp_path) == ["tokenizer.json", "one", "two"]
    for damaged in ("{", "[]", "{}", '{"weight_map": []}'):
        index.write_text(damaged)
        with pytest.raises(ValueError, match="cannot be read"):
            missing_files(tmp_path)

"""Whatever lies in the folder of a fit: a record and weights that are whole, or none."""

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.fuzzing import FUZZ, mutate_tree
from omni_msa.system.files import write_json
from omni_msa.training.checkpoints import FitFolder, FitRecord, _save


def test_a_fit_cut_anywhere_is_whole_or_not_there(tmp_path: Path) -> None:
    fit, record = FitFolder(tmp_path / "fit"), FitRecord(step=4, best_epoch=1, best_metric=0.5, train_s=2.0)
    tensors = {"a": torch.arange(6.0)}
    fit.save_best(tensors, 1)
    fit.save_state(record, tensors)
    write_json(fit.path / "fit.json", vars(record))
    for path in sorted(path for path in fit.path.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        for length in (*range(len(whole) - 1), len(whole)):  # without its line's end fit.json is as good
            path.write_bytes(whole[:length])
            state, finished = fit.state(), fit.finished()
            is_whole = length == len(whole)
            assert finished == (record if is_whole or path.stem == "state" else None)
            assert (state is not None) is (is_whole or path.name == "fit.json")
            assert state is None or (state[0] == record and torch.equal(state[1]["a"], tensors["a"]))


@FUZZ
@given(data=st.data())
def test_a_fit_with_other_values(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    fit, tree = FitFolder(tmp_path_factory.getbasetemp() / "fit"), [vars(FitRecord(best_epoch=1))]
    fit.save_best({"a": torch.zeros(1)}, 1)
    mutate_tree(tree, data.draw)
    text = json.dumps(tree[0] if tree else None)
    (fit.path / "fit.json").write_text(text, encoding="utf-8")
    _save(fit.path / "checkpoint" / "state.safetensors", {"a": torch.zeros(1)}, {"record": text})
    found = [fit.finished(), (fit.state() or [None])[0]]
    for record in found:
        assert record is None or (record.step + record.best_epoch >= 0 and math.isfinite(record.train_s))

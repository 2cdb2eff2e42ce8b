"""The exported schema says what `load_sweep` accepts."""

from pathlib import Path

import jsonschema
import pytest

from helpers.paths import SWEEPS
from omni_msa.sweep.json_schema import sweep_schema
from omni_msa.system import yaml_file

SWEEPS = sorted((SWEEPS).glob("*.yaml"))


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_sweep_file_conforms(path: Path) -> None:
    jsonschema.validate(yaml_file.read(path), sweep_schema())


@pytest.mark.parametrize(
    "change",
    [
        {"questoin": "?"},
        {"training": {"epochs": "two"}},
        {"training": {"epoch": 2}},
        {"readout": {"name": "discriminative", "widht": 3}},
        {"dataset": "no_such_dataset"},
        {"select": {"split": "test"}},
    ],
)
def test_mistakes_do_not_conform(change: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**yaml_file.read(SWEEPS[0]), **change}, sweep_schema())

"""The exported schema says what `load_sweep` accepts."""

from pathlib import Path

import jsonschema
import pytest

from omni_msa import yamlfile
from omni_msa.schema import sweep_schema

SWEEPS = sorted((Path(__file__).parents[1] / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_sweep_file_conforms(path: Path) -> None:
    jsonschema.validate(yamlfile.read(path), sweep_schema())


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
        jsonschema.validate({**yamlfile.read(SWEEPS[0]), **change}, sweep_schema())

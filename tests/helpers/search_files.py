"""Sweep files with a search, and what is said of them."""

import pytest
import yaml

from helpers.sweep_files import WriteSweep
from omni_msa.errors import InputError
from omni_msa.sweep.sweep import load_sweep

SPACE = {
    "adapter.rank": {"choice": [4, 8]},
    "readout.huber_delta": {"uniform": [0.5, 2.0], "when": {"readout.loss": "huber"}},
    "readout.loss": {"choice": ["l1", "huber"]},
    "readout.width": {"log_int": [32, 512]},
    "training.learning_rate": {"log_uniform": [1e-5, 1e-3]},
}
SEARCH = {"space": SPACE, "budget": {"proposals": 4}, "confirm": {"best": 2, "seeds": [7, 8]}}


def text(**changes) -> str:
    """Return a search section as YAML in one line; a key with None is left out."""
    section = {key: value for key, value in {**SEARCH, **changes}.items() if value is not None}
    return yaml.safe_dump(section, default_flow_style=True, width=10**6).strip()


def problems(write_sweep: WriteSweep, overrides=(), **changes) -> list:
    with pytest.raises(InputError) as caught:
        load_sweep(write_sweep(**changes), overrides)
    return list(caught.value.problems)


def of_space(write_sweep: WriteSweep, **space) -> list:
    return problems(write_sweep, axes=None, search=text(space=space))

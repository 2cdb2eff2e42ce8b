"""The golden tiny trials: what they give is recorded, so that no change of any number goes unnoticed.

`python tests/training/test_golden.py` records it anew once `identity.PROTOCOL_VERSION` has risen; else
it only adds readouts.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import pytest

from helpers import tiny_trials
from helpers.paths import FIXTURES
from omni_msa.config import plugins
from omni_msa.config.identity import PROTOCOL_VERSION
from omni_msa.model.forward import Forward

FILE = FIXTURES / "golden_trial.json"
TOLERANCE = 1e-4
MESSAGE = (
    "the golden trials give other numbers than recorded. If a change of results was meant, raise "
    "identity.PROTOCOL_VERSION, so that no older trial is reused, and run `python tests/training/test_golden.py`; "
    "if it was not, this is a bug"
)


def golden_trial(name: str, ledger: Path) -> dict[str, list[float]]:
    """Run the golden trial of one readout, text only, so that no decoder's version matters, and return its numbers."""
    folder = tiny_trials.run(ledger, tiny_trials.config(readout={"name": name}, seed=1111))
    losses = [row["train_loss"] for row in folder.metrics()]
    return {"train_loss": losses, "test_score": tiny_trials.scores(folder)["test"]}


def golden_states() -> dict[str, list[list[float]]]:
    """Return the first numbers of the last states of prompts with made-up sound and picture."""
    backbone = tiny_trials.tiny_backbone()
    prompts = tiny_trials.make_prompts(backbone)
    return {"first_numbers": Forward(backbone, seconds_per_grid=0.5).states(prompts)[:, 0, :4].tolist()}


def recorded() -> dict:
    """Return what is recorded, or nothing."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


def test_the_record_belongs_to_this_protocol():
    assert recorded().get("protocol_version") == PROTOCOL_VERSION, (
        "record it anew: `python tests/training/test_golden.py`"
    )


@pytest.mark.parametrize("name", sorted(set(recorded()) - {"protocol_version", "states"}))
def test_a_trials_numbers_are_those_recorded(name, text_clips, tmp_path):
    for kind, values in golden_trial(name, tmp_path).items():
        assert values == pytest.approx(recorded()[name][kind], abs=TOLERANCE), MESSAGE


def test_states_with_sound_and_picture_are_those_recorded():
    for row, expected in zip(golden_states()["first_numbers"], recorded()["states"]["first_numbers"], strict=True):
        assert row == pytest.approx(expected, abs=TOLERANCE), MESSAGE


def test_every_trained_readout_is_recorded():
    trained = {name for name in plugins.names("readouts") if plugins.load("readouts", name).trained}
    assert trained <= set(recorded()), "`python tests/training/test_golden.py` adds what is missing"


def record() -> None:
    """Record the numbers of this version."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["OMNI_MSA_CACHE"] = folder
        tiny_trials.make_clips(Path(folder), with_media=False)
        found = {name: golden_trial(name, Path(folder) / "mlruns") for name in plugins.names("readouts")}
    values = {"protocol_version": PROTOCOL_VERSION, "states": golden_states(), **found}
    if recorded().get("protocol_version") == PROTOCOL_VERSION:
        values |= recorded()
    FILE.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(record())

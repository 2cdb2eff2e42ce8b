"""Finished trials with made-up scores of 120 test clips: for tests of what is said over seeds and clips."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from omni_msa.evidence.cell_trials import CellTrials, cell_trials
from omni_msa.evidence.records import read_records
from omni_msa.ledger.ledger import Ledger
from omni_msa.planning.plan import Plan, make_plan
from omni_msa.stats.metrics import compute
from omni_msa.sweep.sweep import load_sweep

NUM_CLIPS = 120
LABELS = np.round(np.random.default_rng(7).uniform(-3, 3, NUM_CLIPS), 1)
CLIPS = [f"clip_{number:03d}" for number in range(NUM_CLIPS)]
Said = Mapping[str, Mapping[int | None, Any]]


def noisy(noise: float, seed: int = 0) -> np.ndarray:
    """Return scores that miss the labels by some noise, within the label range."""
    return np.clip(LABELS + noise * np.random.default_rng(seed).standard_normal(NUM_CLIPS), -3, 3)


def shifted(by: float) -> np.ndarray:
    """Return scores that all miss their label by the same amount, towards zero: the MAE is that amount."""
    return LABELS - np.where(LABELS > 0, by, -by)


def finish(
    plan: Plan,
    label: str,
    seed: int | None,
    scores: Sequence[float] | None = None,
    *,
    clips: Sequence[str] = CLIPS,
    metrics: Mapping[str, float | None] | None = None,
    hashes: Mapping[str, str] | None = None,
    provenance: Mapping[str, Any] | None = None,
    history: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Complete a trial.

    Args:
        plan: that has it.
        label: of its cell.
        seed: of it.
        scores: of the clips, in their order; None leaves no predictions.
        clips: ids of the test clips.
        metrics: on test; by default those of the scores.
        hashes: that it recorded.
        provenance: of it.
        history: failed attempts before.
    """
    (trial,) = [each for each in plan.trials if label in each.cells and each.config.seed == seed]
    folder = plan.ledger.trial(trial.trial_id)
    folder.begin(trial.config, dict(provenance or {}))
    if scores is not None:
        frame = {"clip_id": list(clips), "label": LABELS, "score": scores, "text": "", "parsed": True, "in_range": True}
        folder.write_predictions("test", pd.DataFrame(frame))
    folder.write_test_metrics(dict(metrics or compute(LABELS, scores)))
    folder.complete({"valid": {"mae": 1.0}, "cost": {"train_s": 6.0}, "hashes": dict(hashes or {})})
    if history:
        path = folder.path / "result.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "history": list(history)}))


def made_plan(root: Any, write_sweep: Callable, said: Said | None = None, **keys: str) -> Plan:
    """Return the plan of a small sweep whose trials scored the clips so, or have just these metrics.

    Args:
        root: of the ledger.
        write_sweep: the fixture.
        said: cell to seed to scores, or to metrics; trials not named are left as they are.
        keys: of the sweep file.
    """
    plan = make_plan(load_sweep(write_sweep(**keys)), Ledger(root))
    for label, trials in (said or {}).items():
        for seed, value in trials.items():
            if isinstance(value, Mapping):
                finish(plan, label, seed, metrics=value)
            else:
                finish(plan, label, seed, value)
    return make_plan(load_sweep(write_sweep(**keys)), Ledger(root))


def cells_of(plan: Plan) -> dict[str, CellTrials]:
    """Return the cells of a plan with their trials, by label."""
    return {trials.name: trials for trials in cell_trials(plan, read_records(plan))}

"""Finished trials with given answers, for tests of report.html."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from omni_msa.config.trial import conventions_of
from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.trials import PlannedTrial
from omni_msa.planning.plan import Plan, make_plan
from omni_msa.stats.metrics import compute
from omni_msa.sweep.sweep import load_sweep

DATASET = "{name: vader_av, num_train: 8, num_valid: 4, num_test: 4}"
"""The one that `tiny_trials.make_clips` makes."""
CLIPS = {"clip_12": -2.5, "clip_13": 0.8, "clip_14": 1.9, "clip_15": -1.2}
"""Its test clips, and their labels."""
PROVENANCE = {
    "commit": "c0ffee",
    "dirty": False,
    "packages": {"torch": "2.13.0"},
    "cpu": "a processor",
    "gpu": "",
    "host": "somewhere",
    "pid": 7,
    "ended": "2026-01-02T03:04:05+00:00",
    "attempt_s": 1800.0,
}
Said = Mapping[str, Mapping[int | None, Sequence[float | tuple[float, str]]]]


def finish(
    plan: Plan,
    trial: PlannedTrial,
    answers: Sequence[float | tuple[float, str]],
    clips: Mapping[str, float] = CLIPS,
    **provenance: object,
) -> None:
    """Complete a trial that gave these scores, or scores and texts, to the test clips in their order."""
    pairs = [answer if isinstance(answer, tuple) else (answer, "") for answer in answers]
    rows = [
        {"clip_id": clip, "label": label, "score": score, "text": text, "parsed": True, "in_range": True}
        for (clip, label), (score, text) in zip(clips.items(), pairs, strict=True)
    ]
    folder = plan.ledger.trial(trial.trial_id)
    folder.begin(trial.config, {**PROVENANCE, **provenance})
    folder.write_predictions("test", pd.DataFrame(rows))
    scores = [score for score, _ in pairs]
    folder.write_test_metrics(compute(list(clips.values()), scores, conventions=conventions_of(trial.config.dataset)))
    folder.complete({"valid": {"mae": 1.0}, "cost": {"train_s": 6.0}, "fit_id": trial.fit_id})


def finished_plan(root, write_sweep: Callable, said: Said, **keys: str) -> Plan:
    """Return the plan of a small sweep whose trials gave these answers; trials not named are left as they are.

    Args:
        root: of the ledger.
        write_sweep: the fixture.
        said: cell to seed to answers.
        keys: of the sweep file.
    """

    def plan() -> Plan:
        return make_plan(load_sweep(write_sweep(dataset=DATASET, **keys)), Ledger(root))

    first = plan()
    for trial in first.trials:
        if answers := said.get(trial.cells[0], {}).get(trial.config.seed):
            finish(first, trial, answers)
    return plan()

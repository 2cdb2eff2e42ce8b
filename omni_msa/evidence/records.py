"""Records of a sweep's trials in the ledger, read once for tables, figures and the report."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omni_msa.ledger.trial_folder import TrialFolder
from omni_msa.ledger.trials import PlannedTrial
from omni_msa.planning.plan import Plan

_NUMBERS, _FLAGS = ("label", "score"), ("parsed", "in_range")


@dataclass(frozen=True)
class Predictions:
    """Predictions of one split, in the order of the file.

    Args:
        clip_ids: str (N,), unique, N at least 1.
        labels, scores: float64 (N,), finite; for classification the class numbers.
        parsed, in_range: bool (N,).
    """

    clip_ids: NDArray[np.str_]
    labels: NDArray[np.float64]
    scores: NDArray[np.float64]
    parsed: NDArray[np.bool_]
    in_range: NDArray[np.bool_]


@dataclass(frozen=True)
class TrialRecord:
    """One trial of the plan, with the contents of its folder in the ledger.

    Args:
        trial: of the plan: ids, cells, configuration, status.
        folder: its folder.
        result: `result.json`, empty unless the trial is complete.
        test: metrics on test, empty unless the trial is complete and its test split is open.
        provenance: `provenance.json`, empty if there is none.
    """

    trial: PlannedTrial
    folder: TrialFolder
    result: Mapping[str, Any]
    test: Mapping[str, float | None]
    provenance: Mapping[str, Any]

    @property
    def trial_id(self) -> str:
        """The trial's identity."""
        return self.trial.trial_id

    @property
    def seed(self) -> int | None:
        """The trial's seed, None where its cell has no randomness."""
        return self.trial.config.seed

    @property
    def is_complete(self) -> bool:
        """Whether the trial is complete."""
        return bool(self.result)

    @property
    def cost(self) -> Mapping[str, float | None]:
        """Costs of the trial by metric name, empty unless it is complete."""
        return self.result.get("cost", {})

    @property
    def metrics(self) -> dict[str, float | None]:
        """Metrics on test and costs, by name."""
        return {**self.test, **self.cost}

    @property
    def hashes(self) -> Mapping[str, str]:
        """The digests of initial weights, data order and inputs that the trial recorded, by name."""
        digests = self.result.get("hashes")
        return {name: str(value) for name, value in digests.items()} if isinstance(digests, dict) else {}

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """`config.json`: the configuration of the last attempt, empty if there is none."""
        return self.folder.config() or {}

    @cached_property
    def curve(self) -> list[dict[str, Any]]:
        """The rows of `metrics.jsonl`."""
        return self.folder.metrics()

    @cached_property
    def test_predictions(self) -> Predictions | None:
        """Predictions on test, None unless the trial is complete, test is open, and its file can be read."""
        is_open = self.is_complete and self.folder.opens_test
        return read_predictions(self.folder, "test") if is_open else None


def read_records(plan: Plan) -> list[TrialRecord]:
    """Return a record of every trial of a plan, in the order of the plan."""
    return [_read(plan.ledger.trial(trial.trial_id, trial.config.opens_test), trial) for trial in plan.trials]


def _read(folder: TrialFolder, trial: PlannedTrial) -> TrialRecord:
    result = folder.result() or {}
    test = (folder.test_metrics() or {}) if result and folder.opens_test else {}
    return TrialRecord(trial, folder, result, test, folder.provenance())


def read_predictions(folder: TrialFolder, split: str) -> Predictions | None:
    """Return the predictions of a split without their texts, or None if the file is missing, damaged or not ours."""
    frame = _columns(folder, split, ["clip_id", *_NUMBERS, *_FLAGS])
    if frame is None:
        return None
    try:
        ids, labels, scores = np.asarray(frame["clip_id"], str), *(np.asarray(frame[name], float) for name in _NUMBERS)
        parsed, in_range = (np.asarray(frame[name], bool) for name in _FLAGS)
    except (TypeError, ValueError):
        return None
    if not (len(ids) == len(set(ids.tolist())) > 0 and np.isfinite(labels).all() and np.isfinite(scores).all()):
        return None
    return Predictions(ids, labels, scores, parsed, in_range)


def read_texts(folder: TrialFolder, split: str) -> dict[str, str]:
    """Return the decoded text of each clip of a split, by clip id; empty if the file cannot be read."""
    frame = _columns(folder, split, ["clip_id", "text"])
    return {} if frame is None else {str(key): str(text) for key, text in zip(*frame.values(), strict=True)}


def _columns(folder: TrialFolder, split: str, columns: list[str]) -> dict[str, list[Any]] | None:
    from pyarrow import ArrowException, parquet

    file = folder.predictions_file(split)
    try:
        table = parquet.read_table(file, columns=columns)
    except (OSError, ArrowException):
        return None
    return {name: table[name].to_pylist() for name in columns} if table.column_names == columns else None

"""How long trials will take: from trials like them that are done, else from the guess in the settings."""

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from omni_msa import plugins
from omni_msa.config import TrialConfig
from omni_msa.files import read_json
from omni_msa.ledger import Ledger
from omni_msa.preflight import num_clips, uses

_WHAT_COUNTS = ("dataset", "modalities", "media", "backbone", "adapter", "training")
_FORWARD_SHARE = 1 / 3  # of a training step's time; the backward pass takes the rest


class Timed(Protocol):
    """What is known of a trial that is to run."""

    @property
    def fit_id(self) -> str:
        """Identity of its training."""

    @property
    def config(self) -> TrialConfig:
        """Its configuration."""


@dataclass(frozen=True)
class Expected:
    """An expectation of time.

    Args:
        seconds: until all is done, None if something is not known.
        num_measured: trials whose time comes from trials done before; `num_guessed`: from the settings' guess.
        num_unknown: trials of which nothing is known.
    """

    seconds: float | None
    num_measured: int = 0
    num_guessed: int = 0
    num_unknown: int = 0

    @property
    def basis(self) -> str:
        """Say what the expectation rests on."""
        parts = {
            "measured on trials done before": self.num_measured,
            "guessed from runtime.seconds_per_clip": self.num_guessed,
            "unknown": self.num_unknown,
        }
        return ", ".join(f"{number} {what}" for what, number in parts.items() if number)


def expect(missing: Iterable[Timed], ledger: Ledger, num_slots: int) -> Expected:
    """Expect the time of the trials that are missing; a fit that several share counts once.

    Args:
        missing: the trials that are to run.
        ledger: holds the trials done before.
        num_slots: trials at once.
    """
    trials = list(missing)
    if not trials:
        return Expected(0.0)
    known = _measured(ledger)
    counts = {"measured": 0, "guessed": 0, "unknown": 0}
    times, fits = [], set()
    for trial in trials:
        measured = known.get(_key(trial.config))
        fit_s, read_s = measured or _guess(trial.config)
        counts["measured" if measured else "guessed" if fit_s + read_s >= 0 else "unknown"] += 1
        is_trained = trial.fit_id in fits or (ledger.fit(trial.fit_id) / "fit.json").exists()
        fits.add(trial.fit_id)
        times.append(max(0.0, read_s + (0.0 if is_trained else fit_s)))
    seconds = None if counts["unknown"] else max(sum(times) / num_slots, max(times))
    return Expected(seconds, counts["measured"], counts["guessed"], counts["unknown"])


def _guess(config: TrialConfig) -> tuple[float, float]:
    """Return seconds of training and of testing; (-1, -1) where the dataset does not say how many clips it has."""
    if not uses(config, "backbone"):
        return 0.0, 0.0
    clip_s, num_epochs = config.runtime.seconds_per_clip, config.training.epochs
    num_train, num_tested = num_clips(config.dataset, "train"), num_clips(config.dataset, "valid", "test")
    if not num_train + num_tested:
        return -1.0, -1.0
    if not plugins.load("readouts", config.readout.name).trained:
        return 0.0, num_tested * clip_s * _FORWARD_SHARE
    return num_train * num_epochs * clip_s, 0.0


def _measured(ledger: Ledger) -> dict[str, tuple[float, float]]:
    """Return for each kind of trial done the median seconds of its training and of the rest."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for path in (ledger.root / "trials").glob("*/result.json"):
        result, config = read_json(path), read_json(path.with_name("config.json"))
        attempt = read_json(path.with_name("provenance.json")) or {}
        cost = (result or {}).get("cost")
        if config is None or not isinstance(cost, dict) or not isinstance(cost.get("train_s"), int | float):
            continue
        found[_key_of_values(config)].append(_split(cost["train_s"], attempt))
    return {
        key: (statistics.median(train_s for train_s, _ in pairs), statistics.median(read_s for _, read_s in pairs))
        for key, pairs in found.items()
    }


def _split(train_s: float, attempt: dict[str, Any]) -> tuple[float, float]:
    """Split an attempt's time; one shorter than its fit's training found the fit trained, or went on with it."""
    attempt_s = attempt.get("attempt_s")
    if not isinstance(attempt_s, int | float):
        return train_s, 0.0
    return train_s, attempt_s - train_s if attempt_s >= train_s else attempt_s


def _key(config: TrialConfig) -> str:
    return _key_of_values(config.model_dump(mode="json"))


def _key_of_values(values: dict[str, Any]) -> str:
    shape = {name: values.get(name) for name in _WHAT_COUNTS}
    return json.dumps({**shape, "readout": (values.get("readout") or {}).get("name")}, sort_keys=True)

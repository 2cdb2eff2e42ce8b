"""Small sweeps and a training function that only says it has trained: for tests of what happens around the training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from omni_msa.config.trial import TrialConfig, parse_trial
from omni_msa.execution.attempt import Job, Train
from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.trial_folder import TrialFolder
from omni_msa.planning.plan import Plan

CONFIG = {
    "dataset": {"name": "vader_av", "num_train": 10, "num_valid": 4, "num_test": 4},
    "backbone": {"name": "tiny"},
    "adapter": {"rank": 4, "text_layers": "last_2"},
    "readout": {"name": "discriminative"},
    "training": {"epochs": 3, "batch_size": 4},
    "seed": 1,
}


def config(**sections: Any) -> TrialConfig:
    """Return `CONFIG` with some sections replaced."""
    return parse_trial({**CONFIG, **sections})


def complete(folder: TrialFolder, mae: float = 1.0, train_s: float = 6.0) -> None:
    """Write what the end of a trial leaves in its folder."""
    folder.write_test_metrics({"mae": mae, "corr": 0.5})
    folder.complete({"valid": {"mae": mae}, "cost": {"train_s": train_s}})


def make_job(root: Path, trial_id: str = "t1", fit_id: str = "f1", **sections: Any) -> Job:
    """Return a job in a ledger below `root`; nothing is written yet."""
    return Job(str(root), trial_id, fit_id, config(**sections).model_dump(mode="json"), f"trial {trial_id}")


def jobs_of(plan: Plan) -> list[Job]:
    """Return the jobs of the trials that a plan misses."""
    root = str(plan.ledger.root)
    return [Job(root, t.trial_id, t.fit_id, t.config.model_dump(mode="json"), t.name) for t in plan.missing()]


def train_that(action: Callable[[TrialFolder], None] = lambda folder: None) -> Train:
    """Return a training function that does `action` and then completes the trial."""

    def train(config: TrialConfig, folder: TrialFolder, fit: Path, resident: Any, should_stop: Any) -> None:
        action(folder)
        complete(folder)

    return train


def finished(root: Path, trial_id: str, config: TrialConfig, train_s: float = 6.0) -> TrialFolder:
    """Put a complete trial into the ledger below `root`."""
    folder = Ledger(root).trial(trial_id)
    folder.begin(config, {})
    complete(folder, train_s=train_s)
    return folder

"""Searches through plan, queue and ledger, with a known surface in place of training: hundreds of trials in seconds."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from helpers.surface import SPACE, curve, shown
from omni_msa.config.trial import TrialConfig
from omni_msa.errors import Pruned
from omni_msa.execution.attempt import Job, run_attempt
from omni_msa.execution.job_queue import JobQueue
from omni_msa.execution.search_source import SearchSource
from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.trial_folder import TrialFolder
from omni_msa.planning.plan import Plan, make_plan
from omni_msa.search import optuna_sampler
from omni_msa.search.study import Study
from omni_msa.sweep.sweep import load_sweep
from omni_msa.system.files import read_json, write_json

NUM_EPOCHS = 8
PROFILE = f"""
dataset: {{name: vader_av, num_train: 8, num_valid: 4, num_test: 4}}
modalities: [text]
backbone: {{name: tiny}}
adapter: {{rank: 2, dropout: 0.4, text_layers: last_2}}
readout: {{name: discriminative}}
training: {{epochs: {NUM_EPOCHS}, learning_rate: 5.0e-2}}
runtime: {{device: cpu}}
"""


def parameters_of(config: TrialConfig) -> dict[str, Any]:
    """Return the point of the surface that a trial lies at."""
    values = config.model_dump()
    found = {path: values[path.partition(".")[0]][path.partition(".")[2]] for path in SPACE}
    if found["readout.loss"] != "huber":
        del found["readout.huber_delta"]
    return found


def train(config: TrialConfig, folder: TrialFolder, fit: Path, resident: Any, should_stop: Callable[[], bool]) -> None:
    """Stand in for training: each epoch comes nearer to the height of the surface; a checkpoint is a number."""
    seed, num = config.seed or 0, config.training.epochs
    values, done = curve(parameters_of(config), seed, num), (read_json(fit / "done.json") or {"epochs": 0})["epochs"]
    for epoch in range(done + 1, (config.stops_after_epoch or num) + 1):
        write_json(fit / "done.json", {"epochs": epoch})
        with (fit.parents[1] / "epochs.txt").open("a") as file:
            file.write(f"{folder.trial_id} {epoch}\n")
        done = epoch
    metric = config.training.select_metric

    def found(epoch: int, prefix: str = "") -> dict[str, float]:
        return {f"{prefix}mae": values[epoch], f"{prefix}{metric}": shown(values[epoch], metric)}

    folder.write_metrics([{"step": each, "epoch": each, **found(each, "valid_")} for each in range(1, done + 1)])
    if done < num:
        raise Pruned
    if config.opens_test:
        folder.write_test_metrics({name: value + 0.1 for name, value in found(num).items()})
    cost = {"train_s": float(num), "peak_memory_gb": 1.0 + config.adapter.rank / 10}
    folder.complete({"valid": found(num), "cost": cost})


class Searched:
    """A ledger and a sweep file with a search of the surface.

    Args:
        folder: exists and is empty.
        changes: of the search section; None leaves a key out. `seeds`, `axes`, and the `metric` that is searched by, go
            into the sweep file.
    """

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.folder, self.ledger = folder, Ledger(folder / "mlruns")
        (folder / "profiles").mkdir(exist_ok=True)
        (folder / "profiles" / "small.yaml").write_text(PROFILE)
        self.train = train
        self.set(**changes)

    def set(
        self, seeds: tuple[int, ...] = (1, 2), axes: dict | None = None, metric: str = "mae", **changes: Any
    ) -> None:
        """Write the sweep file."""
        section = {"space": SPACE, "budget": {"proposals": 6}, "confirm": {"best": 2, "seeds": [11, 12]}, **changes}
        keys = {"question": "Is it low?", "profile": "small", "seeds": list(seeds), "axes": axes, "search": section}
        keys["select"] = {"metric": metric}
        text = yaml.safe_dump({key: value for key, value in keys.items() if value is not None})
        (self.folder / "surface.yaml").write_text(text)

    def plan(self, retry: bool = False) -> Plan:
        """Return the plan as things are now."""
        return make_plan(load_sweep(self.folder / "surface.yaml"), self.ledger, retry)

    def queue(self, retry: bool = False) -> JobQueue:
        """Return a queue of the search's jobs, made as a new driver makes it."""
        plan = self.plan(retry)
        return JobQueue([], lambda: False, source=SearchSource(plan, optuna_sampler.suggest, []))

    def run(self, num_at_once: int = 1, num_jobs: int = 10**6, retry: bool = False) -> int:
        """Run jobs until there are none, as many in flight as `num_at_once`, the latest ending first.

        Args:
            num_at_once: trials that run together.
            num_jobs: when so many were begun, the driver is gone: nothing that runs is told.

        Returns:
            how many jobs were begun.
        """
        queue, out, begun = self.queue(retry), [], 0
        while begun < num_jobs:
            job = queue.take()
            if isinstance(job, Job):
                out.append(job)
                begun += 1
                if len(out) < num_at_once:
                    continue
            elif not out:
                break
            last = out.pop()
            run_attempt(last, None, self.train)
            queue.done(last.trial_id)
        return begun

    def study(self) -> Study:
        """Return the first study as a reader would find it."""
        return self.plan().studies[0]

    def parameters(self) -> list[dict[str, Any]]:
        """Return what was proposed."""
        return [each.parameters for each in self.study().proposals]

    def num_epochs(self) -> int:
        """Return how many epochs were trained."""
        file = self.ledger.root / "epochs.txt"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def repeated(self) -> list[str]:
        """Return the epochs that were trained more than once."""
        lines = (self.ledger.root / "epochs.txt").read_text().splitlines()
        return [line for line, number in Counter(lines).items() if number > 1]

    def ended(self) -> dict[str, str]:
        """Return all trials' states, as the plan says."""
        return {trial.trial_id: trial.status.state for trial in self.plan().trials}

    def winner(self) -> dict[str, Any]:
        """Return `winner.json`."""
        (file,) = self.ledger.root.glob("searches/*/winner.json")
        return json.loads(file.read_text())

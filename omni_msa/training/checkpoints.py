"""A fit on disk: the training state to resume from, the weights of the best epoch, and the record of the training."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from omni_msa.ledger.fits import FitFiles
from omni_msa.system.files import finite, is_number, read_json, write_atomic, write_json

Tensors = dict[str, torch.Tensor]


@dataclass
class FitRecord:
    """The progress of a training: all that resuming needs besides tensors, as random draws depend on the step alone.

    Args:
        step: optimiser steps done.
        best_epoch: epoch (from 1) of the saved weights, 0 before the first.
        best_metric: valid metric of that epoch.
        train_s: seconds spent in the steps done.
        peak_memory_gb: the highest of all attempts so far.
        loss_sum: sum of the losses of the steps since the last row.
        num_losses: number of these steps.
        rows: lines of `metrics.jsonl`.
        hashes: digests that show which conditions trials share.
    """

    step: int = 0
    best_epoch: int = 0
    best_metric: float | None = None
    train_s: float = 0.0
    peak_memory_gb: float = 0.0
    loss_sum: float = 0.0
    num_losses: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)


class FitFolder:
    """The files of one fit. Each is written atomically; no pickle is written or read.

    Args:
        path: `mlruns/fits/<fit_id>`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = FitFiles(path)

    def finished(self) -> FitRecord | None:
        """Return the record of a finished training, or None."""
        record = _record(read_json(self._files.record))
        return record if record is not None and self.best(record.best_epoch) is not None else None

    def finish(self, record: FitRecord) -> None:
        """Write the record of a finished training, and remove the training state."""
        write_json(self._files.record, finite(asdict(record)))
        self._files.state.unlink(missing_ok=True)
        self._remove_other_weights(record.best_epoch)

    def save_state(self, record: FitRecord, tensors: Tensors) -> None:
        """Write the training state."""
        _save(self._files.state, tensors, {"record": json.dumps(finite(asdict(record)))})
        self._remove_other_weights(record.best_epoch)

    def state(self) -> tuple[FitRecord, Tensors] | None:
        """Return the training state, or None if it is missing or damaged; training then starts from the beginning."""
        loaded = _load(self._files.state)
        if loaded is None:
            return None
        try:
            record = _record(json.loads(loaded[0].get("record", "{}")))
        except (ValueError, RecursionError):
            return None
        if record is None:
            return None
        is_whole = record.best_epoch == 0 or self.best(record.best_epoch) is not None
        return (record, loaded[1]) if is_whole else None

    def save_best(self, tensors: Tensors, epoch: int) -> None:
        """Write the weights of the best epoch so far; earlier weights stay until the next training state is saved."""
        _save(self._files.weights(epoch), tensors, {})

    def best(self, epoch: int) -> Tensors | None:
        """Return the saved weights of an epoch, or None."""
        loaded = _load(self._files.weights(epoch))
        return None if loaded is None else loaded[1]

    def _remove_other_weights(self, epoch: int) -> None:
        for file in self._files.all_weights():
            if file != self._files.weights(epoch):
                file.unlink(missing_ok=True)


def _record(values: Any) -> FitRecord | None:
    """Return the record with these plain values, or None if names or types do not match."""
    defaults = asdict(FitRecord())
    if not isinstance(values, dict) or set(values) != set(defaults):
        return None
    return FitRecord(**values) if all(_is_like(values[name], defaults[name]) for name in defaults) else None


def _is_like(value: Any, example: Any) -> bool:
    if example is None:
        return value is None or is_number(value)
    if isinstance(example, float):
        return is_number(value)
    return type(value) is type(example) and (not isinstance(value, int) or value >= 0)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    """Return the moments of the optimiser as named tensors."""
    state = optimizer.state_dict()["state"]
    return {f"optimizer/{index}/{name}": value for index, values in state.items() for name, value in values.items()}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Restore the tensors of `optimizer_tensors`."""
    state: dict[int, Tensors] = {}
    for key, value in tensors.items():
        kind, _, rest = key.partition("/")
        if kind == "optimizer":
            index, _, name = rest.partition("/")
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def digest(tensors: Tensors) -> str:
    """Return 16 hex digits that change with any bit of any tensor."""
    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tuple(tensor.shape)} ".encode())
        total.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return total.hexdigest()[:16]


def _save(path: Path, tensors: Tensors, metadata: dict[str, str]) -> None:
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_atomic(path, lambda temporary: save_file(plain, temporary, metadata))


def _load(path: Path) -> tuple[dict[str, str], Tensors] | None:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        return metadata, load_file(path)
    except (OSError, SafetensorError):
        return None

"""The training function: one trial from its configuration to test metrics; all randomness follows from its seed."""

import hashlib
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from omni_msa.config import plugins
from omni_msa.config.trial import TrainingConfig, TrialConfig
from omni_msa.errors import Interrupted, NotFinite, Pruned
from omni_msa.ledger.trial_folder import TrialFolder
from omni_msa.model.backbone_cache import Resident
from omni_msa.model.padding import in_batches
from omni_msa.readouts._base import READOUTS
from omni_msa.seeding import derive
from omni_msa.stats.metrics import METRICS
from omni_msa.system.lease import Lease
from omni_msa.system.process import now
from omni_msa.system.watchdog import alive
from omni_msa.training import evaluate, system_metrics
from omni_msa.training.batches import epoch_batches, epoch_order
from omni_msa.training.build import TrialParts, assemble, choose_device
from omni_msa.training.checkpoints import FitFolder, FitRecord, digest, load_optimizer, optimizer_tensors

CHECKPOINT_S = 600.0
HEARTBEAT_S = 1.0
ROWS_PER_EPOCH = 5


def train(
    config: TrialConfig, trial: TrialFolder, fit_path: Path, resident: Resident, should_stop: Callable[[], bool]
) -> None:
    """Run one trial: train its fit unless that is done, choose the epoch on valid, then evaluate on test once.

    Args:
        config: of the trial.
        trial: its folder in the ledger, in which an attempt has been opened.
        fit_path: folder of the fit; trials that share it train it once.
        resident: the backbone of this process.
        should_stop: called after each optimiser step.

    Raises:
        Interrupted: `should_stop` asked for it; a checkpoint is written.
        Pruned: trained up to `stops_after_epoch`, before the last epoch; a checkpoint is written.
        NotFinite: the loss or its gradient is not finite.
        LeaseLost: another process took over the fit because this one seemed dead.
        InputError: the data or weights cannot be used.
    """
    # 1. Seed. Every random draw depends on (seed, purpose, step) alone, not on what ran before.
    device, seed, training = choose_device(config), config.seed or 0, config.training
    if device == "cpu":
        torch.set_num_threads(1)
    is_trained = plugins.load(READOUTS, config.readout.name).trained
    fit, record = FitFolder(fit_path), FitRecord()

    with ExitStack() as stack:
        # 2. Build: data with the test split locked, frozen backbone, adapter, readout.
        peak_memory_gb = stack.enter_context(evaluate.peak_memory(device))
        stack.callback(resident.check_unchanged)  # runs after the adapter has been removed
        built = assemble(config, resident, stack)
        splits, readout, fitted, forward = built.splits, built.readout, built.fitted, built.forward
        trainable = built.trainable()

        if is_trained:
            assert forward is not None and built.adapter is not None
            usage = stack.enter_context(system_metrics.watched(device))
            lease = stack.enter_context(Lease(fit_path / "lease", lambda: _wait(should_stop)))

            # 3. Resume: read a finished fit, or continue an unfinished one from its checkpoint.
            finished = fit.finished()
            record = finished or FitRecord(hashes=_hashes(built, seed, training))
            groups = [
                {"params": built.adapter.parameters(), "peak": training.learning_rate},
                {"params": list(fitted.parameters()), "peak": training.learning_rate_readout},
            ]
            optimizer = torch.optim.AdamW(groups, weight_decay=training.weight_decay)
            if finished is None and (begun := fit.state()) is not None:
                record, tensors = begun
                built.load(tensors)
                load_optimizer(optimizer, tensors)
            trial.write_metrics(record.rows)

            # 4. Loop over optimiser steps; after each epoch the metric on valid decides whether its weights are saved.
            steps_per_epoch = math.ceil(len(splits.train) / training.batch_size)
            num_steps = steps_per_epoch * training.epochs
            last_step = min(num_steps, steps_per_epoch * (config.stops_after_epoch or training.epochs))
            saved_at = beat_at = time.monotonic()
            if finished is None:
                labels, prompts = built.labels(splits.train), built.prompts(splits.train)
                forward.fill_cache(prompts, [fitted.answer(label) for label in labels.tolist()], keys_values=False)
            batches, micro_batch = list[list[int]](), config.runtime.micro_batch
            while finished is None and record.step < last_step:
                started = time.perf_counter()
                epoch, step_of_epoch = divmod(record.step, steps_per_epoch)
                if step_of_epoch == 0 or not batches:
                    lengths = [len(prompt.token_ids) for prompt in prompts]
                    batches = epoch_batches(lengths, training, seed, epoch)
                    remaining = (part for batch in batches[step_of_epoch:] for part in in_batches(batch, micro_batch))
                    forward.prefetch([prompts[index] for index in part] for part in remaining)
                batch = batches[step_of_epoch]
                torch.manual_seed(derive(seed, "dropout", record.step))
                built.set_training(True)
                total = 0.0
                for part in in_batches(batch, micro_batch):
                    losses = fitted.losses(forward, [prompts[index] for index in part], labels[part])
                    loss = losses.sum() / len(batch)  # the mean over the effective batch, however it is split
                    loss.backward()  # type: ignore[no-untyped-call]
                    total += loss.item()
                    alive()
                norm = torch.nn.utils.clip_grad_norm_(list(trainable.values()), training.clip_norm).item()
                if not math.isfinite(total) or not math.isfinite(norm):
                    facts = {"step": str(record.step + 1), "loss": str(total), "gradient_norm": str(norm)}
                    raise NotFinite({**facts, "clips": ", ".join(splits.train[index].id for index in batch)})
                for group in optimizer.param_groups:
                    group["lr"] = group["peak"] * schedule(record.step, num_steps, training.warmup_fraction)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                record.step += 1
                record.train_s += time.perf_counter() - started
                record.loss_sum, record.num_losses = record.loss_sum + total, record.num_losses + 1

                epoch_ends = record.step % steps_per_epoch == 0
                if epoch_ends or record.num_losses * ROWS_PER_EPOCH >= steps_per_epoch:
                    row = _row(record, epoch + 1)
                    if epoch_ends:
                        valid = built.valid_metrics()
                        row |= {f"valid_{name}": value for name, value in valid.items()}
                        if _is_better(valid[training.select_metric], record, training.select_metric):
                            record.best_epoch, record.best_metric = epoch + 1, valid[training.select_metric]
                            fit.save_best(trainable, epoch + 1)
                    record.rows.append(row | usage())
                    trial.write_metrics(record.rows)
                if epoch_ends or time.monotonic() - beat_at > HEARTBEAT_S:
                    trial.heartbeat(epoch + 1, record.step)
                    beat_at = time.monotonic()
                stopping = should_stop()
                lease.check()
                if epoch_ends or stopping or time.monotonic() - saved_at > CHECKPOINT_S:
                    record.peak_memory_gb = max(record.peak_memory_gb, peak_memory_gb())
                    fit.save_state(record, {**trainable, **optimizer_tensors(optimizer)})
                    saved_at = time.monotonic()
                if stopping:
                    raise Interrupted(f"stopped after step {record.step} of {num_steps}")
            if finished is None and last_step < num_steps:
                raise Pruned(f"stopped after step {record.step} of {num_steps}")
            if finished is None:
                fit.finish(record)
            best = fit.best(record.best_epoch)
            assert best is not None
            built.load(best)
            del optimizer, groups, best  # frees memory, so that the memory of inference can be measured
        elif readout.closed_form and forward is not None:
            started = time.perf_counter()
            for clips in (splits.train, splits.valid) if readout.uses_kept else ():
                forward.fill_cache(built.prompts(clips), None, keys_values=readout.decodes)
            labelled = [(built.prompts(clips), built.labels(clips)) for clips in (splits.train, splits.valid)]
            readout.fit(forward, labelled[0], labelled[1], config.runtime.eval_batch)
            record.train_s = time.perf_counter() - started
            for name, rows in readout.tables().items():
                trial.write_table(name, rows)

        # 5. Valid: predictions of the chosen weights.
        valid_frame = built.predict(splits.valid)
        trial.write_predictions("valid", valid_frame)

        # 6. Test: unlocked only here, after everything has been chosen; a search keeps it locked until its end.
        if config.opens_test:
            splits.unlock_test()
            test_frame, states = built.predict_test()
            trial.write_predictions("test", test_frame)
            trial.write_states(states)
            trial.write_test_metrics(built.score(test_frame))

        # 7. Cost.
        cost = {
            "train_s": record.train_s,
            "peak_memory_gb": max(record.peak_memory_gb, peak_memory_gb()),
            "trainable_parameters": sum(tensor.numel() for tensor in trainable.values()),
            **built.inference_cost(splits.valid),
        }
    inputs = "" if built.inputs is None else built.inputs.digest
    hashes = {**record.hashes, "inputs": inputs, "weights": resident.weights if forward is not None else ""}
    chosen = {"fit_id": fit_path.name, "seed": config.seed, "best_epoch": record.best_epoch, "device": device}
    trial.complete({**chosen, "valid": built.score(valid_frame), "cost": cost, "hashes": hashes})


def _wait(should_stop: Callable[[], bool]) -> None:
    """Called while another process trains the fit, which may take long."""
    alive()
    if should_stop():
        raise Interrupted("stopped while another process trained the fit")


def _row(record: FitRecord, epoch: int) -> dict[str, Any]:
    """Start a line of `metrics.jsonl` with the mean loss since the last one, and reset the sum."""
    loss = record.loss_sum / record.num_losses
    record.loss_sum, record.num_losses = 0.0, 0
    return {"step": record.step, "epoch": epoch, "time": now(), "train_loss": loss}


def schedule(step: int, num_steps: int, warmup_fraction: float) -> float:
    """Return the factor of the learning rate at a step (from 0): linear warm-up, then cosine decay to zero."""
    warmup = round(num_steps * warmup_fraction)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, num_steps - warmup)))


def _is_better(value: float, record: FitRecord, metric: str) -> bool:
    """Return whether a value beats the best one; the first epoch always does, and NaN never beats a number."""
    best = math.nan if record.best_metric is None else record.best_metric
    if record.best_epoch == 0 or math.isnan(best):
        return record.best_epoch == 0 or not math.isnan(value)
    sign = 1 if METRICS[metric].better == "lower" else -1
    return sign * value < sign * best


def _hashes(built: TrialParts, seed: int, training: TrainingConfig) -> dict[str, str]:
    clips = built.splits.train
    order = [index for epoch in range(training.epochs) for index in epoch_order(len(clips), seed, epoch)]
    if training.length_buckets:
        lengths = [len(prompt.token_ids) for prompt in built.prompts(clips)]
        epochs = (epoch_batches(lengths, training, seed, epoch) for epoch in range(training.epochs))
        order = [index for batches in epochs for batch in batches for index in batch]
    assert built.adapter is not None
    return {
        "adapter_init": digest(built.adapter.state_dict()),
        "readout_init": digest(dict(built.fitted.named_parameters())),
        "data_order": hashlib.sha256("\n".join(clips[index].id for index in order).encode()).hexdigest()[:16],
    }

"""Which clips make up each batch of an epoch."""

from collections.abc import Sequence

import torch

from omni_msa.config.trial import TrainingConfig
from omni_msa.seeding import derive


def epoch_order(num_clips: int, seed: int, epoch: int) -> list[int]:
    """Return the order of the training clips in one epoch: a permutation that depends on seed and epoch alone."""
    generator = torch.Generator().manual_seed(derive(seed, "order", epoch))
    order: list[int] = torch.randperm(num_clips, generator=generator).tolist()
    return order


def epoch_batches(lengths: Sequence[int], plan: TrainingConfig, seed: int, epoch: int) -> list[list[int]]:
    """Return the batches of one epoch: every clip once, within a batch from the shortest prompt to the longest.

    Args:
        lengths: of the training clips' prompts, in tokens.
        plan: `batch_size`; with `length_buckets` a batch is of like lengths, so that less of it is padding.
        seed, epoch: of them and the above alone the batches depend.
    """
    order, size = epoch_order(len(lengths), seed, epoch), plan.batch_size
    if plan.length_buckets:
        runs = _parts(order, size * plan.length_buckets)
        order = [each for run in runs for each in sorted(run, key=lengths.__getitem__)]
    batches = _parts(order, size)
    if plan.length_buckets:  # or every run would go from short to long
        generator = torch.Generator().manual_seed(derive(seed, "batches", epoch))
        batches = [batches[place] for place in torch.randperm(len(batches), generator=generator).tolist()]
    return [sorted(batch, key=lengths.__getitem__) for batch in batches]


def _parts(places: list[int], size: int) -> list[list[int]]:
    return [places[start : start + size] for start in range(0, len(places), size)]

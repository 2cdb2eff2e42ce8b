"""The order of clips in an epoch, and its batches."""

from collections.abc import Sequence

import torch

from omni_msa.config.trial import TrainingConfig
from omni_msa.model.padding import in_batches
from omni_msa.seeding import derive


def epoch_order(num_clips: int, seed: int, epoch: int) -> list[int]:
    """Return the order of the training clips in one epoch: a permutation that depends on seed and epoch alone."""
    generator = torch.Generator().manual_seed(derive(seed, "order", epoch))
    order: list[int] = torch.randperm(num_clips, generator=generator).tolist()
    return order


def epoch_batches(lengths: Sequence[int], training: TrainingConfig, seed: int, epoch: int) -> list[list[int]]:
    """Return the batches of one epoch: every clip once, sorted within a batch from the shortest to the longest prompt.

    Args:
        lengths: tokens of the prompt of each training clip.
        training: `batch_size` and `length_buckets`, which puts clips of similar length together to reduce padding.
        seed, epoch: with the arguments above, they determine the batches.

    Returns:
        for each batch the indices of its clips.
    """
    order, size = epoch_order(len(lengths), seed, epoch), training.batch_size
    if training.length_buckets:
        groups = in_batches(order, size * training.length_buckets)
        order = [index for group in groups for index in sorted(group, key=lengths.__getitem__)]
    batches = in_batches(order, size)
    if training.length_buckets:  # shuffled, or every group would go from short to long
        generator = torch.Generator().manual_seed(derive(seed, "batches", epoch))
        batches = [batches[index] for index in torch.randperm(len(batches), generator=generator).tolist()]
    return [sorted(batch, key=lengths.__getitem__) for batch in batches]

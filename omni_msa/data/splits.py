"""The three splits of a dataset, with the test split locked until a checkpoint has been chosen."""

import hashlib
from collections import Counter
from statistics import fmean, median, pstdev

from omni_msa.config.sections import SPLITS
from omni_msa.data.clip import Clip
from omni_msa.errors import InputError, Problem


class Splits:
    """The clips of each split. `test` cannot be read before `unlock_test`: training and selection cannot use it.

    Args:
        clips: of all splits.
        num_train: number of training clips to use, None for all. They are chosen by their ids alone, so the subset is
            the same for all seeds, and a larger subset contains every smaller one.

    Raises:
        InputError: the training split has fewer clips, a split is empty, an id is used twice, or a source video has
            clips in several splits.
    """

    def __init__(self, clips: list[Clip], num_train: int | None = None) -> None:
        problems = [Problem("the split is empty", f"split {name}") for name in SPLITS if not _of(clips, name)]
        twice = [clip_id for clip_id, count in Counter(clip.id for clip in clips).items() if count > 1]
        problems += [Problem("a clip id is used twice", got=clip_id) for clip_id in twice]
        splits_of: dict[str, set[str]] = {}
        for clip in clips:
            splits_of.setdefault(clip.source, set()).add(clip.split)
        crossing = [source for source, splits in splits_of.items() if len(splits) > 1]
        problems += [Problem("a source video has clips in several splits", got=source) for source in crossing]
        self.train, self.valid, self._test = (_of(clips, name) for name in SPLITS)
        if num_train is not None and num_train > len(self.train):
            allowed = f"at most {len(self.train)}"
            problems.append(Problem("the training split has fewer clips", "num_train_clips", str(num_train), allowed))
        if problems:
            raise InputError(*problems)
        self.train = _part(self.train, num_train)
        self._locked = True

    def unlock_test(self) -> None:
        """Allow the test split to be read. Called in one place only, after the checkpoint has been chosen."""
        self._locked = False

    @property
    def test(self) -> list[Clip]:
        """The test split.

        Raises:
            PermissionError: no checkpoint has been chosen yet.
        """
        if self._locked:
            raise PermissionError("the test split is locked until the checkpoint has been chosen on valid")
        return self._test

    def sizes(self) -> dict[str, int]:
        """Return the number of clips of each split, also of the locked test split."""
        return {"train": len(self.train), "valid": len(self.valid), "test": len(self._test)}

    def label_statistics(self) -> tuple[float, float, float]:
        """Return mean, population standard deviation (1 if it is 0) and median of the training labels."""
        labels = [clip.label for clip in self.train]
        return fmean(labels), pstdev(labels) or 1.0, median(labels)

    def label_mode(self) -> float:
        """Return the most frequent training label; of several, the lowest."""
        counts = Counter(clip.label for clip in self.train)
        return min(counts, key=lambda label: (-counts[label], label))


def _part(clips: list[Clip], num: int | None) -> list[Clip]:
    """Return the `num` clips whose ids have the lowest digests, in their original order."""
    ranked = sorted(clips, key=lambda clip: hashlib.sha256(clip.id.encode()).digest())
    chosen = {clip.id for clip in ranked[:num]}
    return [clip for clip in clips if clip.id in chosen]


def _of(clips: list[Clip], split: str) -> list[Clip]:
    return [clip for clip in clips if clip.split == split]

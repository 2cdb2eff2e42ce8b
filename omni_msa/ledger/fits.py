"""The files of a fit: their paths and whether it is finished, without torch."""

from collections.abc import Iterator
from pathlib import Path

from omni_msa.ledger import names


class FitFiles:
    """Paths of the files of one fit.

    Args:
        path: `mlruns/fits/<fit_id>`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = path / names.FIT_RECORD
        """The record of a finished training; missing until the training has ended."""
        self.checkpoint = path / names.CHECKPOINT
        self.state = self.checkpoint / names.FIT_STATE
        """The training state to resume from."""

    @property
    def is_finished(self) -> bool:
        """Whether the training has ended."""
        return self.record.exists()

    def weights(self, epoch: int) -> Path:
        """Return the file of the weights of an epoch."""
        return self.checkpoint / names.WEIGHTS.format(epoch=epoch)

    def all_weights(self) -> Iterator[Path]:
        """Yield the existing files of weights, of any epoch."""
        yield from self.checkpoint.glob(names.WEIGHTS.format(epoch="*"))

"""The part of each plug-in contract that configuration, ids and plans need: plain facts, available without torch.

The whole contract of a kind is in `_base.py` of its folder.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from omni_msa.config.plugins import Kind, optional
from omni_msa.config.sections import BackboneOptions, DatasetOptions, ReadoutOptions
from omni_msa.errors import Problem


class DatasetFacts(Protocol):
    """Facts about a corpus; "Optional:" is followed by what counts if a plug-in leaves a function out.

    The argument `options` is always an instance of the plug-in's own `Options`.
    """

    name: str
    Options: type[DatasetOptions]
    """The options of the section `dataset`: a frozen pydantic model whose `name` is the plug-in's."""

    def label_range(self, options: DatasetOptions) -> tuple[float, float]:
        """Return the lowest and the highest label; for classes, the numbers of the first and of the last class."""
        ...

    @optional
    def conventions(self, options: DatasetOptions) -> str:
        """Return which metrics are computed: a key of `stats.metrics.HEADLINES`. Optional: those of MOSI."""
        return "mosi"

    @optional
    def classes(self, options: DatasetOptions) -> tuple[str, ...]:
        """Return the names of the classes; a label is an index into them. Optional: labels are scores."""
        return ()

    @optional
    def num_clips(self, options: DatasetOptions) -> Mapping[str, int]:
        """Return the clips per split, as far as known without reading the corpus. Optional: unknown."""
        return {}

    def fingerprint(self, root: Path | None, options: DatasetOptions) -> str:
        """Return text that changes whenever the data (annotations, file sizes) change, but not when the folder moves.

        Args:
            root: folder of the corpus; None if not configured.
            options: of this dataset.

        Raises:
            InputError: the corpus is not there or cannot be read.
        """
        ...

    def check(self, root: Path | None, options: DatasetOptions) -> list[Problem]:
        """Return every problem that would make `load` fail, without decoding a clip."""
        ...

    @optional
    def notes(self, root: Path | None, options: DatasetOptions) -> list[str]:
        """Return what a reader of results must know about this copy of the data. Optional: nothing.

        Raises:
            InputError: the corpus is not there or cannot be read.
        """
        return []

    @optional
    def human_row(self, root: Path | None, options: DatasetOptions) -> dict[str, float] | None:
        """Return the test metrics of a human rater by name; None if unknown. Optional: None."""
        return None

    @optional
    def is_here(self, root: Path | None, options: DatasetOptions) -> bool:
        """Return whether `load` needs to fetch or generate nothing more. Optional: True."""
        return True


class BackboneFacts(Protocol):
    """Facts about a frozen network."""

    name: str
    Options: type[BackboneOptions]
    """The options of the section `backbone`: a frozen pydantic model whose `name` is the plug-in's."""
    licence: str
    """Licence of the weights in a few words, for the model card."""


class ReadoutFacts(Protocol):
    """Facts about a readout."""

    name: str
    Options: type[ReadoutOptions]
    """The options of the section `readout`: a frozen pydantic model whose `name` is the plug-in's."""
    uses: tuple[str, ...]
    """Sections of the configuration that the results depend on, and that therefore enter the id: always `dataset` and
    `readout`; `training` and `adapter` if it is trained by gradient; `seed` if any part of it is random."""
    fit_as: str
    """Name of the readout whose trained model this one reads; its own name if it shares none."""
    fit_fields: tuple[str, ...]
    """Names of its own options that training depends on; they enter the id of the fit."""

    @property
    def deterministic(self) -> bool:
        """Whether no part of it is random, so that one run is enough."""
        return "seed" not in self.uses

    @property
    def trained(self) -> bool:
        """Whether it is trained by gradient."""
        return "training" in self.uses


AnyPlugin = DatasetFacts | BackboneFacts | ReadoutFacts
DATASETS = Kind[DatasetFacts]("datasets")
BACKBONES = Kind[BackboneFacts]("backbones")
READOUTS = Kind[ReadoutFacts]("readouts")
TRACKERS = Kind[object]("tracking")

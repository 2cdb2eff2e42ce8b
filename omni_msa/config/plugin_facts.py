"""What configuration, ids and plans ask of plug-ins: plain facts, known without torch.

The whole contract of a kind, with what is built from it, stands in `_base.py` of its folder.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from omni_msa.config.plugins import Kind, optional
from omni_msa.config.sections import BackboneOptions, DatasetOptions, ReadoutOptions
from omni_msa.errors import Problem


class DatasetFacts(Protocol):
    """Facts of a corpus.

    `options` below is always an instance of the plug-in's own `Options`.
    """

    name: str
    Options: type[DatasetOptions]
    """The options of the section `dataset`: a frozen pydantic model whose `name` is the plug-in's."""

    def label_range(self, options: DatasetOptions) -> tuple[float, float]:
        """Return the lowest and the highest label; of classes, the numbers of the first and of the last."""
        ...

    @optional
    def conventions(self, options: DatasetOptions) -> str:
        """Return by which conventions (a key of `stats.metrics.HEADLINES`) scores are judged. Optional: MOSI's."""
        return "mosi"

    @optional
    def classes(self, options: DatasetOptions) -> tuple[str, ...]:
        """Return the names of the classes; a label is the index of its name, from 0. Optional: labels are scores."""
        return ()

    @optional
    def num_clips(self, options: DatasetOptions) -> Mapping[str, int]:
        """Return the number of clips of each split, as far as it is known without reading. Optional: unknown."""
        return {}

    def fingerprint(self, root: Path | None, options: DatasetOptions) -> str:
        """Return text that changes with the data (annotations, file sizes), and not with the folder's place.

        Args:
            root: folder of the corpus, None where none was named.
            options: of this dataset.

        Raises:
            InputError: the corpus is not there or cannot be read.
        """
        ...

    def check(self, root: Path | None, options: DatasetOptions) -> list[Problem]:
        """Return everything that would stop `load`, without decoding a clip."""
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
        """Return the metrics of a human rater on test by name; None where ratings are not known. Optional: None."""
        return None

    @optional
    def is_here(self, root: Path | None, options: DatasetOptions) -> bool:
        """Return whether `load` would neither fetch nor make anything. Optional: it would not."""
        return True


class BackboneFacts(Protocol):
    """Facts of a frozen network."""

    name: str
    Options: type[BackboneOptions]
    """The options of the section `backbone`: a frozen pydantic model whose `name` is the plug-in's."""
    licence: str
    """Of the weights, in a few words, for the model card."""


class ReadoutFacts(Protocol):
    """Facts of a readout."""

    name: str
    Options: type[ReadoutOptions]
    """The options of the section `readout`: a frozen pydantic model whose `name` is the plug-in's."""
    uses: tuple[str, ...]
    """Sections of the configuration that results depend on: they make the id. `dataset` and `readout` always;
    `training` and `adapter` if it is trained by gradient, `seed` if anything of it is random."""
    fit_as: str
    """The readout whose training this one shares: its own name, if it shares none."""
    fit_fields: tuple[str, ...]
    """Those of its options that training depends on."""
    writes_text: bool = True
    """Whether it needs the network's output layer."""

    @property
    def deterministic(self) -> bool:
        """Whether nothing of it is random, so that one run is enough."""
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

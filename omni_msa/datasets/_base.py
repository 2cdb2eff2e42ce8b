"""The contract of a dataset plug-in."""

from pathlib import Path
from typing import Protocol

from omni_msa.config.plugin_facts import DatasetFacts
from omni_msa.config.plugins import Kind
from omni_msa.config.sections import DatasetOptions
from omni_msa.data.clip import Clip
from omni_msa.system.downloads import ReportProgress


class DatasetPlugin(DatasetFacts, Protocol):
    """A corpus: the facts of `DatasetFacts`, and its clips.

    For a corpus in a known layout, define `Options` and `PLUGIN = omni_msa.data.corpus.Corpus(...)`.
    """

    def load(self, root: Path | None, options: DatasetOptions, progress: ReportProgress | None = None) -> list[Clip]:
        """Return the clips of all splits, sorted by source and by their order within the source.

        Args:
            root: folder of the corpus; None if not configured.
            options: of this dataset.
            progress: called with (what, done, total) while files are downloaded or generated.

        Raises:
            InputError: with all that `check` finds.
        """
        ...


CONTRACT = DatasetPlugin
DATASETS = Kind[DatasetPlugin]("datasets")

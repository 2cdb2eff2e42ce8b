"""What every dataset is: facts of a corpus, and its clips."""

from pathlib import Path
from typing import Protocol

from omni_msa.config.plugin_facts import DatasetFacts
from omni_msa.config.plugins import Kind
from omni_msa.config.sections import DatasetOptions
from omni_msa.data.clip import Clip
from omni_msa.system.downloads import ReportProgress


class DatasetPlugin(DatasetFacts, Protocol):
    """A corpus: the facts of `DatasetFacts`, and its clips.

    A corpus whose layout is known is an object `PLUGIN = omni_msa.data.corpus.Corpus(...)` and its `Options`.
    """

    def load(self, root: Path | None, options: DatasetOptions, progress: ReportProgress | None = None) -> list[Clip]:
        """Return the clips of all splits, by source and in their order within it.

        Args:
            root: folder of the corpus, None where none was named.
            options: of this dataset.
            progress: called with (what, done, total) while files are fetched or made.

        Raises:
            InputError: with all that `check` finds.
        """
        ...


CONTRACT = DatasetPlugin
DATASETS = Kind[DatasetPlugin]("datasets")

"""The layout `label.csv` with `Raw/<video_id>/<clip_id>.mp4`, in which MMSA distributes MOSI, MOSEI and CH-SIMS."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from omni_msa.config.sections import DatasetOptions
from omni_msa.data.corpus import CorpusOptions
from omni_msa.data.formats.csv_table import Mistakes, read_label, read_table
from omni_msa.data.formats.row import Row, are_file_names, find_file, natural, read_split
from omni_msa.errors import InputError, Problem

USUAL_COLUMNS = ("video_id", "clip_id", "text", "label", "label_T", "label_A", "label_V", "annotation", "mode")
_LABELS = {"M": "label", "T": "label_T", "A": "label_A", "V": "label_V"}


class UnimodalOptions(CorpusOptions):
    """Options of a corpus whose clips also have ratings of the text, audio and video alone."""

    label: Literal["M", "T", "A", "V"] = "M"  # rating of the whole clip (M), or of one modality alone


@dataclass(frozen=True)
class LabelCsv:
    """A folder with a table and Raw/<video_id>/<clip_id>.mp4, which has both audio and video.

    Args:
        tables: possible file names of the table; the first that exists is read.
    """

    tables: tuple[str, ...] = ("label.csv",)

    @property
    def tree(self) -> str:
        """Description of the folder's content for messages."""
        return f"a folder with {' or '.join(self.tables)} and Raw/<video_id>/<clip_id>.mp4"

    def fits(self, folder: Path) -> bool:
        """Return whether the folder has one of the tables."""
        return any((folder / name).is_file() for name in self.tables)

    def rows(
        self, folder: Path, options: DatasetOptions, label_range: tuple[float, float]
    ) -> tuple[list[Row], Mistakes]:
        """Return all clips, in any order, and the mistakes found in single rows.

        Raises:
            InputError: the table is missing or cannot be read.
        """
        file = next((folder / name for name in self.tables if (folder / name).is_file()), None)
        if file is None:
            what = f"there is no {' or '.join(self.tables)} in the folder"
            raise InputError(Problem(what, "dataset.root", str(folder), self.tree))
        label = _LABELS[options.label if isinstance(options, UnimodalOptions) else "M"]
        mistakes, rows = Mistakes(file), []
        for line in read_table(file, ("video_id", "clip_id", "text", label, "mode"), USUAL_COLUMNS):
            number, cells = line
            ids, media = (cells["video_id"], cells["clip_id"]), None
            split = read_split(cells["mode"], number, mistakes)
            if are_file_names(ids, number, mistakes):
                media = find_file(folder, f"Raw/{ids[0]}/{ids[1]}.mp4", number, mistakes)
            value = read_label(line, label, label_range, mistakes)
            order = natural(ids[1])
            rows.append(Row(number, clip_id(*ids), ids[0], order, cells["text"], value, split, media, media))
        return rows, mistakes


def clip_id(video_id: str, number: str) -> str:
    """Return the id of a clip within its corpus, in the form of MMSA's feature files."""
    return f"{video_id}$_${number}"

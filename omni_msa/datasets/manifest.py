"""Your own clips, listed in clips.csv; the range of their labels is an option.

`root` is a folder with clips.csv, which has one row per clip: id, source (all clips of a source are in one split, in
the order of the table), split, label, text, and the paths of video and audio relative to the folder. If audio is empty,
the audio of the video file is used. A clip may lack the files of modalities that no trial uses.
"""

from typing import Literal

from omni_msa.data.formats.clips_csv import ClipsCsv, ManifestCorpus, ManifestOptions


class Options(ManifestOptions):
    """The folder of the clips, the range of their labels, and the metrics to compute."""

    name: Literal["manifest"] = "manifest"


PLUGIN = ManifestCorpus("manifest", (-1.0, 1.0), "plain", (), (ClipsCsv(),))

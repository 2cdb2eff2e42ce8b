"""Anyone's own clips, listed in clips.csv: their labels lie in the range that the options name.

`root` is a folder with clips.csv, one row a clip: id, source (its clips stay in one split, in the order of the table),
split, label, text, and the paths of video and audio within the folder. Without a path in audio, the video's sound is
taken; a clip may lack what no trial uses.
"""

from typing import Literal

from omni_msa.data.formats.clips_csv import ClipsCsv, ManifestCorpus, ManifestOptions


class Options(ManifestOptions):
    """Where the clips lie, between which ends they are rated, and how scores are judged."""

    name: Literal["manifest"] = "manifest"


PLUGIN = ManifestCorpus("manifest", (-1.0, 1.0), "plain", (), (ClipsCsv(),))

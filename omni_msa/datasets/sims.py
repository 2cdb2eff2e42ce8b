"""CH-SIMS (ACL 2020, 2020.acl-main.343): clips of Chinese films and shows, each rated from -1 to 1.

The corpus is not fetched: `root` is a folder with label.csv (a row for each clip) and Raw/<video_id>/<clip_id>.mp4.
1368, 456 and 457 of its 2,281 clips are the usual splits (MMSA's configuration has the first number). They are 60, 20
and 20 % to the clip, so they seem to be drawn clip by clip: where clips of one video lie in several splits, that is
accepted and noted.
"""

from typing import Literal

from omni_msa.data.corpus import Corpus
from omni_msa.data.formats.label_csv import LabelCsv, UnimodalOptions


class Options(UnimodalOptions):
    """Where the corpus lies, which rating is the label, and whether a part of the corpus will do."""

    name: Literal["sims"] = "sims"


PLUGIN = Corpus("sims", (-1.0, 1.0), "sims", ((1368, 456, 457),), (LabelCsv(),), may_cut_videos=True)

"""CH-SIMS (ACL 2020, 2020.acl-main.343): clips of Chinese films and shows, each rated from -1 to 1.

The corpus is not downloaded: `root` is a folder with label.csv (a row for each clip) and Raw/<video_id>/<clip_id>.mp4.
The usual splits have 1368, 456 and 457 of its 2,281 clips (the first number is in the configuration of MMSA). These are
exactly 60, 20 and 20 %, so the splits seem to be drawn clip by clip; clips of one video in several splits are therefore
accepted, and noted.
"""

from typing import Literal

from omni_msa.data.corpus import Corpus
from omni_msa.data.formats.label_csv import LabelCsv, UnimodalOptions


class Options(UnimodalOptions):
    """The folder of the corpus, which rating is the label, and whether an incomplete corpus is accepted."""

    name: Literal["sims"] = "sims"


PLUGIN = Corpus("sims", (-1.0, 1.0), "sims", ((1368, 456, 457),), (LabelCsv(),), may_cut_videos=True)

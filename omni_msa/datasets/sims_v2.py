"""CH-SIMS v2.0 (arXiv 2209.02604), its supervised part: clips of Chinese films and shows, each rated from -1 to 1.

The corpus is not downloaded: `root` is a folder with label.csv or, as distributed, meta.csv (one row per clip) and
Raw/<video_id>/<clip_id>.mp4. The table of the paper and meta.csv have 2722, 647 and 1034 clips; the authors correct the
first number to 2721 (github.com/thuiar/ch-sims-v2, issues 4 and 11), so both are accepted. It is not published whether
the splits keep all clips of a video together; clips of one video in several splits are accepted, and noted.
"""

from typing import Literal

from omni_msa.data.corpus import Corpus
from omni_msa.data.formats.label_csv import LabelCsv, UnimodalOptions


class Options(UnimodalOptions):
    """The folder of the corpus, which rating is the label, and whether an incomplete corpus is accepted."""

    name: Literal["sims_v2"] = "sims_v2"


_SIZES = ((2722, 647, 1034), (2721, 647, 1034))
PLUGIN = Corpus("sims_v2", (-1.0, 1.0), "sims", _SIZES, (LabelCsv(("label.csv", "meta.csv")),), may_cut_videos=True)

"""CH-SIMS v2.0 (arXiv 2209.02604), its supervised part: clips of Chinese films and shows, each rated from -1 to 1.

The corpus is not fetched: `root` is a folder with label.csv or, as it is handed out, meta.csv (a row for each clip) and
Raw/<video_id>/<clip_id>.mp4. The paper's table and meta.csv have 2722, 647 and 1034 clips; the authors correct the
first number to 2721 (github.com/thuiar/ch-sims-v2, issues 4 and 11), so both are accepted. Nothing is published on
whether the splits keep videos whole: where they do not, that is accepted and noted.
"""

from typing import Literal

from omni_msa.data.corpus import Corpus
from omni_msa.data.formats.label_csv import LabelCsv, UnimodalOptions


class Options(UnimodalOptions):
    """Where the corpus lies, which rating is the label, and whether a part of the corpus will do."""

    name: Literal["sims_v2"] = "sims_v2"


_SIZES = ((2722, 647, 1034), (2721, 647, 1034))
PLUGIN = Corpus("sims_v2", (-1.0, 1.0), "sims", _SIZES, (LabelCsv(("label.csv", "meta.csv")),), may_cut_videos=True)

"""CMU-MOSI (arXiv 1606.06259): opinion videos cut into clips, each rated from -3 to 3.

The corpus is not downloaded: `root` is a folder with label.csv (one row per clip) and Raw/<video_id>/<clip_id>.mp4, or
the corpus as distributed by CMU (see `omni_msa.data.formats.cmu_mosi`). The standard folds have 1284, 229 and 686
clips.
"""

from typing import Literal

from omni_msa.data.corpus import Corpus, CorpusOptions
from omni_msa.data.formats.cmu_mosi import CmuLayout
from omni_msa.data.formats.label_csv import LabelCsv


class Options(CorpusOptions):
    """The folder of the corpus, and whether an incomplete corpus is accepted."""

    name: Literal["mosi"] = "mosi"


PLUGIN = Corpus("mosi", (-3.0, 3.0), "mosi", ((1284, 229, 686),), (LabelCsv(), CmuLayout()))

"""CMU-MOSI (arXiv 1606.06259): opinion videos cut into clips, each rated from -3 to 3.

The corpus is not fetched: `root` is a folder with label.csv (a row for each clip) and Raw/<video_id>/<clip_id>.mp4, or
the corpus as CMU hands it out (see `omni_msa.data.formats.cmu_mosi`). 1284, 229 and 686 clips are what the standard
folds hold.
"""

from typing import Literal

from omni_msa.data.corpus import Corpus, CorpusOptions
from omni_msa.data.formats.cmu_mosi import CmuLayout
from omni_msa.data.formats.label_csv import LabelCsv


class Options(CorpusOptions):
    """Where the corpus lies, and whether a part of it will do."""

    name: Literal["mosi"] = "mosi"


PLUGIN = Corpus("mosi", (-3.0, 3.0), "mosi", ((1284, 229, 686),), (LabelCsv(), CmuLayout()))

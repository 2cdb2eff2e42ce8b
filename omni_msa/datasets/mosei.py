"""CMU-MOSEI (ACL 2018, P18-1208): opinion videos of 1,000 speakers cut into sentences, each rated from -3 to 3.

The corpus is not downloaded: `root` is a folder with label.csv (a row for each clip) and Raw/<video_id>/<clip_id>.mp4.
The split sizes 16326, 1871 and 4659 are those of arXiv 2606.05713; the first is also in the configuration of MMSA.
"""

from typing import Literal

from omni_msa.data.corpus import Corpus, CorpusOptions
from omni_msa.data.formats.label_csv import LabelCsv


class Options(CorpusOptions):
    """The folder of the corpus, and whether an incomplete corpus is accepted."""

    name: Literal["mosei"] = "mosei"


PLUGIN = Corpus("mosei", (-3.0, 3.0), "mosi", ((16326, 1871, 4659),), (LabelCsv(),))

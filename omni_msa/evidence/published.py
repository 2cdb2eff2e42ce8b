"""Published results on CMU-MOSI and CMU-MOSEI, shown beside ours as context; they are never a threshold.

They are shown only for the corpus that they were measured on: across corpora a comparison has no meaning.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CITATION = "arXiv 2606.05713"
ALL = ("text", "audio", "video")
Value = tuple[float, float | None]  # mean and, where printed, standard deviation


@dataclass(frozen=True)
class Reported:
    """One row of a paper's table.

    Args:
        dataset, readout, modalities: what was measured.
        setting: which experiment of the paper.
        metrics: metric name to (mean, standard deviation or None), in stored units (shares in [0, 1]).
        denoise: value of `media.denoise` in the experiment that compares these, else "".
    """

    dataset: str
    readout: str
    modalities: tuple[str, ...]
    setting: str
    metrics: dict[str, Value]
    denoise: str = ""


def _row(*values: float | None) -> dict[str, Value]:
    """Return MAE, Corr, Acc-7, Acc-2 and F1 (both without label 0) by name; the last three are given in percent."""
    names = ("mae", "corr", "acc7", "acc2_non0", "f1_non0")
    units = (1, 1, 100, 100, 100)
    return {
        name: (value / unit, None) for name, unit, value in zip(names, units, values, strict=False) if value is not None
    }


MAIN, READOUTS, MODALITIES = "main result", "readout comparison", "modality comparison"
DENOISING, _DENOISE = "denoising", "media.denoise"
_FOUR_SEEDS: dict[str, Value] = {
    "mae": (0.570, 0.014),
    "corr": (0.877, 0.009),
    "acc7": (0.523, 0.009),
    "acc2_non0": (0.891, 0.007),
    "f1_non0": (0.891, 0.007),
}
REPORTED = (
    Reported("mosi", "discriminative", ALL, MAIN, _FOUR_SEEDS),
    Reported("mosei", "discriminative", ALL, MAIN, _row(0.506, 0.790, 55.0, 87.1, 87.0)),
    Reported("mosi", "discriminative", ALL, READOUTS, _row(0.667, 0.824, None, 85.4)),
    Reported("mosi", "generative_zero_shot", ALL, READOUTS, _row(1.443, 0.491, None, 73.3)),
    Reported("mosi", "generative", ALL, READOUTS, _row(1.521, 0.197, None, 58.2)),
    Reported("mosei", "discriminative", ALL, READOUTS, _row(0.521, 0.790)),
    Reported("mosei", "generative_zero_shot", ALL, READOUTS, _row(1.431, 0.473)),
    Reported("mosi", "discriminative", ("text",), MODALITIES, _row(0.552, 0.883, None, 87.3)),
    Reported("mosi", "discriminative", ("text", "video"), MODALITIES, _row(0.631, 0.858, None, 88.1)),
    Reported("mosi", "discriminative", ALL, MODALITIES, _row(0.667, 0.824, None, 85.4)),
    Reported("mosi", "discriminative", ALL, DENOISING, _row(0.598, 0.878, None, 89.63), "none"),
    Reported("mosi", "discriminative", ALL, DENOISING, _row(0.551, 0.888, None, 89.52), "deepfilternet"),
)
_SAME_AS_PAPER = {"adapter.rank": 32, "adapter.alpha": 32, "adapter.dropout": 0.1}
_OWN_AXES = ("readout", "modalities", "dataset", "repeat", _DENOISE)


def lookup(dataset: str, axes: Mapping[str, Any]) -> Reported | None:
    """Return the paper's row for a cell, or None if there is none.

    Args:
        dataset: the name of its plug-in, used if the dataset is not an axis.
        axes: of the cell. An axis that the paper did not vary must have the paper's value; settings that are not an
            axis are assumed to be those of the paper: the discriminative readout, all modalities.
    """
    if any(_SAME_AS_PAPER.get(axis) != value for axis, value in axes.items() if axis not in _OWN_AXES):
        return None
    readout, modalities = axes.get("readout", "discriminative"), tuple(axes.get("modalities", ALL))
    corpus = axes.get("dataset", dataset)
    corpus = corpus.get("name") if isinstance(corpus, Mapping) else corpus
    setting = MODALITIES if "modalities" in axes else MAIN
    if "readout" in axes and modalities == ALL:
        setting = READOUTS
    if _DENOISE in axes:
        setting = DENOISING
    wanted = (corpus, readout, modalities, setting, axes.get(_DENOISE, ""))
    return next((row for row in REPORTED if _key(row) == wanted), None)


def _key(row: Reported) -> tuple[Any, ...]:
    return row.dataset, row.readout, row.modalities, row.setting, row.denoise


@dataclass(frozen=True)
class Elsewhere:
    """One method's published numbers on one corpus.

    Args:
        dataset: the name of its plug-in.
        method: its name, as the authors use it.
        source: authors, venue, and arXiv id where there is one.
        metrics: metric name to (mean, standard deviation or None), in stored units.
        note: what the reader must know, "" if nothing.
    """

    dataset: str
    method: str
    source: str
    metrics: dict[str, Value]
    note: str = ""


_PAPER = f"the paper, {CITATION}"
_RERUN = "TFN, LMF, MulT and MISA: re-runs of the MMSA framework (github.com/thuiar/MMSA), not their authors' numbers."
_BEST = "Best of four: the seed with the lowest error of the four whose mean stands above it."
_LOGS = "MSE-Adapter: mean and standard deviation over the seeds of its published logs, a trained generative readout."
_MSE = "Yang et al., AAAI 2025, arXiv 2502.12478"


def _mosi(method: str, source: str, *values: float, note: str = "") -> Elsewhere:
    return Elsewhere("mosi", method, source, _row(*values), note)


ELSEWHERE = (
    _mosi("TFN", "Zadeh et al., EMNLP 2017, arXiv 1707.07250", 0.947, 0.673, 34.5, 79.1, 79.1, note=_RERUN),
    _mosi("LMF", "Liu et al., ACL 2018, arXiv 1806.00064", 0.950, 0.651, 33.8, 79.2, 79.2, note=_RERUN),
    _mosi("MulT", "Tsai et al., ACL 2019, arXiv 1906.00295", 0.880, 0.702, 36.9, 81.0, 81.0, note=_RERUN),
    _mosi("MISA", "Hazarika et al., ACM MM 2020, arXiv 2005.03545", 0.777, 0.778, 41.4, 83.5, 83.6, note=_RERUN),
    _mosi("MAG-BERT", "Rahman et al., ACL 2020, arXiv 1908.05787", 0.731, 0.789, 43.6, 84.3, 84.3),
    _mosi("Self-MM", "Yu et al., AAAI 2021, arXiv 2102.04830", 0.713, 0.798, 46.7, 85.0, 84.9),
    _mosi("MMIM", "Han et al., EMNLP 2021, arXiv 2109.00412", 0.700, 0.800, 46.7, 85.1, 85.0),
    _mosi("ConFEDE", "Yang et al., ACL 2023, doi 10.18653/v1/2023.acl-long.421", 0.742, 0.784, 42.3, 85.5, 85.5),
    _mosi("DMD", "Li et al., CVPR 2023, arXiv 2303.13802", 0.723, 0.794, 45.6, 85.7, 85.6),
    _mosi("ALMT", "Zhang et al., EMNLP 2023, arXiv 2310.05804", 0.683, 0.805, 47.9, 85.6, 85.6),
    _mosi("MSAmba", "He et al., AAAI 2025, doi 10.1609/aaai.v39i2.32120", 0.681, 0.806, 47.0, 86.0, 86.0),
    _mosi("MMML, 3 seeds", "Wu et al., NAACL 2024, arXiv 2308.00264", 0.557, 0.882, 52.7, 90.4, 90.4),
    Elsewhere("mosi", "MSE-Adapter, frozen 6B", _MSE, {"mae": (0.646, 0.090)}, _LOGS),
    Elsewhere("mosi", "hidden-state readout, 4 seeds", _PAPER, _FOUR_SEEDS),
    _mosi("hidden-state readout, best of four", _PAPER, 0.551, 0.888, 52.9, 89.5, 89.5, note=_BEST),
    Elsewhere("mosei", "MSE-Adapter, frozen 6B", _MSE, {"mae": (0.515, None)}, _LOGS),
    Elsewhere("mosei", "hidden-state readout", _PAPER, _row(0.506, 0.790, 55.0, 87.1, 87.0)),
)


def elsewhere(dataset: str) -> list[Elsewhere]:
    """Return the published results on a corpus, none for any but mosi and mosei.

    Args:
        dataset: the name of its plug-in.
    """
    return [row for row in ELSEWHERE if row.dataset == dataset]

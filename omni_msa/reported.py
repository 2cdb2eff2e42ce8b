"""Numbers other people reported on CMU-MOSI and CMU-MOSEI, to stand beside ours. Never a threshold.

Only for the corpora they were measured on; a number for another corpus would invite a comparison that means nothing.
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
        denoise: value of `media.denoise` where the experiment compares them.
    """

    dataset: str
    readout: str
    modalities: tuple[str, ...]
    setting: str
    metrics: dict[str, Value]
    denoise: str = ""


def _row(*values: float | None) -> dict[str, Value]:
    """MAE, Corr, Acc-7, Acc-2 and F1 (label 0 left out), the last three printed in percent."""
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
        dataset: the plug-in's name, where it is no axis.
        axes: the cell's; an axis the paper did not vary must have the paper's value. What is no axis is taken to be
            as in the paper: the discriminative readout of all modalities.
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

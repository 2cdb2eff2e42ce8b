"""The note beside the numbers of one comparison."""

from typing import TYPE_CHECKING

from omni_msa.stats.multiplicity import LEVEL
from omni_msa.stats.power import num_seeds_least

if TYPE_CHECKING:
    from omni_msa.evidence.comparisons.comparison import Comparison

OTHER_CLIPS = "tested on other clips, so the difference is also one of clips"


def note_of(comparison: "Comparison", has_clips: bool) -> str:
    """Return what a reader must know of a comparison, "" if nothing.

    Args:
        comparison: one with the size of its family.
        has_clips: whether both sides have test predictions on the same clips.
    """
    whole = {
        "none": "the sweep has no such cell to compare with",
        "same trials": "the same trial" if comparison.n == 1 else "the same trials",
        "other clips": OTHER_CLIPS,
    }
    if comparison.pairing in whole:
        return whole[comparison.pairing]
    if comparison.num_collapsed and not comparison.n:
        return "undefined: constant predictions" if comparison.metric == "corr" else "undefined at every seed"
    if comparison.pairing == "clips":
        tested = "tested over clips alone" if has_clips or not comparison.n else "their predictions are missing"
        return f"neither cell is random: {tested}"
    missing = "not paired by clip: their predictions are missing" if comparison.n and not has_clips else ""
    return "; ".join(part for part in (not_testable(comparison.n, comparison.family), missing) if part)


def not_testable(num_pairs: int, family: int = 1) -> str:
    """Return a note if so few pairs cannot be significant at the level of the test, "" if they can.

    Args:
        num_pairs: number of pairs of trials.
        family: number of tests that are corrected together.
    """
    least = num_seeds_least(LEVEL, family)
    text = f"not testable at {LEVEL} with n = {num_pairs} < {least} pairs" if num_pairs < least else ""
    return text + (f" ({family} comparisons)" if text and family > 1 else "")

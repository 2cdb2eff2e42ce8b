"""Comparisons as they come out of the statistics, and the sentence about them: for tests of what is said."""

from omni_msa.evidence.comparisons.comparison import Comparison
from omni_msa.evidence.comparisons.decisions import SweepProgress
from omni_msa.evidence.comparisons.verdict import decide
from omni_msa.stats.power import num_seeds_needed

FULL = SweepProgress(12, 12, num_seeds=3)
BASE = "discriminative"


def pair(label, mean, n=3, p=None, std=0.02, family=1, over_clips=False, **more):
    """A comparison with the base; p is the least that n pairs can give unless it is said."""
    p = 2 / 2**n if p is None else p
    spread = std if n > 1 else None
    return Comparison(
        **{
            "name": label,
            "against": BASE,
            "metric": "mae",
            "seeds": list(range(n)),
            "values": [mean] * n,
            "n": n,
            "mean": mean,
            "std": spread,
            "interval": (mean - std, mean + std) if spread else None,
            "p": None if over_clips else p,
            "p_clips": p,
            "p_holm": min(1.0, p * family),
            "family": family,
            "pairing": "clips" if over_clips else "seeds",
            "better": "label" if mean < 0 else "against",
            "controlled": True,
            "num_seeds_needed": None if over_clips else num_seeds_needed(mean, spread, num_comparisons=family),
            **more,
        }
    )


def said(*differences, progress=FULL, controls=(), metric="mae"):
    found = decide(metric, differences, controls, progress)
    return found.text, found.state, found.num_seeds_more

"""How much was tried and what was chosen by looking at results: what limits the trust in a table."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from omni_msa.planning.plan import Plan
from omni_msa.search import confirmation
from omni_msa.stats.metrics import METRICS
from omni_msa.text import are, count

_ONCE = (
    "Fix the number of further seeds once: looking again after each addition, and adding until something is found, "
    "raises the error level (from 5 % to between 6 and 9 % in simulations)."
)
_LISTED = "Cells were listed in the sweep file or on the command line, none was proposed by a search."
_ALL_IN_TABLE = "every cell of the sweep is in the table."
_IN_TABLE = "of the cells of a search, those whose test split is open are in the table."


@dataclass(frozen=True)
class Selection:
    """How much was tried, and what was chosen.

    Args:
        num_cells, num_seeds, num_trials, num_complete, num_failed: numbers of the sweep.
        num_proposals, num_confirmed: numbers of its searches.
        num_comparisons: number of tests on the primary metric that share one correction.
        checkpoint: how the epoch that is kept of each training was chosen.
        text: all of this in sentences.
    """

    num_cells: int
    num_seeds: int
    num_trials: int
    num_complete: int
    num_failed: int
    num_proposals: int
    num_confirmed: int
    num_comparisons: int
    checkpoint: str
    text: Sequence[str] = ()


def selection_of(plan: Plan, num_comparisons: int, metric: str, num_seeds_more: int | None = None) -> Selection:
    """Return how much was tried in a sweep, and what was chosen.

    Args:
        plan: with the current states of its trials.
        num_comparisons: number of tests on the primary metric that share one correction.
        metric: name of the primary metric.
        num_seeds_more: number of further seeds that the verdict asks for, None if it asks for none.
    """
    counts, sweep = plan.counts(), plan.sweep
    epochs = sorted({cell.config.training.epochs for cell in sweep.cells})
    chosen_by = list(dict.fromkeys(cell.config.training.select_metric for cell in sweep.cells))
    selection = Selection(
        num_cells=len(sweep.cells),
        num_seeds=len(sweep.file.seeds),
        num_trials=counts["trials"],
        num_complete=counts["complete"],
        num_failed=counts["failed"],
        num_proposals=sum(len(study.proposals) for study in plan.studies),
        num_confirmed=sum(len(confirmation.ever_confirmed(study)) for study in plan.studies),
        num_comparisons=num_comparisons,
        checkpoint=f"valid {' and '.join(chosen_by)}, best of {_either(epochs)} epochs",
    )
    text = _sentences(
        selection, len(plan.studies), [METRICS[name].title for name in chosen_by], epochs, METRICS[metric].title
    )
    return replace(selection, text=[*text, *([_ONCE] if num_seeds_more else [])])


def _sentences(
    tried: Selection, num_searches: int, chosen_by: Sequence[str], epochs: Sequence[int], metric: str
) -> list[str]:
    num = tried.num_complete
    text = [
        f"{count(tried.num_cells, 'cell')} and {count(tried.num_seeds, 'seed')} make "
        f"{count(tried.num_trials, 'trial')}, of which {num} {are(num)} complete and "
        f"{tried.num_failed or 'none'} failed; {_IN_TABLE if tried.num_proposals else _ALL_IN_TABLE}",
        _proposed(tried.num_proposals, tried.num_confirmed, num_searches) if tried.num_proposals else _LISTED,
        f"Of trained cells the best of {_either(epochs)} epochs by {' and '.join(chosen_by)} on valid is kept; "
        "test was opened once a trial, after that.",
    ]
    if tried.num_seeds > 1:
        text.append("Best of seeds is the luckiest one: it is shown beside the mean, and says nothing of a new seed.")
    if tried.num_comparisons:
        tests = count(tried.num_comparisons, "comparison")
        text.append(
            f"{tests} on {metric}, named in the sweep file or on the command line, "
            f"{'shares' if tried.num_comparisons == 1 else 'share'} one correction (Holm); the rest is exploratory."
        )
    return text


def _proposed(num: int, num_confirmed: int, num_searches: int) -> str:
    """Return by which split and seeds the winner was chosen, and for which cells the test split was opened."""
    who, each = ("A search", "") if num_searches == 1 else (f"{num_searches} searches", " of each")
    made = f"{who} made {count(num, 'proposal')} and judged them on valid alone"
    if not num_confirmed:
        return f"{made}; no winner has been named yet, and no test split was opened."
    return (
        f"{made}; the best were run again with fresh seeds ({count(num_confirmed, 'confirmation')}), which named the "
        f"winner{each}, on valid too. Only then was test opened, for the best proposal{each} and the default alone."
    )


def _either(numbers: Sequence[int]) -> str:
    return " or ".join(map(str, numbers))

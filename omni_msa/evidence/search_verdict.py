"""Whether a search found a real gain, in numbers and in a sentence."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

from omni_msa.config.trial import TrialConfig
from omni_msa.evidence.comparisons.verdict import SearchState, Verdict
from omni_msa.evidence.search_summary import Confirmed, SearchComparison, SearchFindings, SearchVerdict
from omni_msa.evidence.summary import CellSummary
from omni_msa.search import confirmation
from omni_msa.search.rules import ProposalValue
from omni_msa.search.study import PROPOSAL, STAGE, Study
from omni_msa.search.study_folder import DEFAULT
from omni_msa.stats.intervals import t_interval
from omni_msa.stats.metrics import METRICS
from omni_msa.stats.multiplicity import LEVEL
from omni_msa.stats.paired import sign_flip_floor, sign_flip_p
from omni_msa.stats.power import num_seeds_least
from omni_msa.text import are, count

REAL: Final = "real"
NOT_DECIDED: Final = "not decided"
NOTHING: Final = "nothing found"
DEFAULT_FAILED: Final = "default failed"
UNFINISHED: Final = "unfinished"


def gains(study: Study, name: int | str, ours: ProposalValue, theirs: ProposalValue) -> list[float]:
    """Return the improvement of a proposal over the default at each seed; a value without a seed pairs with all."""
    values = [_by_seed(study, each, one) for each, one in ((name, ours), (DEFAULT, theirs))]
    return [sign(study) * (values[1][seed] - values[0][seed]) for seed in sorted(values[0].keys() & values[1].keys())]


def has_seeds(study: Study, names: Sequence[int | str]) -> bool:
    """Return whether any of these configurations draws something at random."""
    return not all(study.fresh_cell(name, False).deterministic for name in names)


def _by_seed(study: Study, name: int | str, score: ProposalValue) -> Mapping[int, float]:
    if not score.by_seed or not study.fresh_cell(name, False).deterministic:
        return score.by_seed
    num = len(study.search.confirm.seeds) if has_seeds(study, [name, DEFAULT]) else 1
    return dict.fromkeys(range(num), score.by_seed[0])


def compare(study: Study, confirmed: Mapping[int | str, ProposalValue], candidate: Any) -> SearchComparison | None:
    """Return the paired comparison of the best proposal with the default on fresh seeds, None if there is none."""
    if candidate not in confirmed or DEFAULT not in confirmed:
        return None
    gained = gains(study, candidate, confirmed[candidate], confirmed[DEFAULT])
    if not gained:
        return None
    num = len(confirmation.ever_confirmed(study))  # the candidate is the best by these very seeds: Bonferroni
    return SearchComparison(
        candidate=candidate,
        against=DEFAULT,
        best_of=num,
        gained=gained,
        mean=statistics.fmean(gained),
        interval_95=t_interval(gained, num),
        p=min(1.0, num * sign_flip_p(gained)),
        p_floor=min(1.0, num * sign_flip_floor(len(gained))),
        n=len(gained),
        n_least=num_seeds_least(LEVEL, num),
        n_next=num_seeds_least(LEVEL, num + len(confirmed) - 1),  # confirming all again with other seeds counts
    )


def verdict(
    study: Study, confirmed: Mapping[str, Confirmed], winner: Mapping[str, Any], compared: SearchComparison | None
) -> SearchVerdict:
    """Return in one or more sentences whether the search found a real gain."""
    if confirmed and confirmed[DEFAULT].state == "failed":
        text = (
            "The search has no winner: the default configuration failed with a fresh seed, and there is nothing to "
            "compare with. Mend the cause, then run with --retry."
        )
        return SearchVerdict(DEFAULT_FAILED, text)
    if not winner or compared is None:
        why, before = _why_nothing(study, confirmed, winner), _before(study, winner)
        return SearchVerdict(UNFINISHED, f"The search says nothing {'more ' if before else ''}yet: {why}.{before}")
    state, text = _of_gain(study, compared)
    return SearchVerdict(state, f"{_found(study, confirmed, compared)}{text}")


def _of_gain(study: Study, compared: SearchComparison) -> tuple[SearchState, str]:
    """Return whether the gain of the best proposal with fresh seeds is real."""
    if _settings(study, compared.candidate) == _settings(study, DEFAULT):
        return NOTHING, "The best proposal is the default itself: the search found nothing better."
    if compared.mean <= 0:
        return NOTHING, "The search found nothing better than the default, which stays."
    if not has_seeds(study, [compared.candidate]):
        return NOT_DECIDED, "It draws nothing at random: the choice was made on this very number."
    if compared.interval_95 is not None and compared.interval_95[0] > 0 and compared.p < LEVEL:
        return REAL, "The gain is real, on seeds by which no proposal was made."
    return NOT_DECIDED, f"Whether the gain is real is not decided: {_why_undecided(compared)}."


def _why_undecided(compared: SearchComparison) -> str:
    if compared.n >= compared.n_least:
        return "it may be the luck of seeds; more fresh seeds (search.confirm.seeds) can decide it"
    few = f"{count(compared.n, 'fresh seed')} {are(compared.n)} too few to show any"
    return f"{few}; with {compared.n_next} of them (search.confirm.seeds) it can be"


def _found(study: Study, confirmed: Mapping[str, Confirmed], compared: SearchComparison) -> str:
    """Return the values of best proposal and default with fresh seeds, and the uncertainty of their difference."""
    metric, ours = METRICS[study.search.objectives[0]], confirmed[str(compared.candidate)]
    candidate, gained, interval = compared.candidate, compared.mean, compared.interval_95
    means = [metric.show(row.fresh_mean) for row in (ours, confirmed[DEFAULT])]
    are_drawn = has_seeds(study, [candidate, DEFAULT])
    seeds = count(compared.n, "fresh seed") if are_drawn else "valid"
    text = (
        f"On {seeds} proposal {candidate}, the best one, has a {'valid ' if are_drawn else ''}{metric.title} of "
        f"{means[0]} against {means[1]} of the default: {_difference(metric.show(abs(gained)), gained)}"
    )
    if interval is not None:
        text += f", 95 % t interval {metric.show(interval[0])} to {metric.show(interval[1])}"
    if are_drawn:
        text += f", exact sign-flip p = {compared.p:.3g} (at least {compared.p_floor:.3g} with {seeds})"
        text += f", corrected for being the best of {num} confirmed" if (num := compared.best_of) > 1 else ""
        text += f". In the search it had {metric.show(ours.search_value)}" if ours.search_value is not None else ""
    return f"{text}. "


def _settings(study: Study, name: int | str) -> TrialConfig:
    return study.fresh_cell(name, False).config


def _why_nothing(study: Study, confirmed: Mapping[str, Confirmed], winner: Mapping[str, Any]) -> str:
    if winner:
        return "no confirmed proposal is complete with its fresh seeds"
    return "no proposal is complete" if study.is_searched() and not confirmed else "it is not over"


def _before(study: Study, winner: Mapping[str, Any]) -> str:
    """Return which winner was named before the search went on; its sweep file is kept."""
    name = None if winner else confirmation.named(study).get("winner")
    if name is None:
        return ""
    return f" Named before it went on: {'the default' if name == DEFAULT else f'proposal {name}'}."


def _difference(size: str, gained: float) -> str:
    return f"{'better' if gained > 0 else 'worse'} by {size}" if gained else "no difference"


def sign(study: Study) -> int:
    """Return 1 if lower values of the first objective are better, -1 if higher ones are."""
    return -1 if study.search.directions[0] == "higher" else 1


def headline(searches: Sequence[SearchFindings], cells: Sequence[CellSummary]) -> Verdict:
    """Return the verdict of a sweep with searches for the head of the page: theirs, with the values on test.

    Args:
        searches: the findings of its searches, at least one.
        cells: of the sweep.
    """
    states = [search.verdict.state for search in searches]
    state = next(state for state in (UNFINISHED, DEFAULT_FAILED, REAL, NOT_DECIDED, NOTHING) if state in states)
    return Verdict(
        _of_several(searches) if len(searches) > 1 else f"{searches[0].verdict.text}{_on_test(searches[0], cells)}",
        state,
    )


def _of_several(searches: Sequence[SearchFindings]) -> str:
    """Return in a sentence how many searches found what; the page shows the verdict of each in its section."""
    by_state: dict[SearchState, list[str]] = {}
    for search in searches:
        by_state.setdefault(search.verdict.state, []).append(search.study)
    parts = (f"{_IN_WORDS[state]} in {len(names)} ({', '.join(names)})" for state, names in by_state.items())
    alone = "Each is corrected for what it confirmed itself, not for the others."
    return f"Of {len(searches)} searches: {'; '.join(parts)}. {alone}"


_IN_WORDS: dict[SearchState, str] = {
    REAL: "a real gain on fresh seeds",
    NOT_DECIDED: "a gain that is not decided",
    NOTHING: "nothing better than the default",
    DEFAULT_FAILED: "a default that failed",
    UNFINISHED: "nothing yet",
}


def choice_notes(searches: Sequence[SearchFindings]) -> list[str]:
    """Return notes on differences on test: the proposals in the table were chosen by the same seeds.

    Args:
        searches: the findings of the searches of a sweep.
    """
    names = [f" of {search.study}" if len(searches) > 1 else "" for search in searches]
    return [
        f"Proposal {compared.candidate}{name} was chosen on valid, by these seeds, as the best of "
        f"{compared.best_of}: what it differs in on test is not corrected for that choice."
        for name, search in zip(names, searches, strict=True)
        if (compared := search.comparison) and compared.best_of > 1
    ]


def _on_test(search: SearchFindings, cells: Sequence[CellSummary]) -> str:
    """Return the values of the same trials on test as a sentence, "" while test is locked."""
    metric, compared = METRICS[search.objectives[0]], search.comparison
    if metric.kind != "quality" or compared is None or search.winner is None:
        return ""
    axes = [{**search.axes, PROPOSAL: name, STAGE: "fresh"} for name in (compared.candidate, DEFAULT)]
    means = [cell.of(metric.name).mean for cell_axes in axes for cell in cells if cell.axes == cell_axes]
    if len(means) < len(axes) or None in means:
        return ""
    ours, theirs = map(metric.show, means)
    among = f", not corrected for the choice of the best of {num}" if (num := compared.best_of) > 1 else ""
    return f" On test the same trials have {ours} against {theirs}{among}."

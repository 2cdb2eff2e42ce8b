"""The findings of a search, and their form in `search.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from omni_msa.evidence.comparisons.verdict import SearchState
from omni_msa.search.rules import Rung, Values
from omni_msa.search.study_folder import DEFAULT
from omni_msa.stats.intervals import Interval
from omni_msa.system.files import finite

State = Literal["running", "complete", "pruned", "failed"]


@dataclass(frozen=True)
class ProposalSummary:
    """One proposal, in the history of its search.

    Args:
        proposal: its number, from 0.
        state, values, by_rung: as in `rules.ProposalValue`.
        rung: the highest rung up to which it may be run, from 0.
        best_so_far: best value of the first objective among this and earlier proposals that are complete.
        parameters: dotted path to value.
        trials: ids of its trials, by seed.
        why: the reason why it failed, "" if it did not.
        time: when it was proposed, ISO time.
    """

    proposal: int
    state: State
    rung: int = 0
    values: Values | None = None
    by_rung: Mapping[int, float] = field(default_factory=dict)
    best_so_far: float | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    trials: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    time: str = ""

    @property
    def last_value(self) -> float | None:
        """The first objective at the highest rung that the proposal has reached."""
        return self.values[0] if self.values else self.by_rung.get(max(self.by_rung, default=0))


@dataclass(frozen=True)
class FurtherObjective:
    """A confirmed configuration's values of an objective after the first: means over the seeds; std with ddof 1."""

    search: float | None
    fresh: float | None
    fresh_std: float | None


@dataclass(frozen=True)
class Confirmed:
    """A configuration that was run again with fresh seeds: values of the first objective, in its stored unit.

    Args:
        study: the name of the search.
        configuration: number of the proposal, or "default".
        search_value: mean over the search seeds; `search_gain`: improvement over the default with these.
        fresh_mean, fresh_std: over the fresh seeds (ddof 1); `n`: their number; `fresh_values`: of each.
        fresh_gain: mean improvement over the default, paired by fresh seed.
        state: of its trials with fresh seeds.
        parameters: the settings that it changes, as text.
        further: its values of each further objective, by name.
    """

    study: str
    configuration: str
    search_value: float | None = None
    search_gain: float | None = None
    fresh_mean: float | None = None
    fresh_std: float | None = None
    n: int = 0
    fresh_gain: float | None = None
    state: State = "complete"
    fresh_values: list[float] = field(default_factory=list)
    parameters: str = ""
    further: Mapping[str, FurtherObjective] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the configuration: "default" or, for example, "proposal 4"."""
        return DEFAULT if self.configuration == DEFAULT else f"proposal {self.configuration}"

    def as_row(self) -> dict[str, Any]:
        """Return the configuration as one row of `search.json` and `search_confirmed.csv`."""
        row = asdict(self)
        del row["further"]
        for name, one in self.further.items():
            row |= {f"search_{name}": one.search, f"fresh_{name}": one.fresh, f"fresh_{name}_std": one.fresh_std}
        return row


@dataclass(frozen=True)
class SearchComparison:
    """The best proposal against the default on fresh seeds; above zero the proposal is better.

    Args:
        candidate: number of the proposal; `against`: "default".
        best_of: number of confirmed proposals, of which it is the best; interval and p-values are corrected for this.
        gained: improvement at each seed; `mean`: of these; `n`: their number.
        interval_95: Student-t interval of the mean, None with too few seeds.
        p, p_floor: exact sign-flip p-value, and the smallest that `n` seeds can give.
        n_least: seeds needed for any difference to be significant; `n_next`: the same if all are confirmed again.
    """

    candidate: int
    against: str
    best_of: int
    gained: list[float]
    mean: float
    interval_95: Interval | None
    p: float
    p_floor: float
    n: int
    n_least: int
    n_next: int


@dataclass(frozen=True)
class SearchVerdict:
    """Whether a search found a real gain, and the sentences that say so."""

    state: SearchState
    text: str


@dataclass(frozen=True)
class Spent:
    """Time that a search has taken, in seconds: elapsed, and summed over all its trials."""

    wall_s: float
    work_s: float


@dataclass(frozen=True)
class SearchFindings:
    """The findings of one search of a sweep.

    Args:
        study: its name; `axes`: of the cell whose parameters are searched.
        sampler, seed, objectives, space: as in the sweep file.
        seeds: of a proposal in the search; `confirm_seeds`: the fresh seeds of the confirmation.
        rungs: the stages of training at which proposals are judged.
        num_known: cells with results in the ledger that the sampler got at the start.
        first_rung: the rung at which every proposal has a value, in words; "" if nothing is pruned.
        history: every proposal, in order.
        importances: share of the variance that each parameter explains, in [0, 1].
        pareto_front: proposals that no other beats in all objectives, None with one objective.
        confirmed: the default and the best proposals, with fresh seeds.
        num_confirmed: number of proposals that were ever confirmed.
        is_fresh: whether seeds matter, as at least one configuration draws something at random.
        winner: number of the proposal, or "default"; None while none is named.
        times_test_was_opened: how often the test split was opened, each time after a winner was named.
        best: name of the file with the winning configuration, "" if no winner was ever named.
    """

    study: str
    axes: Mapping[str, Any]
    sampler: str
    seed: int
    objectives: Sequence[str]
    space: Mapping[str, Mapping[str, Any]]
    seeds: Sequence[int]
    confirm_seeds: Sequence[int]
    rungs: Sequence[Rung]
    spent: Spent
    num_known: int
    first_rung: str
    history: Sequence[ProposalSummary]
    importances: Mapping[str, float]
    pareto_front: Sequence[int] | None
    confirmed: Sequence[Confirmed]
    num_confirmed: int
    is_fresh: bool
    winner: int | str | None
    times_test_was_opened: int
    comparison: SearchComparison | None
    verdict: SearchVerdict
    best: str = ""

    @property
    def default(self) -> Confirmed | None:
        """The default among the confirmed configurations, None before anything was confirmed."""
        return next((row for row in self.confirmed if row.configuration == DEFAULT), None)

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as `search.json` has them; numbers that are not finite as None."""
        values: dict[str, Any] = finite(asdict(self) | {"confirmed": [row.as_row() for row in self.confirmed]})
        return values

"""What the page shows of each search of a sweep."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omni_msa.evidence.gather import Evidence
from omni_msa.evidence.search_summary import ProposalSummary, SearchFindings
from omni_msa.report.tables.grid import Grid
from omni_msa.report.tables.search_grids import confirmed_grid, importance_grid
from omni_msa.search.study_folder import DEFAULT
from omni_msa.text import count

STATES = {
    "real": "Real gain",
    "not decided": "Not decided",
    "nothing found": "Nothing found",
    "default failed": "Default failed",
    "unfinished": "Unfinished",
}
"""How the page names the states of a search's verdict."""
_FAILED_MAX = 5


@dataclass(frozen=True)
class Searched:
    """One search, as the page shows it.

    Args:
        number: from 1; from 2 on, the names of its figures end in it.
        title: its name where there are several, else "".
        state: of its verdict, in words.
        text: the sentences of its verdict, "" if the head of the page shows them already.
        facts: sentences on what was tried.
        grids: name to table.
        best: name of the file with the winning configuration, "" if there is none.
        command: the command that runs that file, "" if there is none.
    """

    number: int
    title: str
    state: str
    text: str
    facts: list[str]
    grids: dict[str, Grid]
    best: str
    command: str

    def has(self, figure: str) -> bool:
        """Return whether the figure with this name belongs to this search."""
        last = figure.rpartition("_")[2]
        return figure.startswith("search_") and (int(last) if last.isdecimal() else 1) == self.number


def searches_of(evidence: Evidence) -> list[Searched]:
    """Return what the page shows of each search of a sweep, in the order of the searches."""
    num = len(evidence.searches)
    return [_searched(evidence, found, number, num) for number, found in enumerate(evidence.searches, 1)]


def _searched(evidence: Evidence, found: SearchFindings, number: int, num: int) -> Searched:
    grids = {"confirmed": confirmed_grid(found), "importance": importance_grid(found)}
    best, verdict = found.best, found.verdict
    folder = evidence.plan.ledger.report_folder(evidence.plan.sweep.name)
    is_said = num == 1 and verdict.text in evidence.summary.verdict.text
    return Searched(
        number=number,
        title=found.study if num > 1 else "",
        state=STATES[verdict.state],
        text="" if is_said else verdict.text,
        facts=facts_of(found),
        grids={name: grid for name, grid in grids.items() if grid is not None},
        best=best,
        command=f"python orchestrate.py {_short(folder / best)}" if best else "",
    )


def facts_of(found: SearchFindings) -> list[str]:
    """Return sentences on what was tried, how long it took, what won, and how often the test split was opened."""
    states = [row.state for row in found.history]
    by_state = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    hours = found.spent.work_s / 3600
    seeds = f"{count(len(found.seeds), 'seed')} for each complete proposal" if found.is_fresh else "no seeds"
    text = [
        f"{count(len(states), 'proposal')} by {found.sampler} (seed {found.seed})"
        f"{f': {by_state}' if by_state else ''}; {count(len(found.space), 'parameter')}, {seeds}, "
        f"{hours:.1f} hours of trials.",
        f"Proposals were chosen on valid alone. The test split was opened {_times(found.times_test_was_opened)}.",
        *_failed(found.history),
    ]
    if found.num_known:
        text.append(f"Given to the sampler at the start: {count(found.num_known, 'cell')} with results in the ledger.")
    if found.winner is not None:
        winner = "the default configuration" if found.winner == DEFAULT else f"proposal {found.winner}"
        text.append(f"Winner: {winner}.")
    return text


def _failed(history: Sequence[ProposalSummary]) -> list[str]:
    """Return why proposals failed, one sentence each; of many, only the first five."""
    failed = [row for row in history if row.state == "failed"]
    text = [f"Proposal {row.proposal} failed: {row.why.rstrip('.')}." for row in failed[:_FAILED_MAX]]
    rest = count(len(failed) - _FAILED_MAX, "further proposal")
    return [*text, f"And {rest} failed; the reasons are in search.json."] if len(failed) > _FAILED_MAX else text


def _times(number: int) -> str:
    if number < 2:
        return "once, after a winner was named" if number else "not at all"
    return f"{'twice' if number == 2 else f'{number} times'}, each time after a winner was named"


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path

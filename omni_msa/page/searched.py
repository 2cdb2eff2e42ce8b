"""What the page says of each search of a sweep."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omni_msa.comparisons.wording import count
from omni_msa.evidence import Evidence
from omni_msa.grids.grid import Grid
from omni_msa.grids.search_grids import confirmed_grid, importance_grid
from omni_msa.search_space import label

_STATES = {"real": "Real gain", "not decided": "Not decided", "nothing found": "Nothing found"}


@dataclass(frozen=True)
class Searched:
    """One search, as the page shows it.

    Args:
        number: from 1; figures of it end in it, from 2 on.
        title: its name where there are several, else "".
        state: of its verdict, in words.
        text: the sentences of its verdict.
        facts: what was tried, sentences.
        grids: name to table.
        best: the file with the winning configuration, "" while there is none.
        command: that runs it.
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
        """Return whether a figure, by its name, is of this search."""
        last = figure.rpartition("_")[2]
        return figure.startswith("search_") and (int(last) if last.isdecimal() else 1) == self.number


def searches_of(evidence: Evidence) -> list[Searched]:
    """Return what is said of each search of a sweep."""
    num = len(evidence.searches)
    return [_searched(evidence, found, number, num) for number, found in enumerate(evidence.searches, 1)]


def _searched(evidence: Evidence, found: Mapping[str, Any], number: int, num: int) -> Searched:
    grids = {"confirmed": confirmed_grid(found), "importance": importance_grid(found)}
    best = "" if found["winner"] is None else "best.yaml" if num == 1 else f"best_{number}.yaml"
    folder = evidence.plan.ledger.report_folder(evidence.plan.sweep.name)
    verdict = found["verdict"]
    return Searched(
        number=number,
        title=found["study"] if num > 1 else "",
        state=_STATES.get(verdict["state"], "Unfinished"),
        text=verdict["text"],
        facts=facts_of(found),
        grids={name: grid for name, grid in grids.items() if grid is not None},
        best=best,
        command=f"python orchestrate.py {_short(folder / best)}" if best else "",
    )


def facts_of(found: Mapping[str, Any]) -> list[str]:
    """Return as sentences what was tried, what it took, what was chosen and how often the test split was opened.

    Args:
        found: one search, as `search.json` has it.
    """
    states = [row["state"] for row in found["history"]]
    each = ", ".join(f"{states.count(state)} {_WORDS.get(state, state)}" for state in dict.fromkeys(states))
    hours = found["spent"]["work_s"] / 3600
    text = [
        f"{count(len(states), 'proposal')} by {found['sampler']} (seed {found['seed']})"
        f"{f': {each}' if each else ''}; {count(len(found['space']), 'parameter')}, "
        f"{count(len(found['seeds']), 'seed')} a whole proposal, {hours:.1f} hours of trials.",
        f"Proposals were chosen on valid alone. The test split was opened {_times(found['times_test_was_opened'])}"
        f"{', after a winner was named.' if found['times_test_was_opened'] else '.'}",
    ]
    if found["num_known"]:
        text.append(f"Told at the start: {count(found['num_known'], 'cell')} that the ledger knew before.")
    if found["winner"] is not None:
        parameters = [row["parameters"] for row in found["history"] if row["proposal"] == found["winner"]]
        text.append(f"Winner: proposal {found['winner']} ({label(parameters[0])})." if parameters else _STAYS)
    return text


_STAYS = "Winner: the default configuration."
_WORDS = {"pruned": "cut"}


def _times(number: int) -> str:
    return {0: "not at all", 1: "once", 2: "twice"}.get(number, f"{number} times")


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path

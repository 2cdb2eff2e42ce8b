"""The files of a study in the ledger. Each proposal is a file, written before its trials start."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from omni_msa.sweep.search_space import Parameter, is_in, text
from omni_msa.system.files import is_number, read_json, write_json
from omni_msa.system.process import now

DEFAULT = "default"
"""The name of the default configuration, used where a proposal has its number."""

_NUMBER_MAX = 10**9

Confirmation = tuple[str, tuple[int, ...]]
"""A confirmed proposal: its parameters as `search_space.text` writes them, and the fresh seeds, sorted."""


@dataclass(frozen=True)
class Proposal:
    """A proposal of a sampler.

    Args:
        number: from 0, in the order of suggestion.
        parameters: dotted path to value.
        rung: the rung that it is run to, from 0; it rises when the proposal is promoted.
        trials: ids of its trials so far, by seed; only for people, they are computed from the parameters.
        time: when it was made, ISO time.
        notes: notes of the sampler, which gets them back together with the value.
    """

    number: int
    parameters: dict[str, Any]
    rung: int = 0
    trials: dict[str, str] = field(default_factory=dict)
    time: str = ""
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PriorResult:
    """A result that the ledger had before the search began.

    Args:
        parameters: a point of the space.
        values: one for each objective.
    """

    parameters: dict[str, Any]
    values: tuple[float, ...]


class StudyFolder:
    """Reads and writes the files of one study: `study.json`, `proposals/<number>.json`, `winner.json` and others.

    Args:
        path: `mlruns/searches/<study id>`.
        space: the search space; proposals outside it (of an edited file) are left out.
    """

    def __init__(self, path: Path, space: Mapping[str, Parameter]) -> None:
        self.path, self._space = path, space

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Write what identifies the study, for people and to find other searches for the same configuration."""
        if read_json(self.path / "study.json") != json.loads(json.dumps(facts)):
            write_json(self.path / "study.json", dict(facts))

    def alike(self) -> list["StudyFolder"]:
        """Return all searches, this one first, with the same sweep name and default configuration."""
        facts, others = read_json(self.path / "study.json") or {}, []
        for path in sorted(self.path.parent.glob("*/study.json")):
            theirs = read_json(path) or {}
            if path.parent != self.path and all(facts.get(key) == theirs.get(key, "") for key in ("sweep", "base")):
                others.append(StudyFolder(path.parent, {}))
        return [self, *others]

    def proposals(self) -> list[Proposal]:
        """Return all proposals by number; damaged and foreign files are left out."""
        proposals = [self._proposal(path) for path in sorted((self.path / "proposals").glob("[0-9]*.json"))]
        return sorted((each for each in proposals if each is not None), key=lambda each: each.number)

    def _proposal(self, path: Path) -> Proposal | None:
        values = read_json(path) or {}
        kinds = {name: type(value) for name, value in asdict(Proposal(0, {})).items()}
        if set(values) != set(kinds) or any(type(values[name]) is not kind for name, kind in kinds.items()):
            return None
        proposal = Proposal(**values)
        is_sound = path.stem == _stem(proposal.number) and 0 <= proposal.rung < _NUMBER_MAX
        return proposal if is_sound and is_in(self._space, proposal.parameters) else None

    def next_number(self) -> int:
        """Return the number of the next proposal, above those of all files, even of damaged ones."""
        stems = [path.stem for path in (self.path / "proposals").glob("[0-9]*.json")]
        return 1 + max((int(stem) for stem in stems if stem.isdecimal()), default=-1)

    def write(self, proposal: Proposal) -> None:
        """Write a proposal; a promoted one replaces its file."""
        stamped = proposal if proposal.time else replace(proposal, time=now())
        write_json(self.path / "proposals" / f"{_stem(proposal.number)}.json", asdict(stamped))

    def known(self) -> list[PriorResult] | None:
        """Return the results that the ledger had before the search began, None if it has not been searched yet."""
        values = read_json(self.path / "known.json")
        if values is None or not isinstance(values.get("cells"), list):
            return None
        return [
            PriorResult(cell["parameters"], tuple(cell["values"])) for cell in values["cells"] if self._is_known(cell)
        ]

    def _is_known(self, cell: Any) -> bool:
        if not isinstance(cell, dict) or not isinstance(cell.get("parameters"), dict):
            return False
        values = cell.get("values")
        return isinstance(values, list) and all(map(is_number, values)) and is_in(self._space, cell["parameters"])

    def write_known(self, cells: Sequence[PriorResult]) -> None:
        """Write the results that the ledger has before the search begins; they do not change afterwards."""
        write_json(self.path / "known.json", {"cells": [asdict(each) for each in cells]})

    def winner(self) -> dict[str, Any]:
        """Return the latest naming of a winner, {} if there is none."""
        return next(iter(self.winners()), {})

    def winners(self) -> list[dict[str, Any]]:
        """Return all namings of a winner, the latest first; invalid ones (of an edited file) are left out."""
        last = read_json(self.path / "winner.json") or {}
        earlier = last.pop("earlier", [])
        namings = [last, *reversed(earlier if isinstance(earlier, list) else [])]
        return [naming for naming in namings if _is_naming(naming)]

    def write_winner(self, facts: Mapping[str, Any]) -> None:
        """Write the naming of a winner; earlier ones are kept, as the test split was opened for each."""
        write_json(self.path / "winner.json", {**facts, "time": now(), "earlier": self.winners()[::-1]})

    def confirmed(self) -> set[Confirmation]:
        """Return all proposals that were ever confirmed; invalid entries (of an edited file) are left out."""
        cells = (read_json(self.path / "confirmed.json") or {}).get("cells")
        return {
            (text(cell["parameters"]), tuple(cell["seeds"]))
            for cell in (cells if isinstance(cells, list) else ())
            if isinstance(cell, dict) and isinstance(cell.get("parameters"), dict) and _are_seeds(cell.get("seeds"))
        }

    def note_confirmed(self, those: set[Confirmation]) -> None:
        """Add proposals to those that were ever confirmed, before any of their trials starts."""
        if not those <= (old := self.confirmed()):
            cells = [{"parameters": json.loads(point), "seeds": list(seeds)} for point, seeds in sorted(old | those)]
            write_json(self.path / "confirmed.json", {"cells": cells})

    def spent(self) -> dict[str, float]:
        """Return the time that the search has used: `wall_s` elapsed and `work_s` of all its trials, in seconds."""
        values = read_json(self.path / "spent.json") or {}
        return {name: float(values[name]) if is_number(values.get(name)) else 0.0 for name in ("wall_s", "work_s")}

    def write_spent(self, spent: Mapping[str, float]) -> None:
        """Write the time that the search has used, as `spent` returns it."""
        write_json(self.path / "spent.json", dict(spent))


def _is_naming(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    seeds, valid, candidate, winner = (value.get(name) for name in ("seeds", "valid", "candidate", "winner"))
    if not isinstance(valid, dict) or not _are_seeds(seeds):
        return False
    are_names = all(name == DEFAULT or name.isdecimal() for name in valid)
    is_candidate = candidate is None or (type(candidate) is int and str(candidate) in valid)
    names = [DEFAULT, *([] if candidate is None else [candidate])]
    return are_names and is_candidate and winner in names


def _are_seeds(value: Any) -> bool:
    return isinstance(value, list) and all(type(seed) is int for seed in value)


def study_id(facts: Mapping[str, Any]) -> str:
    """Return the id of a study, 16 hex digits of a hash of all that identifies it."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, allow_nan=False).encode()).hexdigest()[:16]


def _stem(number: int) -> str:
    return f"{number:05d}"

"""The ledger of proposals: one small file each, written before anything of it starts. Studies are rebuilt from it."""

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
"""The name of the configuration without any parameter of the space set, where others have a proposal's number."""

_NUMBER_MAX = 10**9

Confirmation = tuple[str, tuple[int, ...]]
"""One of the best, run with fresh seeds: its parameters as `search_space.text` writes them, and the seeds, sorted."""


@dataclass(frozen=True)
class Proposal:
    """What a sampler suggested.

    Args:
        number: from 0, in the order of suggestion.
        parameters: dotted path to value.
        rung: how far it may be run, from 0; rises when it is promoted.
        trials: ids of its trials so far, by seed, for people; what counts is made of the parameters.
        time: when it was made, ISO time.
        notes: the sampler's own, which it wants back with the value.
    """

    number: int
    parameters: dict[str, Any]
    rung: int = 0
    trials: dict[str, str] = field(default_factory=dict)
    time: str = ""
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PriorResult:
    """A cell that trials of the ledger told of before the search began.

    Args:
        parameters: a point of the space.
        values: one for each objective.
    """

    parameters: dict[str, Any]
    values: tuple[float, ...]


class StudyFolder:
    """The files of one study: `study.json`, `proposals/<number>.json`, `known.json`, `winner.json` and others.

    Args:
        path: `mlruns/searches/<study id>`.
        space: proposals outside it (somebody changed a file) are left out.
    """

    def __init__(self, path: Path, space: Mapping[str, Parameter]) -> None:
        self.path, self._space = path, space

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Write what the study is about: for people, and to tell which searches are for the same configuration."""
        if read_json(self.path / "study.json") != json.loads(json.dumps(facts)):
            write_json(self.path / "study.json", dict(facts))

    def alike(self) -> list["StudyFolder"]:
        """Return the searches for the same cell of a sweep of this name, this one first, whatever else has changed."""
        facts, others = read_json(self.path / "study.json") or {}, []
        for path in sorted(self.path.parent.glob("*/study.json")):
            found = read_json(path) or {}
            if path.parent != self.path and all(facts.get(key) == found.get(key, "") for key in ("sweep", "base")):
                others.append(StudyFolder(path.parent, {}))
        return [self, *others]

    def proposals(self) -> list[Proposal]:
        """Return all proposals by number; torn and foreign files are left out."""
        found = [self._proposal(path) for path in sorted((self.path / "proposals").glob("[0-9]*.json"))]
        return sorted((each for each in found if each is not None), key=lambda each: each.number)

    def _proposal(self, path: Path) -> Proposal | None:
        values = read_json(path) or {}
        kinds = {name: type(value) for name, value in asdict(Proposal(0, {})).items()}
        if set(values) != set(kinds) or any(type(values[name]) is not kind for name, kind in kinds.items()):
            return None
        one = Proposal(**values)
        is_sound = path.stem == _stem(one.number) and 0 <= one.rung < _NUMBER_MAX
        return one if is_sound and is_in(self._space, one.parameters) else None

    def next_number(self) -> int:
        """Return the number of the next proposal: above all that there ever were, torn files included."""
        stems = [path.stem for path in (self.path / "proposals").glob("[0-9]*.json")]
        return 1 + max((int(stem) for stem in stems if stem.isdecimal()), default=-1)

    def write(self, proposal: Proposal) -> None:
        """Write a proposal, or write it again after it was promoted."""
        stamped = proposal if proposal.time else replace(proposal, time=now())
        write_json(self.path / "proposals" / f"{_stem(proposal.number)}.json", asdict(stamped))

    def known(self) -> list[PriorResult] | None:
        """Return what was known before the search began, None if nobody has looked yet."""
        values = read_json(self.path / "known.json")
        if values is None or not isinstance(values.get("cells"), list):
            return None
        return [
            PriorResult(each["parameters"], tuple(each["values"])) for each in values["cells"] if self._is_known(each)
        ]

    def _is_known(self, each: Any) -> bool:
        if not isinstance(each, dict) or not isinstance(each.get("parameters"), dict):
            return False
        values = each.get("values")
        return isinstance(values, list) and all(map(is_number, values)) and is_in(self._space, each["parameters"])

    def write_known(self, cells: Sequence[PriorResult]) -> None:
        """Write what was known before the search began: from then on it does not change."""
        write_json(self.path / "known.json", {"cells": [asdict(each) for each in cells]})

    def winner(self) -> dict[str, Any]:
        """Return the winner that was named last, empty if none has been."""
        return next(iter(self.winners()), {})

    def winners(self) -> list[dict[str, Any]]:
        """Return what was named, the latest first; what is no naming (somebody changed the file) is left out."""
        last = read_json(self.path / "winner.json") or {}
        earlier = last.pop("earlier", [])
        every = [last, *reversed(earlier if isinstance(earlier, list) else [])]
        return [each for each in every if _is_naming(each)]

    def write_winner(self, facts: Mapping[str, Any]) -> None:
        """Name a winner; those named before are kept, for each time the test split was opened."""
        write_json(self.path / "winner.json", {**facts, "time": now(), "earlier": self.winners()[::-1]})

    def confirmed(self) -> set[Confirmation]:
        """Return what was ever run with fresh seeds to name a winner by; what is none (a changed file) is left out."""
        found = (read_json(self.path / "confirmed.json") or {}).get("cells")
        return {
            (text(each["parameters"]), tuple(each["seeds"]))
            for each in (found if isinstance(found, list) else ())
            if isinstance(each, dict) and isinstance(each.get("parameters"), dict) and _are_seeds(each.get("seeds"))
        }

    def note_confirmed(self, those: set[Confirmation]) -> None:
        """Note what is confirmed, before anything of it starts."""
        if not those <= (before := self.confirmed()):
            cells = [{"parameters": json.loads(point), "seeds": list(seeds)} for point, seeds in sorted(before | those)]
            write_json(self.path / "confirmed.json", {"cells": cells})

    def spent(self) -> dict[str, float]:
        """Return what the search has taken so far: `wall_s` and `work_s`, in seconds."""
        values = read_json(self.path / "spent.json") or {}
        return {name: float(values[name]) if is_number(values.get(name)) else 0.0 for name in ("wall_s", "work_s")}

    def write_spent(self, spent: Mapping[str, float]) -> None:
        """Write what the search has taken so far."""
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
    """Return 16 hex digits that name a study by all that its proposals depend on."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, allow_nan=False).encode()).hexdigest()[:16]


def _stem(number: int) -> str:
    return f"{number:05d}"

"""What finished trials of the ledger tell a search before it begins: those that lie in its space."""

import math
from collections.abc import Mapping
from typing import Any

from omni_msa.errors import InputError
from omni_msa.files import read_json
from omni_msa.identity import trial_id
from omni_msa.proposals import Known
from omni_msa.search_space import counts, is_in, ordered, same
from omni_msa.study import Study
from omni_msa.sweep import proposed


def look_up_known(study: Study) -> list[Known]:
    """Return the cells of the ledger that lie in a study's space, with the means over their seeds.

    Seeds that will confirm are left out: they would not be fresh.

    Args:
        study: with its space.
    """
    found: list[tuple[dict[str, Any], list[tuple[float, ...]]]] = []
    for path in sorted((study.ledger.root / "trials").glob("*/config.json")):
        parameters, seed = _parameters(study, read_json(path) or {}), (read_json(path) or {}).get("seed")
        result = study.ledger.trial(path.parent.name, opens_test=False).result()
        if result is None or parameters is None or seed in study.search.confirm.seeds:
            continue
        values = study.values(result) if _id(study, parameters, seed) == path.parent.name else None
        if values is None or not all(map(math.isfinite, values)):
            continue
        cell = next((each for each in found if same(each[0], parameters)), None)
        if cell is None:
            found.append(cell := (parameters, []))
        cell[1].append(values)
    return [
        Known(parameters, tuple(math.fsum(each) / len(each) for each in zip(*values, strict=True)))
        for parameters, values in found
    ]


def _parameters(study: Study, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the point of the space that a trial's configuration lies at, None if it lies outside."""
    found: dict[str, Any] = {}
    for path in ordered(study.search.space):
        inner: Any = config
        for part in path.split("."):
            inner = inner.get(part) if isinstance(inner, Mapping) else None
        if counts(study.search.space[path], found):
            found[path] = inner
    return found if is_in(study.search.space, found) else None


def _id(study: Study, parameters: Mapping[str, Any], seed: Any) -> str:
    """Return the id that a trial of the study would have there."""
    try:
        config = proposed(study.sweep, study.cell, parameters).config
        return trial_id(config.model_copy(update={"seed": seed}), study.fingerprint)
    except InputError:
        return ""

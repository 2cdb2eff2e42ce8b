"""What finished trials of the ledger tell a search before it begins: those that lie in its space."""

import math
from collections.abc import Mapping
from typing import Any

from omni_msa.config.identity import trial_id
from omni_msa.errors import InputError
from omni_msa.search.study import Study
from omni_msa.search.study_folder import PriorResult
from omni_msa.sweep.search_space import counts, is_in, ordered, text
from omni_msa.sweep.sweep import proposed


def look_up_known(study: Study) -> list[PriorResult]:
    """Return the cells of the ledger that lie in a study's space, with the means over the seeds of its proposals.

    A cell counts if all of these seeds are complete: means over others could not be compared with those of proposals.

    Args:
        study: with its space.
    """
    points: dict[str, dict[str, Any]] = {}
    for folder in study.ledger.begun_trials():
        parameters = _parameters(study, folder.config() or {})
        if parameters is not None:
            points.setdefault(text(parameters), parameters)
    found = [(point, _means(study, point)) for point in points.values()]
    return [PriorResult(point, means) for point, means in found if means is not None]


def _means(study: Study, parameters: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Return the means of a cell's objectives over the seeds of proposals, None unless all are complete and finite."""
    try:
        cell = proposed(study.sweep, study.cell, parameters)
    except InputError:
        return None
    every = []
    for seed in (None,) if cell.deterministic else study.sweep.file.seeds:
        name = trial_id(cell.config.model_copy(update={"seed": seed}), study.fingerprint)
        result = study.ledger.trial(name, opens_test=False).result()
        values = None if result is None else study.values(result)
        if values is None or not all(map(math.isfinite, values)):
            return None
        every.append(values)
    return tuple(math.fsum(each) / len(each) for each in zip(*every, strict=True))


def _parameters(study: Study, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the point of the space that a trial's configuration lies at, None if it lies outside."""
    found: dict[str, Any] = {}
    for path in ordered(study.search.space):
        inner: Any = config
        for part in path.split("."):
            inner = inner.get(part) if isinstance(inner, Mapping) else None
        if counts(study.search.space[path], found):
            found[path] = study.search.space[path].own(inner)
    return found if is_in(study.search.space, found) else None

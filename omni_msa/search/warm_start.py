"""The warm start of a search: results of complete trials of the ledger that lie in its space."""

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
    """Return the points of a study's space for which the ledger has results, with the means over the study's seeds.

    All these seeds must be complete, since means over other seeds could not be compared with those of proposals.

    Args:
        study: the search.
    """
    points: dict[str, dict[str, Any]] = {}
    for folder in study.ledger.begun_trials():
        parameters = _parameters(study, folder.config() or {})
        if parameters is not None:
            points.setdefault(text(parameters), parameters)
    results = [(point, _means(study, point)) for point in points.values()]
    return [PriorResult(point, means) for point, means in results if means is not None]


def _means(study: Study, parameters: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Return the mean of each objective over the study's seeds, None unless all are complete and finite."""
    try:
        cell = proposed(study.sweep, study.cell, parameters)
    except InputError:
        return None
    seed_values = []
    for seed in (None,) if cell.deterministic else study.sweep.file.seeds:
        name = trial_id(cell.config.model_copy(update={"seed": seed}), study.fingerprint)
        result = study.ledger.trial(name, opens_test=False).result()
        values = None if result is None else study.values(result)
        if values is None or not all(map(math.isfinite, values)):
            return None
        seed_values.append(values)
    return tuple(math.fsum(each) / len(each) for each in zip(*seed_values, strict=True))


def _parameters(study: Study, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a trial's configuration as a point of the space, None if it lies outside."""
    point: dict[str, Any] = {}
    for path in ordered(study.search.space):
        inner: Any = config
        for part in path.split("."):
            inner = inner.get(part) if isinstance(inner, Mapping) else None
        if counts(study.search.space[path], point):
            point[path] = study.search.space[path].own(inner)
    return point if is_in(study.search.space, point) else None

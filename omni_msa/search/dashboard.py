"""Searches as `optuna-dashboard` shows them."""

from collections.abc import Iterable
from dataclasses import replace

from omni_msa.search.study import Study

PUBLISH_EVERY_S = 30.0
"""A driver shows a search so often while it goes on."""


def publish(studies: Iterable[Study]) -> str:
    """Show what searches have found in Optuna's database, where `optuna-dashboard` finds it; only the driver writes it.

    Args:
        studies: the searches; how far they are is read from the ledger.

    Returns:
        What went wrong, "" if nothing did: it is a view, which every run writes again.
    """
    from omni_msa.search import optuna_sampler

    try:
        for study in (replace(each, proposals=[]) for each in studies):
            path = study.ledger.optuna_database
            optuna_sampler.publish(path, study.title, study.search, study.dated(), study.is_searched())
    except Exception as error:
        return f"optuna.db could not be written ({type(error).__name__}: {(str(error).splitlines() or [''])[0]})"
    return ""

"""The view of searches for `optuna-dashboard`: a database that can be deleted and is written again."""

from collections.abc import Iterable
from dataclasses import replace

from omni_msa.search.study import Study

PUBLISH_EVERY_S = 30.0
"""How often a driver updates the database while a search runs, in seconds."""


def publish(studies: Iterable[Study]) -> str:
    """Write the proposals of searches and their values to Optuna's database; only the driver may do so.

    Args:
        studies: the searches; their state is read from the ledger.

    Returns:
        an error message, "" if there was none; no error is raised, as the database is only a view.
    """
    from omni_msa.search import optuna_sampler

    try:
        for study in (replace(each, proposals=[]) for each in studies):
            path = study.ledger.optuna_database
            optuna_sampler.publish(path, study.title, study.search, study.dated(), study.is_searched())
    except Exception as error:
        return f"optuna.db could not be written ({type(error).__name__}: {(str(error).splitlines() or [''])[0]})"
    return ""

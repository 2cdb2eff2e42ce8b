"""The ledger: one folder a trial, the truth about what is done. MLflow, tables and reports are views of it."""

from collections.abc import Iterator
from pathlib import Path

from omni_msa.errors import InputError, Problem
from omni_msa.ledger import names
from omni_msa.ledger.fits import FitFiles
from omni_msa.ledger.trial_folder import TrialFolder
from omni_msa.system.files import read_json, write_json

FORMAT = 1
"""Rises when a version of this package could misread what another one has written."""


class Ledger:
    """The folder `mlruns/`: trials, fits, and what is made from them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def check_format(self) -> None:
        """Refuse a ledger that a newer version has written.

        Raises:
            InputError: names the folder, its format, and the newest one that can be read.
        """
        found = (read_json(self.root / names.FORMAT) or {}).get("format")
        if type(found) is int and found > FORMAT:
            what, step = (
                "the ledger was written by a newer version",
                "update omni-msa, or set OMNI_MSA_LEDGER to another",
            )
            raise InputError(Problem(what, str(self.root), f"format {found}", f"up to {FORMAT}", f"{step} folder"))

    def write_format(self) -> None:
        """Say in which format this version writes; only a driver does."""
        if read_json(self.root / names.FORMAT) != {"format": FORMAT}:
            write_json(self.root / names.FORMAT, {"format": FORMAT})

    def trial(self, trial_id: str, opens_test: bool = True) -> TrialFolder:
        """Return a trial's folder, which need not exist yet; for a search with the test split locked."""
        return TrialFolder(self.root / names.TRIALS / trial_id, opens_test)

    def begun_trials(self) -> Iterator[TrialFolder]:
        """Yield the folder of every trial that has ever begun, in order of their ids, the test split locked."""
        for path in sorted((self.root / names.TRIALS).glob(f"*/{names.CONFIG}")):
            yield TrialFolder(path.parent, opens_test=False)

    def fit(self, fit_id: str) -> Path:
        """Return the folder of a fit: its checkpoint and, when trained, its record."""
        return self.root / names.FITS / fit_id

    def is_fitted(self, fit_id: str) -> bool:
        """Return whether a training has ended."""
        return FitFiles(self.fit(fit_id)).is_finished

    def tidy(self) -> None:
        """Remove what killed writers left: temporary files, and training states of fits that are finished."""
        inside = (names.TRIALS, names.FITS, names.REPORTS, names.SEARCHES)
        patterns = [".*.db*", *(f"{folder}/*/.*" for folder in inside), f"{names.BAD_CLIPS}/.*"]
        for pattern in (*patterns, f"{names.FITS}/*/{names.CHECKPOINT}/.*", f"{names.SEARCHES}/*/proposals/.*"):
            for file in self.root.glob(pattern):
                file.unlink(missing_ok=True)
        for file in self.root.glob(f"{names.FITS}/*/{names.FIT_RECORD}"):
            FitFiles(file.parent).state.unlink(missing_ok=True)

    def remove_report_drafts(self) -> None:
        """Remove what a killed driver was writing: it would go to MLflow with the tables."""
        for draft in self.root.glob(f"{names.REPORTS}/*/.*"):
            draft.unlink(missing_ok=True)

    @property
    def driver(self) -> Path:
        """Where the lease of the one driver lies."""
        return self.root / names.DRIVER

    @property
    def stop_file(self) -> Path:
        """While this file exists, trials checkpoint at their next optimiser step and end."""
        return self.root / names.STOP

    def report_folder(self, sweep: str) -> Path:
        """Return where a sweep's tables go."""
        return self.root / names.REPORTS / names.folder_name(sweep)

    def sweep_name(self, sweep: str) -> Path:
        """Return the file that says whose a sweep's name is."""
        return self.root / names.SWEEP_NAMES / f"{names.folder_name(sweep)}.json"

    def study(self, study_id: str) -> Path:
        """Return the folder of a search: its proposals, and what was confirmed."""
        return self.root / names.SEARCHES / study_id

    def bad_clips(self, key: str) -> Path:
        """Return the file with a list of bad clips."""
        return self.root / names.BAD_CLIPS / f"{key}.json"

    def warm_up(self, name: str) -> Path:
        """Return the file with what a warm-up has measured of a kind of trial."""
        return self.root / names.WARM_UPS / f"{name}.json"

    @property
    def artifacts(self) -> Path:
        """Where files attached to MLflow's runs lie."""
        return self.root / names.ARTIFACTS

    @property
    def mlflow_database(self) -> Path:
        """Where MLflow's data is, unless its environment names another place."""
        return self.root / names.MLFLOW_DATABASE

    @property
    def optuna_database(self) -> Path:
        """Where `optuna-dashboard` finds searches."""
        return self.root / names.OPTUNA_DATABASE

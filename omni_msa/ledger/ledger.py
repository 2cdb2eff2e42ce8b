"""The ledger: one folder per trial, which decides what is done. MLflow, tables and reports are views of it."""

from collections.abc import Iterator
from pathlib import Path

from omni_msa.errors import InputError, Problem
from omni_msa.ledger import names
from omni_msa.ledger.fits import FitFiles
from omni_msa.ledger.trial_folder import TrialFolder
from omni_msa.system.files import read_json, write_json

FORMAT = 1
"""Raised when a version of this package could misread what another version has written."""


class Ledger:
    """The folder `mlruns/`: trials, fits, reports, searches and MLflow data."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def check_format(self) -> None:
        """Refuse a ledger that a newer version has written.

        Raises:
            InputError: the format of the ledger is newer than this version can read.
        """
        written = (read_json(self.root / names.FORMAT) or {}).get("format")
        if type(written) is int and written > FORMAT:
            what = "the ledger was written by a newer version of omni-msa"
            step = "update omni-msa, or set OMNI_MSA_LEDGER to another folder"
            raise InputError(Problem(what, str(self.root), f"format {written}", f"up to {FORMAT}", step))

    def write_format(self) -> None:
        """Record the format in which this version writes; called by the driver only."""
        if read_json(self.root / names.FORMAT) != {"format": FORMAT}:
            write_json(self.root / names.FORMAT, {"format": FORMAT})

    def trial(self, trial_id: str, opens_test: bool = True) -> TrialFolder:
        """Return the folder of a trial, which need not exist yet; `opens_test` False keeps the test split locked."""
        return TrialFolder(self.root / names.TRIALS / trial_id, opens_test)

    def begun_trials(self) -> Iterator[TrialFolder]:
        """Yield the folder of every trial that was ever started, ordered by id, with the test split locked."""
        for path in sorted((self.root / names.TRIALS).glob(f"*/{names.CONFIG}")):
            yield TrialFolder(path.parent, opens_test=False)

    def fit(self, fit_id: str) -> Path:
        """Return the folder of a fit: its checkpoint and, after training, its record."""
        return self.root / names.FITS / fit_id

    def is_fitted(self, fit_id: str) -> bool:
        """Return whether the training of a fit has ended."""
        return FitFiles(self.fit(fit_id)).is_finished

    def tidy(self) -> None:
        """Remove what killed processes left: temporary files, and training states of finished fits."""
        inside = (names.TRIALS, names.FITS, names.REPORTS, names.SEARCHES)
        patterns = [".*.db*", *(f"{folder}/*/.*" for folder in inside), f"{names.BAD_CLIPS}/.*"]
        for pattern in (*patterns, f"{names.FITS}/*/{names.CHECKPOINT}/.*", f"{names.SEARCHES}/*/proposals/.*"):
            for file in self.root.glob(pattern):
                file.unlink(missing_ok=True)
        for file in self.root.glob(f"{names.FITS}/*/{names.FIT_RECORD}"):
            FitFiles(file.parent).state.unlink(missing_ok=True)

    def remove_report_drafts(self) -> None:
        """Remove temporary files of a killed driver from report folders, which would be sent to MLflow."""
        for draft in self.root.glob(f"{names.REPORTS}/*/.*"):
            draft.unlink(missing_ok=True)

    @property
    def driver(self) -> Path:
        """Folder of the lease of the driver."""
        return self.root / names.DRIVER

    @property
    def stop_file(self) -> Path:
        """While this file exists, trials write a checkpoint after their next optimiser step and end."""
        return self.root / names.STOP

    def report_folder(self, sweep: str) -> Path:
        """Return the folder of a sweep's report."""
        return self.root / names.REPORTS / names.folder_name(sweep)

    def sweep_name(self, sweep: str) -> Path:
        """Return the file that records which sweep uses a name."""
        return self.root / names.SWEEP_NAMES / f"{names.folder_name(sweep)}.json"

    def study(self, study_id: str) -> Path:
        """Return the folder of a search: its proposals and confirmed cells."""
        return self.root / names.SEARCHES / study_id

    def bad_clips(self, key: str) -> Path:
        """Return the file of a list of bad clips."""
        return self.root / names.BAD_CLIPS / f"{key}.json"

    def warm_up(self, name: str) -> Path:
        """Return the file of the measurements that a warm-up made of one kind of trial."""
        return self.root / names.WARM_UPS / f"{name}.json"

    @property
    def artifacts(self) -> Path:
        """Folder of the files attached to MLflow runs."""
        return self.root / names.ARTIFACTS

    @property
    def mlflow_database(self) -> Path:
        """Database of MLflow, unless `MLFLOW_TRACKING_URI` is set."""
        return self.root / names.MLFLOW_DATABASE

    @property
    def optuna_database(self) -> Path:
        """Database of searches for `optuna-dashboard`."""
        return self.root / names.OPTUNA_DATABASE

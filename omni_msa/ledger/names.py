"""Names of the files and folders of the ledger; no other module has them."""

TRIALS, FITS, REPORTS, SEARCHES = "trials", "fits", "reports", "searches"
BAD_CLIPS, WARM_UPS, ARTIFACTS = "quarantine", "measured", "artifacts"
SWEEP_NAMES, DRIVER, STOP, FORMAT = "sweeps", "driver", "stop", "format.json"
MLFLOW_DATABASE, OPTUNA_DATABASE = "mlflow.db", "optuna.db"

# Of a trial.
CONFIG, STATUS, METRICS, PROVENANCE = "config.json", "status.json", "metrics.jsonl", "provenance.json"
RESULT, TEST, ERROR, STACKS = "result.json", "test.json", "error.txt", "stacks.txt"
PREDICTIONS, HIDDEN_STATES = "predictions.{split}.parquet", "states.test.npz"
ALL_PREDICTIONS = PREDICTIONS.format(split="*")

# Of a fit.
FIT_RECORD, CHECKPOINT, FIT_STATE, WEIGHTS = "fit.json", "checkpoint", "state.safetensors", "best.{epoch}.safetensors"


def folder_name(sweep: str) -> str:
    """Return a sweep's name as the name of a file or folder: `paper__lora_rank` for `paper/lora_rank`."""
    return sweep.replace("/", "__")

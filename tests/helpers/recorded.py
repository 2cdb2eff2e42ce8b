"""Real trials of the pocket sweeps, kept by cell and seed: put into a ledger, they are found by the present ids.

To record them again, after the trials have been run: `python tests/helpers/recorded.py LEDGER`.
"""

import io
import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

from helpers.paths import FIXTURES, ROOT
from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.trials import PlannedTrial
from omni_msa.planning.plan import Plan, make_plan
from omni_msa.sweep.sweep import load_sweep

FOLDER = FIXTURES / "recorded"
SWEEPS = {
    "readout_comparison": (),
    "modality_ablation": ("axes.modalities=[[text],[audio],[video],[text,audio,video]]",),
}
"""What is recorded: sweep, and settings laid over it."""
FILES = (
    *("config.json", "result.json", "test.json", "metrics.jsonl", "provenance.json", "status.json"),
    *("predictions.valid.parquet", "predictions.test.parquet", "states.test.npz"),
)
_OF_ONE_MACHINE = ("host", "pid", "pid_started", "place")
_DATE = (2026, 1, 1, 0, 0, 0)  # the same files give the same bytes


def recorded_plan(sweep: str, ledger: Path, *settings: str) -> Plan:
    """Put the recorded trials of a sweep into a ledger and return the plan that finds them complete.

    Args:
        sweep: one of `SWEEPS`.
        ledger: its root, made if missing.
        settings: laid over the sweep, such as `style=mmsa`; they must leave cells and seeds as they are.
    """
    plan = _plan(sweep, ledger, settings)
    with zipfile.ZipFile(FOLDER / f"{sweep}.zip") as archive:
        there = set(archive.namelist())
        for trial in plan.trials:
            folder = plan.ledger.trial(trial.trial_id).path
            for place, name in ((f"{_place(trial)}/{name}", name) for name in FILES):
                if place in there:
                    _restore(folder / name, trial, archive.read(place))
    return _plan(sweep, ledger, settings)


def record(ledger: Path, folder: Path = FOLDER) -> None:
    """Write the fixtures from a ledger in which the sweeps are complete; what names a machine is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for sweep in SWEEPS:
        plan = _plan(sweep, ledger, ())
        if plan.missing():
            raise SystemExit(f"{sweep}: {len(plan.missing())} trials are missing in {ledger}")
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for trial in plan.trials:
                for file in (plan.ledger.trial(trial.trial_id).path / name for name in FILES):
                    if file.exists():
                        info = zipfile.ZipInfo(f"{_place(trial)}/{file.name}", _DATE)
                        archive.writestr(info, _anonymous(file), zipfile.ZIP_DEFLATED)
        (folder / f"{sweep}.zip").write_bytes(content.getvalue())


def _plan(sweep: str, ledger: Path, settings: tuple[str, ...]) -> Plan:
    return make_plan(load_sweep(ROOT / "sweeps" / f"{sweep}.yaml", [*SWEEPS[sweep], *settings]), Ledger(ledger))


def _place(trial: PlannedTrial) -> str:
    return f"{trial.cells[0]}/{trial.config.seed}"


def _restore(path: Path, trial: PlannedTrial, content: bytes) -> None:
    if path.name == "result.json":
        result: dict[str, Any] = json.loads(content)
        content = json.dumps({**result, "trial_id": trial.trial_id, "fit_id": trial.fit_id}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _anonymous(file: Path) -> bytes:
    if file.name not in ("provenance.json", "status.json"):
        return file.read_bytes()
    values = json.loads(file.read_text(encoding="utf-8"))
    kept = {name: value for name, value in values.items() if name not in _OF_ONE_MACHINE}
    if "platform" in kept:  # without the kernel's build
        kept["platform"] = re.sub(r"^(Linux-\d+\.\d+)\..*?-(?=\w+-with-)", r"\1-", kept["platform"])
    return json.dumps(kept).encode()


if __name__ == "__main__":
    record(Path(sys.argv[1]).absolute())

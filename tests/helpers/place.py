"""A folder with a sweep, a ledger and a cache of its own, and the command line in processes of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

from helpers.paths import ROOT
from helpers.tiny_trials import SENTENCES, make_clips

PROFILE = """
dataset: {name: vader_av, num_train: 8, num_valid: 4, num_test: 4}
modalities: [text]
backbone: {name: tiny}
adapter: {rank: 4, alpha: 8.0, towers: [text], text_layers: last_2}
readout: {name: discriminative}
training: {epochs: 2, batch_size: 4}
runtime: {device: cpu}
"""
SWEEP = """
question: Does it run?
profile: small
axes: {readout: [discriminative, generative, expected_value, constant]}
seeds: [1, 2]
compare: {against: {readout: constant}}
"""


class Place:
    """A folder with a sweep, a ledger and a cache of its own.

    Args:
        folder: exists and is empty.
        profile, sweep: what the two files hold.
        dataset, sentences: as in `make_clips`.
    """

    def __init__(
        self, folder: Path, profile: str = PROFILE, sweep: str = SWEEP, dataset: dict | None = None, sentences=SENTENCES
    ) -> None:
        self.folder, self.sweep, self.ledger = folder, folder / "small.yaml", folder / "mlruns"
        (folder / "profiles").mkdir()
        (folder / "profiles" / "small.yaml").write_text(profile)
        self.sweep.write_text(sweep)
        make_clips(folder / "cache", with_media=False, dataset=dataset, sentences=sentences)
        (clips,) = (folder / "cache").rglob("clips.csv")
        clips.write_text(clips.read_text().replace(",0\n", ",0 1\n"))  # two raters each, for the human row
        own = {"OMNI_MSA_CACHE": str(folder / "cache"), "OMNI_MSA_LEDGER": str(self.ledger), "OMP_NUM_THREADS": "1"}
        self.environment = {**os.environ, **own}
        self.environment.pop("MLFLOW_TRACKING_URI", None)

    def start(self, *arguments: str, sweep: Path | None = None) -> subprocess.Popen:
        command = [sys.executable, str(ROOT / "orchestrate.py"), str(sweep or self.sweep), *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env=self.environment, text=True, start_new_session=True, **pipes)

    def run(self, *arguments: str, sweep: Path | None = None) -> subprocess.CompletedProcess:
        with self.start(*arguments, sweep=sweep) as process:
            out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def trial_files(self) -> dict[str, int]:
        return {str(file): file.stat().st_mtime_ns for file in self.ledger.glob("trials/*/*")}

    def states(self) -> dict[str, str]:
        listed = json.loads(self.run("--status", "--json").stdout)["trials"]
        return {f"{trial['cells'][0]} {trial['seed']}": trial["status"]["state"] for trial in listed}

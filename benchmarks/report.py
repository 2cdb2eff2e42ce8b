"""How long the report of a large sweep takes: 500 trials with 5,000 predictions each.

    python benchmarks/report.py [num_trials] [num_clips]

The trials are written by the script (labels with noise, one strength a cell); everything lies in a temporary folder.
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from orchestration import head, measure, orchestrate, row

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from helpers.place import Place

NUM_SEEDS, NUM_STATES, WIDTH = 10, 1000, 576
SWEEP = (
    "question: Is the report of a large sweep quick?\nprofile: small\n"
    "axes: {{readout: [discriminative, generative], adapter.rank: {ranks}}}\nseeds: {seeds}\n"
    "compare: {{against: {{readout: discriminative, adapter.rank: 1}}}}\n"
)


def fill(place: Place, num_clips: int) -> int:
    """Complete every trial of the place's sweep in its ledger; return how many there are."""
    import pandas as pd

    from omni_msa.ledger.ledger import Ledger
    from omni_msa.planning.plan import make_plan
    from omni_msa.stats.metrics import compute
    from omni_msa.sweep.sweep import load_sweep

    plan = make_plan(load_sweep(place.sweep), Ledger(place.ledger))
    random = np.random.default_rng(0)
    labels = np.clip(random.normal(0, 1.5, num_clips), -3, 3).round(1)
    hard = random.normal(0, 0.4, num_clips)  # what every trial gets wrong alike
    clips = [f"clip_{number}" for number in range(num_clips)]
    for place_in_plan, trial in enumerate(plan.trials):
        folder, strength = plan.ledger.trial(trial.trial_id), 0.4 + 0.02 * (place_in_plan % 25)
        scores = np.clip(labels + hard + random.normal(0, strength, num_clips), -3, 3)
        frame = pd.DataFrame({"clip_id": clips, "label": labels, "score": scores, "text": "", "parsed": True})
        frame["in_range"] = True
        quality = compute(labels, scores)
        folder.begin(trial.config, {"attempt_s": 9.0})
        steps = [{"step": 10 * n, "epoch": 1 + n // 5, "train_loss": 1 / n, "valid_mae": 1 / n} for n in range(1, 26)]
        folder.write_metrics(steps)
        for split in ("valid", "test"):
            folder.write_predictions(split, frame)
        folder.write_test_metrics(quality)
        cost = {"train_s": 8.0, "latency_s": strength / 10, "peak_memory_gb": 0.5, "trainable_parameters": 1000}
        folder.complete({"fit_id": trial.fit_id, "seed": trial.config.seed, "valid": quality, "cost": cost})
        if trial.config.seed == 0:
            kept = slice(0, min(NUM_STATES, num_clips))
            states = np.outer(labels[kept], random.normal(0, 1, WIDTH)) + random.normal(
                0, 2, (len(labels[kept]), WIDTH)
            )
            np.savez(
                folder.path / "states.test.npz",
                clip_ids=np.array(clips[kept]),
                labels=labels[kept].astype(np.float32),
                states=states.astype(np.float16),
            )
    return len(plan.trials)


def main() -> None:
    """Fill a ledger and report on it, twice."""
    os.environ.update(OMP_NUM_THREADS="1")
    num_trials, num_clips = (int(word) for word in (*sys.argv[1:], "500", "5000")[:2])
    ranks, seeds = list(range(1, max(2, num_trials // (2 * NUM_SEEDS) + 1))), list(range(NUM_SEEDS))
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), sweep=SWEEP.format(ranks=ranks, seeds=seeds))
        num_trials = fill(place, num_clips)
        report = place.ledger / "reports" / "small"
        head(f"{num_trials} trials with {num_clips} predictions each", "s", "peak (MB)", "report.html (MB)")
        for name, tracking in (("without MLflow", "none"), ("MLflow empty", ""), ("MLflow has all", "")):
            os.environ.pop("MLFLOW_TRACKING_URI", None)
            command = orchestrate(place, "--report")
            if tracking:
                command = [sys.executable, "-c", REPORT_ALONE, str(place.sweep), str(place.ledger)]
            seconds, peak_mb = measure(place, command)
            row(name, f"{seconds:.1f}", f"{peak_mb:.0f}", f"{(report / 'report.html').stat().st_size / 1e6:.1f}")


REPORT_ALONE = """
import sys
from pathlib import Path
from omni_msa.report.write import write_report
from omni_msa.ledger.ledger import Ledger
from omni_msa.planning.plan import make_plan
from omni_msa.sweep.sweep import load_sweep
write_report(make_plan(load_sweep(Path(sys.argv[1])), Ledger(Path(sys.argv[2]))))
"""

if __name__ == "__main__":
    main()

import time

import numpy as np
import psutil
import pytest

from helpers import tiny_trials
from omni_msa.data.clip import Clip
from omni_msa.data.inputs.clip_inputs import ClipInputs
from omni_msa.model.prompt import Prompt
from omni_msa.readouts._module import Readout
from omni_msa.readouts._task import Prediction, clip_score
from omni_msa.stats.metrics import METRICS
from omni_msa.training import evaluate

CLIPS = [Clip(f"clip_{n}", f"s{n}", 0, "test", label, "", None, None) for n, label in enumerate((1.0, -2.0, 3.0))]


class Lengths(Readout):
    """Predicts how long a prompt is, and writes down what it was given together."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def predict(self, forward, prompts):
        self.batches.append([len(prompt.token_ids) for prompt in prompts])
        return [Prediction(float(len(prompt.token_ids))) for prompt in prompts]


def test_predictions_come_in_the_order_of_the_prompts_and_like_lengths_share_a_pass():
    lengths = [5, 1, 9, 2, 7]
    prompts = [Prompt(str(n), (0,) * length, ClipInputs()) for n, length in enumerate(lengths)]
    readout = Lengths()
    assert [each.score for each in evaluate.predict(readout, None, prompts, batch=2)] == lengths
    assert readout.batches == [[1, 2], [5, 7], [9]]


def test_the_predictions_file_and_its_metrics():
    predictions = [
        Prediction(1.5, "+1.5"),
        Prediction(0.0, "none", parsed=False),
        Prediction(3.0, "+9", in_range=False),
    ]
    frame = evaluate.as_frame(CLIPS, predictions)
    assert list(frame.columns) == ["clip_id", "label", "score", "text", "parsed", "in_range"]
    assert frame["text"].tolist() == ["+1.5", "none", "+9"]
    metrics = evaluate.score(frame)
    assert metrics["mae"] == pytest.approx((0.5 + 2.0 + 0.0) / 3)
    assert metrics["mae_parsable"] == pytest.approx(0.25)
    assert metrics["unparsable_rate"] == pytest.approx(1 / 3)
    assert metrics["out_of_range_rate"] == pytest.approx(1 / 3)


def test_a_prediction_too_few_is_no_predictions_file():
    with pytest.raises(ValueError, match="shorter"):
        evaluate.as_frame(CLIPS, [Prediction(0.0)] * 2)


class Clock:
    """Stands in for time: moves only when something says that it took so long."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(evaluate.time, "perf_counter", lambda: self.now)

    def measure(self, waits, **options):
        """Return the latencies of clips of which each takes (media, model) seconds, and how many were looked at."""
        clips = [Clip(str(n), str(n), 0, "valid", 0.0, "", None, None) for n in range(len(waits))]
        seen = []

        def prepare(clip):
            seen.append(clip.id)
            self.now += waits[int(clip.id)][0]
            return Prompt(clip.id, (), ClipInputs())

        def predict(prompt):
            self.now += waits[int(prompt.clip_id)][1]

        return evaluate.latency(prepare, predict, clips, **options), len(seen)


def test_latency_with_and_without_media_by_hand(monkeypatch):
    # After the warm-up: media 0, 1, ..., 19 s, the model 100 s less ten times that. Ranks 9.5 and 18.05 of 0 to 19.
    waits = [(7.0, 70.0), *((float(n), 200.0 - 10 * n) for n in range(20)), (999.0, 999.0)]
    found, num_seen = Clock(monkeypatch).measure(waits, budget_s=1e9)
    assert num_seen == evaluate.NUM_LATENCY_CLIPS == 21
    assert found["latency_model_s"] == pytest.approx((110 + 100) / 2)
    assert found["latency_model_p95_s"] == pytest.approx(190 + 0.05 * 10)
    assert found["latency_s"] == pytest.approx(200 - 9 * 9.5)
    assert found["latency_p95_s"] == pytest.approx(200 - 9 * 0.95)
    assert set(found) < set(METRICS)


def test_slow_clips_end_the_measurement_but_two_are_measured(monkeypatch):
    found, num_seen = Clock(monkeypatch).measure([(1.0, 9.0), (1.0, 2.0), (1.0, 4.0), (1.0, 1.0)], budget_s=5.0)
    assert num_seen == 3
    assert (found["latency_s"], found["latency_model_s"]) == (4.0, 3.0)


def test_the_latency_of_a_single_clip_is_its_own(monkeypatch):
    found, _ = Clock(monkeypatch).measure([(1.0, 2.0)])
    assert list(found.values()) == [3.0, 3.0, 2.0, 2.0]


def test_diagnostics_count_answers_and_average_losses():
    answers = [Prediction(1.0, "+1.0"), Prediction(1.0, "1"), Prediction(1.0, "+1.0"), Prediction(0.0, "so so", False)]
    found = evaluate.diagnostics(answers, [0.5, 1.5, 2.0, 4.0])
    assert found == {"num_distinct": 3, "mode_rate": 0.5, "answer_loss": 2.0}


def test_peak_memory_on_the_cpu_sees_what_was_held_in_between():
    def resident_gb():
        return psutil.Process().memory_info().rss / 1e9

    with evaluate.peak_memory("cpu") as peak_gb:
        held = np.ones(50_000_000)  # 0.4 GB
        time.sleep(5 * evaluate._SAMPLE_S)
        while_held_gb = resident_gb()
        del held
        # Against the moment, not the start: the kernel may take other pages back meanwhile.
        assert resident_gb() < while_held_gb - 0.3
        assert peak_gb() > while_held_gb - 0.05


def test_scores_are_clipped_to_the_range_and_say_so():
    assert clip_score(3.2, tiny_trials.LABEL_RANGE) == Prediction(3.0, in_range=False)
    assert clip_score(-3.0, tiny_trials.LABEL_RANGE) == Prediction(-3.0)

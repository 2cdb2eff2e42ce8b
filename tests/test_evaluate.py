import time

import numpy as np
import psutil
import pytest
import tiny_trials

from omni_msa import evaluate
from omni_msa.clip import Clip
from omni_msa.prepared import Prepared
from omni_msa.prompt import Prompt
from omni_msa.readout import Prediction, Readout, clip_score

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
    prompts = [Prompt(str(n), (0,) * length, Prepared()) for n, length in enumerate(lengths)]
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


def test_latency_is_the_median_after_a_warm_up():
    waits = {"clip_0": 0.2, "clip_1": 0.01, "clip_2": 0.03, "clip_3": 0.02}
    clips = [Clip(name, name, 0, "valid", 0.0, "", None, None) for name in waits]
    found = evaluate.latency(lambda clip: time.sleep(waits[clip.id]), clips)
    assert 0.02 <= found < 0.1


def test_the_latency_of_a_single_clip_is_its_own():
    assert evaluate.latency(lambda clip: time.sleep(0.01), CLIPS[:1]) >= 0.01


def test_peak_memory_on_the_cpu_sees_what_was_held_in_between():
    def resident_gb():
        return psutil.Process().memory_info().rss / 1e9

    with evaluate.peak_memory("cpu") as peak_gb:
        held = np.ones(50_000_000)  # 0.4 GB
        time.sleep(3 * evaluate._SAMPLE_S)
        while_held_gb = resident_gb()
        del held
        # Against the moment, not the start: the kernel may take other pages back meanwhile.
        assert resident_gb() < while_held_gb - 0.3
        assert peak_gb() > while_held_gb - 0.05


def test_scores_are_clipped_to_the_range_and_say_so():
    assert clip_score(3.2, tiny_trials.LABEL_RANGE) == Prediction(3.0, in_range=False)
    assert clip_score(-3.0, tiny_trials.LABEL_RANGE) == Prediction(-3.0)

import pytest
import tiny_trials
import torch

from omni_msa.forward import Forward
from omni_msa.readout import Task
from omni_msa.readouts import discriminative

LABELS = torch.tensor([2.4, -2.1, 0.3])


@pytest.fixture(scope="module")
def backbone():
    return tiny_trials.tiny_backbone()


def build(backbone, label_range=(-3.0, 3.0), **options):
    torch.manual_seed(0)
    task = Task(label_range, label_mean=0.5, label_std=2.0, label_median=0.0, hidden_size=backbone.hidden_size)
    return discriminative.build(discriminative.Options(**options), task).eval()


@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        ("l1", lambda d: d.abs()),
        ("mse", lambda d: d**2),
        ("huber", lambda d: torch.where(d.abs() < 1, d**2 / 2, d.abs() - 0.5)),
    ],
)
def test_the_loss_is_on_standardised_labels(backbone, loss, formula):
    prompts, forward = tiny_trials.make_prompts(backbone), Forward(backbone)
    readout = build(backbone, loss=loss)
    output = readout.head(forward.states(prompts)[:, -1])
    torch.testing.assert_close(readout.losses(forward, prompts, LABELS), formula(output - (LABELS - 0.5) / 2.0))


def test_the_prediction_is_scaled_back_and_clipped(backbone):
    prompts, forward = tiny_trials.make_prompts(backbone), Forward(backbone)
    raw = (build(backbone).head(forward.states(prompts)[:, -1]) * 2.0 + 0.5).tolist()
    assert [each.score for each in build(backbone).predict(forward, prompts)] == pytest.approx(raw, abs=1e-5)
    low, middle, high = sorted(raw)
    narrow = build(backbone, label_range=(low + 1e-3, high - 1e-3)).predict(forward, prompts)
    assert sorted(each.score for each in narrow) == pytest.approx([low + 1e-3, middle, high - 1e-3], abs=1e-5)
    assert sorted(each.in_range for each in narrow) == [False, False, True]


def test_its_initial_weights_come_from_the_global_generator_alone(backbone):
    first, again = build(backbone), build(backbone)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))

import pytest
import torch

from helpers import tiny_trials
from omni_msa.model.forward import Forward
from omni_msa.readouts import discriminative
from omni_msa.readouts._task import Task

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


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # Labels 2.5, 0.5, -4.5 are 1, 0, -2.5 deviations of 2 from their mean of 0.5; the head says 0.
        ({"loss": "l1"}, [1.0, 0.0, 2.5]),
        ({"loss": "mse"}, [1.0, 0.0, 6.25]),
        ({"loss": "huber"}, [0.5, 0.0, 2.5 - 0.5]),
        ({"loss": "huber", "huber_delta": 2.0}, [0.5, 0.0, 2 * (2.5 - 1)]),
        ({"loss": "huber", "huber_delta": 0.5}, [0.5 * (1 - 0.25), 0.0, 0.5 * (2.5 - 0.25)]),
    ],
)
def test_losses_of_a_silent_head_by_hand(backbone, options, expected):
    readout = build(backbone, width=None, **options)
    torch.nn.init.zeros_(readout.head.layers[-1].weight)
    torch.nn.init.zeros_(readout.head.layers[-1].bias)
    losses = readout.losses(Forward(backbone), tiny_trials.make_prompts(backbone), torch.tensor([2.5, 0.5, -4.5]))
    assert losses.tolist() == pytest.approx(expected)


def test_a_head_without_inner_layer_is_written_as_zero_or_null():
    assert discriminative.Options(width=None) == discriminative.Options(width=0)
    assert discriminative.Options(width=None).model_dump()["width"] == 0
    types = discriminative.Options.model_json_schema()["properties"]["width"]["anyOf"]
    assert [each["type"] for each in types] == ["integer", "null"]


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

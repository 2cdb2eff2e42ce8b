import pytest
import torch
from torch.nn import functional

from omni_msa.model.heads import RegressionHead


@pytest.mark.parametrize(
    ("width", "norm", "layers"),
    [
        (6, "before", ["LayerNorm", "Linear", "ReLU", "Dropout", "Linear"]),
        (6, "inner", ["Linear", "LayerNorm", "ReLU", "Dropout", "Linear"]),
        (6, "after", ["Linear", "ReLU", "LayerNorm", "Dropout", "Linear"]),
        (6, "none", ["Linear", "ReLU", "Dropout", "Linear"]),
        (0, "before", ["LayerNorm", "Linear"]),
        (0, "inner", ["Linear"]),
        (0, "after", ["Linear"]),
    ],
)
def test_the_layers_of_each_setting(width, norm, layers):
    head = RegressionHead(4, width, 0.2, norm)
    assert [type(layer).__name__ for layer in head.layers] == layers


def test_the_protocols_head_written_out():
    head = RegressionHead(4, 6, 0.2, "before").eval()
    state = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    norm, inner, _, _, last = head.layers
    hidden = functional.relu(functional.layer_norm(state, (4,)) @ inner.weight.T + inner.bias)
    torch.testing.assert_close(head(state), (hidden @ last.weight.T + last.bias)[:, 0])
    assert norm.weight.shape == (4,)


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        # State (1, 3); the inner layer is (1 * 1 + 1 * 3, -2 * 1 + 1 * 3) = (4, 1); the last is 2 a - 3 b + 0.5.
        ("none", 2 * 4 - 3 * 1 + 0.5),
        # (1, 3) has mean 2 and deviation 1, so it becomes (-1, 1); the inner layer (0, 3).
        ("before", 2 * 0 - 3 * 3 + 0.5),
        # (4, 1) has mean 2.5 and deviation 1.5, so it becomes (1, -1); the ReLU leaves (1, 0).
        ("inner", 2 * 1 - 3 * 0 + 0.5),
        # The ReLU leaves (4, 1), which becomes (1, -1).
        ("after", 2 * 1 - 3 * -1 + 0.5),
    ],
)
def test_each_place_of_the_norm_by_hand(norm, expected):
    head = RegressionHead(2, 2, 0.0, norm).eval()
    first, last = [layer for layer in head.layers if isinstance(layer, torch.nn.Linear)]
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 1.0], [-2.0, 1.0]]))
        first.bias.zero_()
        last.weight.copy_(torch.tensor([[2.0, -3.0]]))
        last.bias.fill_(0.5)
        assert head(torch.tensor([[1.0, 3.0]])).item() == pytest.approx(expected, abs=1e-4)


def test_dropout_acts_on_the_inner_layer_in_training_only():
    head = RegressionHead(2, 999, 0.5, "none")
    with torch.no_grad():
        for layer in (head.layers[0], head.layers[-1]):
            layer.weight.fill_(1.0)
            layer.bias.zero_()
        torch.manual_seed(0)
        trained = head(torch.ones(1, 2)).item()  # of 999 twos about half are dropped, the others doubled
        assert head.eval()(torch.ones(1, 2)).item() == 1998.0
    assert trained % 4 == 0 and 1700 < trained < 2300


def test_states_of_half_precision_are_read_in_float32():
    head = RegressionHead(4, 0, 0.0, "none")
    state = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert head(state).dtype == torch.float32
    torch.testing.assert_close(head(state), head(state.float()))

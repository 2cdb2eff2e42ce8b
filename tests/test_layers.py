import pytest
import torch
from torch.nn import functional

from omni_msa.layers import RegressionHead


@pytest.mark.parametrize(
    ("width", "norm", "layers"),
    [
        (6, "before", ["LayerNorm", "Linear", "ReLU", "Dropout", "Linear"]),
        (6, "inner", ["Linear", "LayerNorm", "ReLU", "Dropout", "Linear"]),
        (6, "none", ["Linear", "ReLU", "Dropout", "Linear"]),
        (0, "before", ["LayerNorm", "Linear"]),
        (0, "inner", ["Linear"]),
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


def test_states_of_half_precision_are_read_in_float32():
    head = RegressionHead(4, 0, 0.0, "none")
    state = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert head(state).dtype == torch.float32
    torch.testing.assert_close(head(state), head(state.float()))

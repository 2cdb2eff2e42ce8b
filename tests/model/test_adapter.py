import pytest
import torch
from transformers import Qwen2_5OmniThinkerForConditionalGeneration

from helpers import tiny_trials
from omni_msa.config import plugins
from omni_msa.config.trial import LINEAR_LAYERS, AdapterConfig
from omni_msa.errors import InputError
from omni_msa.model.adapter import attached, first_trained_layer
from omni_msa.model.dimensions import num_lora_parameters
from omni_msa.model.forward import Forward
from omni_msa.model.thinker import Backbone, parameter_hash, thinker_config

SETTINGS = [
    {},
    {"rank": 1},
    {"towers": ("text",)},
    {"towers": ("text",), "text_layers": "last_1"},
    {"towers": ("text", "audio"), "text_layers": "last_3", "rank": 5},
    {"towers": ("audio",), "targets": ("q_proj", "k_proj")},
    {"towers": ("video",), "targets": ("mlp.down_proj",)},
    {"targets": ("v_proj", "up_proj"), "text_layers": "last_4"},
]


@pytest.fixture(scope="module")
def backbone():
    return tiny_trials.tiny_backbone()


def values(backbone, seed, **fields):
    with attached(backbone, AdapterConfig(rank=4, **fields), seed) as adapter:
        return {name: tensor.detach().clone() for name, tensor in adapter.state_dict().items()}


def structure(model):
    return [(name, type(module), sorted(vars(module))) for name, module in model.named_modules()]


@pytest.mark.parametrize("fields", SETTINGS, ids=str)
def test_the_number_of_weights_is_the_plans(backbone, fields):
    config = AdapterConfig(**{"rank": 3, **fields})
    plugin = plugins.load("backbones", "tiny")
    shape = plugin.dimensions(plugin.Options())
    expected = num_lora_parameters(shape, config.rank, config.targets, config.towers, config.text_layers)
    with attached(backbone, config, seed=0) as adapter:
        trained = [p for p in backbone.model.parameters() if p.requires_grad]
        assert sum(tensor.numel() for tensor in adapter.parameters()) == expected
        assert {id(p) for p in trained} == {id(p) for p in adapter.parameters()}


def test_at_full_dimensions_it_is_the_papers():
    plugin = plugins.load("backbones", "qwen2_5_omni_7b")
    with torch.device("meta"):
        model = Qwen2_5OmniThinkerForConditionalGeneration(thinker_config(plugin.dimensions(plugin.Options())))
    backbone = Backbone(model.requires_grad_(False), None, "meta", "none")
    with attached(backbone, AdapterConfig(rank=32), seed=1) as adapter:
        num_trained = sum(tensor.numel() for tensor in model.parameters() if tensor.requires_grad)
        num_all = sum(tensor.numel() for tensor in model.parameters())
        assert num_trained == sum(tensor.numel() for tensor in adapter.parameters()) == 103_043_072
        assert f"{num_trained / num_all:.2%}" == "1.14%"


def test_only_the_last_layers_are_adapted(backbone):
    names = values(backbone, 0, towers=("text",), text_layers="last_2")
    assert {name.split(".")[2] for name in names} == {"2", "3"}
    assert {name.split(".")[-2] for name in names} == set(LINEAR_LAYERS)


def test_initial_values_depend_on_seed_and_name_alone(backbone):
    torch.manual_seed(1)
    first = values(backbone, 7)
    torch.manual_seed(2)
    torch.randn(1000)
    again = values(tiny_trials.tiny_backbone(weights_seed=3), 7)
    part = values(backbone, 7, towers=("text",), text_layers="last_1", dropout=0.5)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert all(torch.equal(first[name], part[name]) for name in part)  # the same layer starts alike in any set
    other = values(backbone, 8)
    assert not any(torch.equal(first[name], other[name]) for name in first if name.endswith("lora_A"))


def test_a_is_uniform_as_in_torchs_linear_layer_and_b_is_zero(backbone):
    initial = values(backbone, 7)
    for name, tensor in initial.items():
        bound = 0.0 if name.endswith("lora_B") else tensor.shape[1] ** -0.5
        assert tensor.abs().max() <= bound
    drawn = torch.cat(
        [tensor.flatten() * tensor.shape[1] ** 0.5 for name, tensor in initial.items() if "lora_A" in name]
    )
    assert drawn.std() == pytest.approx(3**-0.5, rel=0.05)
    assert len({tensor.sum().item() for name, tensor in initial.items() if "lora_A" in name}) == len(initial) // 2


def test_a_fresh_adapter_changes_no_output(backbone):
    prompts = tiny_trials.make_prompts(backbone)
    bare = Forward(backbone).states(prompts)
    with attached(backbone, AdapterConfig(rank=4), seed=1) as adapter:
        assert torch.equal(Forward(backbone).states(prompts), bare)
        tiny_trials.move(adapter)
        assert (Forward(backbone).states(prompts) - bare).abs().max() > 1e-3
    assert torch.equal(Forward(backbone).states(prompts), bare)


def test_the_product_is_scaled_by_alpha_over_rank(backbone):
    """One layer, by hand: W x + alpha / rank * B A x."""
    config = AdapterConfig(rank=4, alpha=6.0, towers=("text",), text_layers="last_1", targets=("q_proj",), dropout=0.0)
    layer = backbone.model.model.language_model.layers[3].self_attn
    x = torch.randn(5, backbone.hidden_size, generator=torch.Generator().manual_seed(0))
    plain = layer.q_proj(x)
    with attached(backbone, config, seed=1) as adapter:
        tiny_trials.move(adapter)
        a, b = adapter.parameters()
        torch.testing.assert_close(layer.q_proj(x), plain + 6.0 / 4 * x @ a.T @ b.T)


def test_dropout_is_on_in_training_only(backbone):
    prompts = tiny_trials.make_prompts(backbone, num=1)
    frozen = list(backbone.model.modules())
    with attached(backbone, AdapterConfig(rank=4, dropout=0.5), seed=1) as adapter:
        tiny_trials.move(adapter)
        adapter.train(True)
        first, second = (Forward(backbone).states(prompts) for _ in range(2))
        assert not torch.equal(first, second)
        assert not any(module.training for module in frozen)
        adapter.train(False)
        first, second = (Forward(backbone).states(prompts) for _ in range(2))
        assert torch.equal(first, second)


@pytest.mark.parametrize("options", [{}, {"quantization": "nf4"}, {"dtype": "bfloat16"}], ids=str)
def test_the_backbone_is_as_before_bit_for_bit(options):
    backbone = tiny_trials.tiny_backbone(**options)
    before, shape = parameter_hash(backbone.model), structure(backbone.model)
    with attached(backbone, AdapterConfig(rank=4, dropout=0.3), seed=1) as adapter:
        tiny_trials.move(adapter)
        adapter.train(True)
        Forward(backbone).states(tiny_trials.make_prompts(backbone)).float().sum().backward()
    assert parameter_hash(backbone.model) == before
    assert structure(backbone.model) == shape
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())
    assert all(parameter.grad is None for parameter in backbone.model.parameters())
    assert not any(module.training for module in backbone.model.modules())


def test_it_is_taken_off_after_an_exception_too(backbone):
    before, shape = parameter_hash(backbone.model), structure(backbone.model)
    with pytest.raises(ZeroDivisionError), attached(backbone, AdapterConfig(rank=4), seed=1) as adapter:
        tiny_trials.move(adapter)
        raise ZeroDivisionError
    assert (parameter_hash(backbone.model), structure(backbone.model)) == (before, shape)


def test_a_target_that_no_layer_has_leaves_the_backbone_alone(backbone):
    before, shape = parameter_hash(backbone.model), structure(backbone.model)
    with (
        pytest.raises(ValueError, match="no_such_layer"),
        attached(backbone, AdapterConfig(targets=("no_such_layer",)), 1),
    ):
        pass
    assert (parameter_hash(backbone.model), structure(backbone.model)) == (before, shape)


@pytest.mark.parametrize("options", [{"dtype": "bfloat16"}, {"quantization": "nf4", "dtype": "bfloat16"}], ids=str)
def test_its_weights_are_float32_whatever_the_backbones_type(options):
    backbone = tiny_trials.tiny_backbone(**options)
    with attached(backbone, AdapterConfig(rank=4), seed=1) as adapter:
        tiny_trials.move(adapter)
        states = Forward(backbone).states(tiny_trials.make_prompts(backbone))
        states.float().sum().backward()
        assert states.dtype == torch.bfloat16
        assert {tensor.dtype for tensor in adapter.parameters()} == {torch.float32}
        assert {tensor.grad.dtype for tensor in adapter.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("towers", "text_layers", "first"),
    [(("text",), "all", 0), (("text",), "last_1", 3), (("text",), "last_4", 0), (("text", "audio"), "last_1", 0)],
)
def test_what_training_can_reach(towers, text_layers, first):
    assert first_trained_layer(AdapterConfig(towers=towers, text_layers=text_layers), 4) == first


def test_more_layers_than_there_are_is_bad_input(backbone):
    with pytest.raises(InputError, match="last_5"), attached(backbone, AdapterConfig(text_layers="last_5"), 1):
        pass

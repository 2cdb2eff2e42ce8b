import pytest
import torch

from helpers import tiny_trials
from helpers.tiny_trials import decode, model_inputs
from omni_msa.config.trial import AdapterConfig
from omni_msa.model.adapter import attached
from omni_msa.model.forward import Forward
from omni_msa.readouts._answers import answer_tree, end_of_turn

MODALITIES = [("text",), ("audio",), ("video",), ("text", "audio", "video")]
ANSWERS = [(43, 46, 200), (45,), (43, 46)]


@pytest.fixture(scope="module")
def backbone():
    return tiny_trials.tiny_backbone()


@pytest.fixture(scope="module")
def prompts(backbone):
    return tiny_trials.make_prompts(backbone)


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def naive_greedy(model, prompt, num_tokens_max, stop):
    """Decode by running transformers' own forward over the whole sequence again for every token."""
    answer = ()
    while len(answer) < num_tokens_max:
        model.model.rope_deltas = None
        with torch.no_grad():
            best = model(**model_inputs([prompt], [answer])).logits[0, -1].argmax().item()
        if best == stop:
            break
        answer += (best,)
    return answer


@pytest.mark.parametrize("modalities", MODALITIES)
def test_states_and_logits_are_those_of_the_models_own_forward(backbone, modalities):
    prompts = tiny_trials.make_prompts(backbone, modalities)
    assert len({len(prompt.token_ids) for prompt in prompts}) > 1  # so that there is padding
    forward = Forward(backbone)
    states = forward.states(prompts)
    outputs = backbone.model(**model_inputs(prompts), output_hidden_states=True)
    assert states.shape == (3, 1, backbone.hidden_size)
    close(states, outputs.hidden_states[-1][:, -1:])
    close(forward.logits(states), outputs.logits[:, -1:])


def test_every_modality_moves_the_state(backbone):
    forward = Forward(backbone)
    full, changed = tiny_trials.make_prompts(backbone, num=1)[0], tiny_trials.random_media(9, ("audio", "video"))
    for name in ("mel", "pixel_values"):
        old, new = getattr(full.media, name), getattr(changed, name)
        values = new[tuple(map(slice, old.shape))]
        other = type(full)(full.clip_id, full.token_ids, type(full.media)(**{**vars(full.media), name: values}))
        assert values.shape == old.shape
        assert (forward.states([full]) - forward.states([other])).abs().max() > 1e-3


@pytest.mark.parametrize("modalities", MODALITIES)
def test_a_batch_with_padding_equals_prompts_one_by_one(backbone, modalities):
    forward, prompts = Forward(backbone), tiny_trials.make_prompts(backbone, modalities)
    close(forward.states(prompts), torch.cat([forward.states([prompt]) for prompt in prompts]))


def test_seconds_per_grid_place_video_in_time_as_the_model_does(backbone, prompts):
    inputs = model_inputs(prompts) | {"video_second_per_grid": torch.full((3,), 0.25)}
    expected = backbone.model(**inputs, output_hidden_states=True).hidden_states[-1][:, -1:]
    close(Forward(backbone, seconds_per_grid=0.25).states(prompts), expected)
    assert (Forward(backbone).states(prompts) - expected).abs().max() > 1e-4


@pytest.mark.parametrize("modalities", [("text",), ("text", "audio", "video")])
def test_states_of_answers_are_those_of_the_plain_concatenation(backbone, modalities):
    prompts = tiny_trials.make_prompts(backbone, modalities)
    states = Forward(backbone).states(prompts, ANSWERS)
    assert states.shape == (3, 1 + 3, backbone.hidden_size)
    for row, prompt, answer in zip(states, prompts, ANSWERS, strict=True):
        plain = backbone.model(**model_inputs([prompt], [answer]), output_hidden_states=True).hidden_states[-1][0]
        close(row[: 1 + len(answer)], plain[-1 - len(answer) :])


def test_an_answer_does_not_change_the_prompts_state(backbone, prompts):
    forward = Forward(backbone)
    close(forward.states(prompts, ANSWERS)[:, 0], forward.states(prompts)[:, 0])


@pytest.mark.parametrize("modalities", MODALITIES)
def test_decoding_equals_generate_and_a_naive_loop(backbone, modalities):
    prompts = tiny_trials.make_prompts(backbone, modalities)
    free = decode(Forward(backbone), prompts, 6, stop=-1)
    stop = free[0][2]  # a token that really comes, so that one answer ends before the others
    decoded = decode(Forward(backbone), prompts, 6, stop)
    assert decoded == [naive_greedy(backbone.model, prompt, 6, stop) for prompt in prompts]
    assert len(decoded[0]) == free[0].index(stop)
    backbone.model.model.rope_deltas = None
    inputs = model_inputs(prompts)
    arguments = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": stop, "pad_token_id": stop}
    rows = backbone.model.generate(**inputs, **arguments)[:, inputs["input_ids"].shape[1] :].tolist()
    assert decoded == [tuple(row[: row.index(stop)] if stop in row else row) for row in rows]


def test_decoding_stops_at_the_limit_and_before_the_first_token(backbone, prompts):
    forward = Forward(backbone)
    free = decode(forward, prompts, 3, stop=-1)
    assert [len(ids) for ids in free] == [3, 3, 3]
    assert decode(forward, prompts, 1, stop=-1) == [ids[:1] for ids in free]
    assert decode(forward, prompts[:1], 5, stop=free[0][0]) == [()]


def test_nothing_is_kept_between_batches(backbone, prompts):
    backbone.model.model.rope_deltas = None
    forward = Forward(backbone)
    before = decode(forward, prompts[:1], 4, stop=-1)
    decode(forward, prompts[1:], 4, stop=-1)
    assert decode(forward, prompts[:1], 4, stop=-1) == before
    assert backbone.model.model.rope_deltas is None


@pytest.mark.parametrize("modalities", [("text",), ("text", "audio", "video")])
def test_tree_states_are_those_of_each_path_as_a_plain_continuation(backbone, modalities):
    prompts = tiny_trials.make_prompts(backbone, modalities)
    forward = Forward(backbone)
    tokens, parents = [43, 50, 46, 49, 51], [-1, 0, 1, 2, 0]  # two branches: 43 50 46 49 and 43 51
    states = forward.tree_states(forward.prefill(prompts), tokens, parents)
    assert states.shape == (3, 6, backbone.hidden_size)
    long = forward.states(prompts, [(43, 50, 46, 49)] * 3)
    short = forward.states(prompts, [(43, 51)] * 3)
    close(states[:, :5], long)
    close(states[:, 5], short[:, 2])


def test_a_tree_without_inner_nodes_is_the_prompts_last_token(backbone, prompts):
    forward = Forward(backbone)
    close(forward.tree_states(forward.prefill(prompts), [], []), forward.states(prompts))


def test_the_whole_answer_tree_equals_brute_force(backbone, prompts):
    forward = Forward(backbone)
    tree = answer_tree(backbone.tokenizer, (-1.0, 1.0), 1)
    states = forward.tree_states(forward.prefill(prompts), tree.tokens, tree.parents)
    for path in tree.paths[::5]:
        answer = tuple(token for _, token in path)
        plain = forward.states(prompts, [answer] * 3)
        for place, (node, _) in enumerate(path):
            close(states[:, node], plain[:, place])


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradient_checkpointing_changes_no_number(backbone, prompts, dropout):
    found = []
    for checkpointing in (False, True):
        with attached(backbone, AdapterConfig(rank=2, dropout=dropout), seed=1) as adapter:
            tiny_trials.move(adapter)
            adapter.train(True)
            torch.manual_seed(3)
            loss = Forward(backbone, checkpointing=checkpointing).states(prompts).square().sum()
            loss.backward()
            found.append((loss.item(), [tensor.grad for tensor in adapter.parameters()]))
    assert found[1][0] == found[0][0]
    assert all(gradient is not None for gradient in found[0][1])
    for plain, recomputed in zip(found[0][1], found[1][1], strict=True):
        close(plain, recomputed)


def test_gradient_reaches_all_three_towers(backbone, prompts):
    with attached(backbone, AdapterConfig(rank=2, dropout=0.0), seed=1) as adapter:
        tiny_trials.move(adapter)
        Forward(backbone).states(prompts).square().sum().backward()
        moved = {name.split(".")[0] for name, t in adapter.state_dict().items() if t.grad.abs().sum() > 0}
    assert moved == {"language_model", "audio_tower", "visual"}


def test_media_that_do_not_fit_the_prompt_are_refused(backbone, prompts):
    first, second = prompts[0], prompts[1]
    with pytest.raises(RuntimeError, match="media tokens"):
        Forward(backbone).states([type(first)(first.clip_id, first.token_ids, second.media)])


def test_end_of_turn_is_a_token_of_its_own(backbone):
    assert end_of_turn(backbone.tokenizer) == backbone.tokenizer.get_vocab()["<|im_end|>"]

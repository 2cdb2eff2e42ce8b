import pytest
import tiny_trials
import torch

from omni_msa import plugins
from omni_msa.adapter import attached
from omni_msa.answers import end_of_turn, write_score
from omni_msa.config import AdapterConfig
from omni_msa.forward import Forward
from omni_msa.generation import ExpectedValue, Generation

LABELS = [2.4, -0.04, -1.25]


@pytest.fixture(scope="module")
def backbone():
    return tiny_trials.tiny_backbone()


@pytest.fixture(scope="module")
def prompts(backbone):
    return tiny_trials.make_prompts(backbone)


@pytest.fixture
def generation(backbone):
    return Generation(tiny_trials.tiny_task(backbone), decimals=1)


def test_the_answer_is_the_written_score_and_the_end_of_turn(backbone, generation):
    texts = [backbone.tokenizer.decode(generation.answer(label)) for label in LABELS]
    assert texts == ["+2.4<|im_end|>", "+0.0<|im_end|>", "-1.2<|im_end|>"]


def test_the_loss_is_the_models_own_over_the_answer_tokens(backbone, prompts, generation):
    """transformers shifts and averages the labels by itself; -100 leaves the prompt's tokens out."""
    losses = generation.losses(Forward(backbone), prompts, torch.tensor(LABELS))
    for loss, prompt, label in zip(losses, prompts, LABELS, strict=True):
        answer = generation.answer(label)
        ids = torch.tensor([[*prompt.token_ids, *answer]])
        targets = torch.full_like(ids, -100)
        targets[0, -len(answer) :] = torch.tensor(answer)
        backbone.model.model.rope_deltas = None
        own = backbone.model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            labels=targets,
            input_features=torch.from_numpy(prompt.media.mel)[None],
            feature_attention_mask=torch.ones(1, prompt.media.mel.shape[1], dtype=torch.long),
            pixel_values_videos=torch.from_numpy(prompt.media.pixel_values),
            video_grid_thw=torch.from_numpy(prompt.media.grid_thw)[None],
            video_second_per_grid=torch.ones(1),
        ).loss
        torch.testing.assert_close(loss, own, atol=1e-5, rtol=1e-5)


def test_answers_of_unequal_length_count_alike(backbone, prompts):
    """A clip's loss is the mean over its own tokens, whatever stands beside it in the batch."""
    generation = Generation(tiny_trials.tiny_task(backbone), decimals=1)
    generation.answer = lambda label: (43,) if label > 0 else (43, 46, 200, 201)
    together = generation.losses(Forward(backbone), prompts[:2], torch.tensor([1.0, -1.0]))
    alone = [generation.losses(Forward(backbone), [p], torch.tensor([y])) for p, y in zip(prompts, (1.0, -1.0))]  # noqa: B905
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_the_expected_value_is_that_of_all_answers_one_by_one(backbone, prompts):
    readout = ExpectedValue(tiny_trials.tiny_task(backbone), decimals=1)
    forward = Forward(backbone)
    values = [number / 10 for number in range(-30, 31)]
    for prompt, found in zip(prompts, readout.predict(forward, prompts), strict=True):
        answers = [tuple(backbone.tokenizer.encode(write_score(v, 1), add_special_tokens=False)) for v in values]
        with torch.no_grad():
            states = forward.states([prompt] * len(answers), answers)
            scores = forward.logits(states).log_softmax(-1)
        columns = torch.tensor(answers)[..., None]
        sums = scores[:, :-1].gather(-1, columns).squeeze(-1).sum(-1).double()
        weights = sums.exp() / sums.exp().sum()
        assert found.score == pytest.approx((weights * torch.tensor(values)).sum().item(), abs=1e-5)
        assert found.text == write_score(values[weights.argmax().item()], 1)
        assert (found.parsed, found.in_range) == (True, True)


def test_what_is_decoded_is_read_as_a_number_and_kept_as_text(backbone, prompts):
    readout = Generation(tiny_trials.tiny_task(backbone), decimals=1, num_tokens_max=3)
    decoded = Forward(backbone).decode(prompts, 3, end_of_turn(backbone.tokenizer))
    assert [each.text for each in readout.predict(Forward(backbone), prompts)] == [
        backbone.tokenizer.decode(ids) for ids in decoded
    ]


@pytest.mark.parametrize("name", ["generative", "expected_value"])
def test_answers_learnt_by_heart_are_predicted(name, backbone, prompts):
    """Loss, decoding and answer tree speak of the same tokens: an adapter trained on two clips gives their labels."""
    plugin = plugins.load("readouts", name)
    readout = plugin.build(plugin.Options(), tiny_trials.tiny_task(backbone))
    forward, labels = Forward(backbone, first_layer=2), torch.tensor([2.5, -1.3])
    config = AdapterConfig(rank=8, alpha=16.0, dropout=0.0, towers=("text",), text_layers="last_2")
    with attached(backbone, config, seed=1) as adapter:
        optimizer = torch.optim.AdamW(adapter.parameters(), lr=2e-2)
        for _ in range(60):
            loss = readout.losses(forward, prompts[:2], labels).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found = readout.predict(forward, prompts[:2])
    assert [each.text for each in found] == ["+2.5", "-1.3"]
    assert [each.score for each in found] == pytest.approx(labels.tolist(), abs=0.05)

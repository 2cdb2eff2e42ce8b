import dataclasses

import pytest
import torch

from helpers import tiny_trials
from helpers.tiny_trials import decode
from omni_msa.config import plugins
from omni_msa.config.trial import AdapterConfig
from omni_msa.model.adapter import attached
from omni_msa.model.forward import Forward
from omni_msa.readouts._answers import answer_tree, end_of_turn, write_score
from omni_msa.readouts._generation import ExpectedValue, Generation
from omni_msa.training.build import fit_options

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
    decoded = decode(Forward(backbone), prompts, 3, end_of_turn(backbone.tokenizer))
    assert [each.text for each in readout.predict(Forward(backbone), prompts)] == [
        backbone.tokenizer.decode(ids) for ids in decoded
    ]


@pytest.mark.parametrize("name", ["generative", "expected_value"])
def test_answers_learnt_by_heart_are_predicted(name, backbone, prompts):
    """Loss, decoding and answer tree speak of the same tokens: an adapter trained on two clips gives their labels.

    The tiny network's logits are bounded, so the mean over the grid stays short of the label by 0.044 however long it
    is trained; at this rate it comes to rest there, where a higher one leaves it swinging about the allowed 0.05.
    """
    plugin = plugins.load("readouts", name)
    readout = plugin.build(plugin.Options(), tiny_trials.tiny_task(backbone))
    forward, labels = Forward(backbone, first_layer=2), torch.tensor([2.5, -1.3])
    config = AdapterConfig(rank=8, alpha=16.0, dropout=0.0, towers=("text",), text_layers="last_2")
    with attached(backbone, config, seed=1) as adapter:
        optimizer = torch.optim.AdamW(adapter.parameters(), lr=5e-3)
        for _ in range(120):
            loss = readout.losses(forward, prompts[:2], labels).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found = readout.predict(forward, prompts[:2])
    assert [each.text for each in found] == ["+2.5", "-1.3"]
    assert [each.score for each in found] == pytest.approx(labels.tolist(), abs=0.05)


def test_the_loss_is_that_of_decoding_token_by_token(backbone, prompts):
    """Training and decoding read the same prompt: what greedy decoding chose, training finds the most probable."""
    generation, forward = Generation(tiny_trials.tiny_task(backbone), 1, num_tokens_max=5), Forward(backbone)
    decoded = decode(forward, prompts, 5, generation.stop)
    logits = forward.logits(forward.states(prompts, decoded))
    sums = []
    for row, (prompt, answer) in enumerate(zip(prompts, decoded, strict=True)):
        assert logits[row, : len(answer)].argmax(-1).tolist() == list(answer)
        steps = [forward.logits(forward.states([prompt], [answer[:n]])[0, -1]) for n in range(len(answer))]
        sums.append(-sum(step.log_softmax(-1).max().item() for step in steps) / len(answer))
    texts = iter(decoded)
    generation.answer = lambda label: next(texts)
    assert generation.losses(forward, prompts, torch.zeros(3)).tolist() == pytest.approx(sums, abs=1e-4)


def test_each_prompt_is_read_once_for_loss_and_decoding(backbone, prompts):
    generation, forward = Generation(tiny_trials.tiny_task(backbone), 1, num_tokens_max=3), Forward(backbone)
    labels, lengths = torch.tensor(LABELS), []
    expected = generation.predict(forward, prompts), generation.losses(forward, prompts, labels)
    hook = forward.text.layers[0].register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[1]))
    predictions, losses = generation.predict_with_losses(forward, prompts, labels)
    hook.remove()
    assert lengths == [max(len(prompt.token_ids) for prompt in prompts), 5, 1, 1]  # "+2.4" and its end; two more steps
    assert predictions == expected[0]
    torch.testing.assert_close(losses, expected[1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("sign", "decimals", "label_range"),
    [
        ("always", 1, (-3.0, 3.0)),
        ("negative", 2, (-1.0, 1.0)),
        ("always", 0, (-12.0, 12.0)),
        ("negative", 3, (0.2, 0.3)),
    ],
)
def test_constrained_decoding_writes_numbers_in_range_only(backbone, prompts, sign, decimals, label_range):
    task = dataclasses.replace(tiny_trials.tiny_task(backbone), label_range=label_range)
    free = Generation(task, decimals, 8, sign).predict(Forward(backbone), prompts)
    grid = answer_tree(backbone.tokenizer, label_range, decimals, sign).values
    assert not {each.text for each in free} & {write_score(value, decimals, sign) for value in grid}
    found = Generation(task, decimals, 1, sign, constrained=True).predict(Forward(backbone), prompts)
    for each in found:
        assert each.parsed and each.in_range
        assert each.text == write_score(float(each.text), decimals, sign)
        assert label_range[0] <= each.score == float(each.text) <= label_range[1]


def test_constrained_decoding_takes_the_best_allowed_token_at_each_step(backbone, prompts):
    readout, forward = Generation(tiny_trials.tiny_task(backbone), 1, constrained=True), Forward(backbone)
    grid = [backbone.tokenizer.encode(write_score(n / 10, 1), add_special_tokens=False) for n in range(-30, 31)]
    for prompt, found in zip(prompts, readout.predict(forward, prompts), strict=True):
        answer = []
        while answer not in grid:
            scores = forward.logits(forward.states([prompt], [tuple(answer)])[0, -1])
            allowed = {ids[len(answer)] for ids in grid if ids[: len(answer)] == answer}
            answer.append(max(allowed, key=lambda token: scores[token].item()))
        assert found.text == backbone.tokenizer.decode(answer)


def test_constrained_and_free_decoding_share_a_fit_and_its_owner_decodes_freely():
    plugin = plugins.load("readouts", "generative")
    assert fit_options(plugin.Options(constrained=True, num_tokens_max=3)) == plugin.Options()
    assert fit_options(plugin.Options(sign="negative", constrained=True)) == plugin.Options(sign="negative")
    expected = plugins.load("readouts", "expected_value").Options(sign="negative", decimals=2)
    assert fit_options(expected) == plugin.Options(sign="negative", decimals=2)


def test_rows_of_each_epoch_tell_whether_answers_have_collapsed(text_clips, tmp_path):
    written, scored = (tiny_trials.config(readout={"name": name}) for name in ("generative", "discriminative"))
    rows = [row for row in tiny_trials.rows(tiny_trials.run(tmp_path, written)) if "valid_mae" in row]
    assert len(rows) == 2
    for row in rows:
        assert 1 <= row["valid_num_distinct"] <= 4  # clips of valid
        assert row["valid_mode_rate"] in (0.25, 0.5, 0.75, 1.0)
        assert row["valid_num_distinct"] <= 1 + 4 * (1 - row["valid_mode_rate"])
        assert row["valid_answer_loss"] > 0
        assert 0 <= row["valid_zero_rate"] <= 1
    new = {"valid_num_distinct", "valid_mode_rate", "valid_answer_loss"}
    assert not new & {key for row in tiny_trials.rows(tiny_trials.run(tmp_path, scored)) for key in row}

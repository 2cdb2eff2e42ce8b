import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from helpers import tiny_trials
from helpers.prefix_stores import ANSWERS, cached
from helpers.tiny_trials import decode
from omni_msa.config import plugins
from omni_msa.config.trial import AdapterConfig
from omni_msa.model.adapter import attached
from omni_msa.model.forward import Forward
from omni_msa.readouts._answers import answer_tree

LAST_TWO = AdapterConfig(rank=4, dropout=0.0, towers=("text",), text_layers="last_2")


@pytest.fixture(scope="module", params=[{}, {"dtype": "bfloat16"}], ids=str)
def backbone(request):
    return tiny_trials.tiny_backbone(**request.param)


@pytest.fixture(scope="module")
def plain_backbone():
    return tiny_trials.tiny_backbone()


def close(left, right):
    torch.testing.assert_close(left, right, atol=1e-5, rtol=1e-5)


def files(folder):
    return {
        str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"
    }


def stores(folder):
    return [path for path in folder.iterdir() if path.is_dir()]


@pytest.mark.parametrize("modalities", [("text",), ("text", "audio", "video")])
def test_states_decoding_and_trees_are_those_of_the_uncached_path(plain_backbone, tmp_path, modalities):
    prompts = tiny_trials.make_prompts(plain_backbone, modalities, num=10)  # more than one pass of the builder
    answers = [ANSWERS[number % 3] for number in range(10)]
    tree = answer_tree(plain_backbone.tokenizer, (-0.5, 0.5), 1)
    with attached(plain_backbone, LAST_TWO, seed=1) as adapter:
        tiny_trials.move(adapter)
        plain, kept = Forward(plain_backbone), cached(plain_backbone, tmp_path)
        kept.fill_cache(prompts, answers, keys_values=False)
        kept.fill_cache(prompts, None, keys_values=True)
        hook = plain_backbone.model.model.language_model.embed_tokens.register_forward_hook(_refuse_prompts)
        try:
            bare = kept.states(prompts[:4])
            found = kept.states(prompts[:4], answers[:4])
            decoded = decode(kept, prompts[2:7], 5, stop=-1)
            scored = kept.tree_states(kept.prefill(prompts[:3]), tree.tokens, tree.parents)
        finally:
            hook.remove()
        close(bare, plain.states(prompts[:4]))
        expected = plain.states(prompts[:4], answers[:4])
        for row, other, answer in zip(found, expected, answers[:4], strict=True):
            close(row[: 1 + len(answer)], other[: 1 + len(answer)])
        assert decoded == decode(plain, prompts[2:7], 5, stop=-1)
        close(scored, plain.tree_states(plain.prefill(prompts[:3]), tree.tokens, tree.parents))


def _refuse_prompts(module, inputs, output):
    """Prove that kept states are used: nothing as long as a prompt is embedded again."""
    assert inputs[0].shape[-1] < 30


@pytest.mark.parametrize("name", ["discriminative", "generative"])
def test_losses_and_gradients_are_those_of_the_uncached_path(plain_backbone, tmp_path, name):
    prompts = tiny_trials.make_prompts(plain_backbone, num=4)
    labels = torch.tensor([2.4, -2.1, 0.3, -0.9])
    plugin = plugins.load("readouts", name)
    torch.manual_seed(0)
    readout = plugin.build(plugin.Options(), tiny_trials.tiny_task(plain_backbone)).eval()
    results = []
    with attached(plain_backbone, LAST_TWO, seed=1) as adapter:
        tiny_trials.move(adapter)
        for forward in (Forward(plain_backbone), cached(plain_backbone, tmp_path)):
            forward.fill_cache(prompts, [readout.answer(label) for label in labels.tolist()], keys_values=False)
            losses = readout.losses(forward, prompts, labels)
            gradients = torch.autograd.grad(losses.sum(), adapter.parameters())
            results.append([losses, *gradients])
    for plain, kept in zip(*results, strict=True):
        close(plain, kept)
    assert all(gradient.abs().max() > 0 for gradient in results[0][1:])


def test_what_is_kept_is_what_was_computed_bit_for_bit(backbone, tmp_path):
    prompts = tiny_trials.make_prompts(backbone, num=5)
    forward = cached(backbone, tmp_path)
    computed = forward.lower_states(prompts, [()] * 5, keys_values=True)
    forward.fill_cache(prompts, None, keys_values=True)
    found = forward.store.find(prompts, [()] * 5, keys_values=True)
    for left, right, prompt in zip(computed, found, prompts, strict=True):
        assert left.states.dtype == right.states.dtype == backbone.model.dtype
        assert left.keys_values.shape[:3] == (len(prompt.token_ids), 2, 2)
        close(left.states, right.states)  # the builder's passes hold other prompts together
        assert torch.equal(left.positions, right.positions)
        close(left.keys_values, right.keys_values)


def test_it_runs_in_half_precision_as_well(backbone, tmp_path):
    prompts = tiny_trials.make_prompts(backbone)
    kept = cached(backbone, tmp_path)
    kept.fill_cache(prompts, None, keys_values=True)
    plain = Forward(backbone, first_layer=2)
    tolerance = 1e-5 if backbone.model.dtype == torch.float32 else 0.05
    torch.testing.assert_close(kept.states(prompts), plain.states(prompts), atol=tolerance, rtol=tolerance)


def test_a_second_trial_finds_the_store(plain_backbone, tmp_path):
    prompts = tiny_trials.make_prompts(plain_backbone)
    first = cached(plain_backbone, tmp_path)
    first.fill_cache(prompts, ANSWERS, keys_values=True)
    before = files(tmp_path)
    second = cached(plain_backbone, tmp_path)
    second.fill_cache(prompts, ANSWERS, keys_values=True)
    assert files(tmp_path) == before
    assert torch.equal(first.states(prompts, ANSWERS), second.states(prompts, ANSWERS))


def test_a_second_process_finds_the_store(plain_backbone, tmp_path):
    prompts = tiny_trials.make_prompts(plain_backbone)
    cached(plain_backbone, tmp_path).fill_cache(prompts, ANSWERS, keys_values=False)
    before = files(tmp_path)
    script = (
        "import sys; from pathlib import Path; sys.path[:0] = sys.argv[2:]\n"
        "from helpers import prefix_stores, tiny_trials\n"
        "backbone = tiny_trials.tiny_backbone()\n"
        "prompts = tiny_trials.make_prompts(backbone)\n"
        "forward = prefix_stores.cached(backbone, Path(sys.argv[1]))\n"
        "forward.fill_cache(prompts, prefix_stores.ANSWERS, keys_values=False)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path), *sys.path], check=True, timeout=300)
    assert files(tmp_path) == before


def test_a_half_built_store_is_built_again(plain_backbone, tmp_path):
    prompts = tiny_trials.make_prompts(plain_backbone)
    cached(plain_backbone, tmp_path).fill_cache(prompts, None, keys_values=False)
    (store,) = stores(tmp_path)
    (store / "index.json").unlink()
    (store / "states.npy").write_bytes(b"half")
    again = cached(plain_backbone, tmp_path)
    again.fill_cache(prompts, None, keys_values=False)
    close(again.states(prompts), Forward(plain_backbone).states(prompts))


@pytest.mark.parametrize("damage", ["short array", "odd index", "other index", "no array"])
def test_a_damaged_store_is_built_again(plain_backbone, tmp_path, damage):
    prompts = tiny_trials.make_prompts(plain_backbone)
    cached(plain_backbone, tmp_path).fill_cache(prompts, None, keys_values=False)
    (store,) = stores(tmp_path)
    array, index = store / "states.npy", store / "index.json"
    if damage == "short array":
        array.write_bytes(array.read_bytes()[:-8])
    elif damage == "odd index":
        index.write_text('{"starts": "many"}')
    elif damage == "other index":
        index.write_text(json.dumps({**json.loads(index.read_text()), "starts": [0, 1, 2, 3]}))
    else:
        array.unlink()
    again = cached(plain_backbone, tmp_path)
    again.fill_cache(prompts, None, keys_values=False)
    close(again.states(prompts), Forward(plain_backbone).states(prompts))


def test_a_store_with_keys_serves_those_who_need_none(plain_backbone, tmp_path):
    prompts = tiny_trials.make_prompts(plain_backbone)
    cached(plain_backbone, tmp_path).fill_cache(prompts, None, keys_values=True)
    before = files(tmp_path)
    cached(plain_backbone, tmp_path).fill_cache(prompts, None, keys_values=False)
    assert files(tmp_path) == before


def test_a_store_without_keys_does_not_serve_those_who_need_them(plain_backbone, tmp_path):
    prompts = tiny_trials.make_prompts(plain_backbone)
    forward = cached(plain_backbone, tmp_path)
    forward.fill_cache(prompts, None, keys_values=False)
    forward.fill_cache(prompts, None, keys_values=True)
    assert len(stores(tmp_path)) == 2
    assert forward.store.find(prompts, [()] * 3, keys_values=True) is not None


@pytest.mark.parametrize("change", ["weights", "settings", "answers", "media", "prompts"])
def test_whatever_changes_the_states_names_another_store(plain_backbone, tmp_path, change):
    prompts = tiny_trials.make_prompts(plain_backbone)
    cached(plain_backbone, tmp_path).fill_cache(prompts, None, keys_values=False)
    other, answers = cached(plain_backbone, tmp_path), None
    if change in ("weights", "settings"):
        other = cached(plain_backbone, tmp_path, **{change: "other"})
    elif change == "answers":
        answers = ANSWERS
    elif change == "media":
        prompts = [type(p)(p.clip_id, p.token_ids, p.media, f"{p.address}/other") for p in prompts]
    else:
        prompts = prompts[::-1]
    other.fill_cache(prompts, answers, keys_values=False)
    assert len(stores(tmp_path)) == 2
    found = other.states(prompts, answers)[:, 0]
    close(found, Forward(plain_backbone).states(prompts)[:, 0])


def test_what_is_not_kept_is_computed(plain_backbone, tmp_path):
    prompts = tiny_trials.make_prompts(plain_backbone, num=4)
    forward = cached(plain_backbone, tmp_path)
    forward.fill_cache(prompts[:3], None, keys_values=False)
    close(forward.states(prompts[2:]), Forward(plain_backbone).states(prompts[2:]))
    assert decode(forward, prompts, 3, stop=-1) == decode(Forward(plain_backbone), prompts, 3, stop=-1)


def test_training_leaves_what_is_kept_alone(plain_backbone, tmp_path):
    prompts = tiny_trials.make_prompts(plain_backbone)
    forward = cached(plain_backbone, tmp_path)
    with attached(plain_backbone, LAST_TWO, seed=1) as adapter:
        forward.fill_cache(prompts, None, keys_values=True)
        contents = {path: path.read_bytes() for path in tmp_path.rglob("*.npy")}
        bare = forward.states(prompts).detach()
        tiny_trials.move(adapter)
        forward.states(prompts).sum().backward()
        decode(forward, prompts, 3, stop=-1)
        assert not torch.equal(forward.states(prompts), bare)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.npy")} == contents
    close(cached(plain_backbone, tmp_path).states(prompts), Forward(plain_backbone).states(prompts))


def test_an_array_that_could_run_code_is_refused(plain_backbone, tmp_path):
    prompts = tiny_trials.make_prompts(plain_backbone, ("text",), num=2)
    cached(plain_backbone, tmp_path).fill_cache(prompts, None, keys_values=False)
    (store,) = stores(tmp_path)
    ran = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return ran.touch, ()

    np.save(store / "states.npy", np.array([Trap()] * 2, dtype=object), allow_pickle=True)
    cached(plain_backbone, tmp_path).fill_cache(prompts, None, keys_values=False)
    assert not ran.exists()
    assert np.load(store / "states.npy", allow_pickle=False).dtype == np.float32  # built anew

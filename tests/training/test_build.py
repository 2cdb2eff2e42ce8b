"""A trial put together: which inputs its prompts have, and which towers read them."""

from contextlib import ExitStack
from itertools import combinations

import pytest

from helpers import tiny_trials
from omni_msa.data.inputs.clip_inputs import ClipInputs, TokenCounts
from omni_msa.model.backbone_cache import Resident
from omni_msa.training.build import assemble

NAMES = ("text", "audio", "video")
SUBSETS = [subset for size in (1, 2, 3) for subset in combinations(NAMES, size)]
MARKS = {"text": "Transcript", "audio": "<|audio_bos|>", "video": "<|vision_bos|>"}


@pytest.fixture(scope="module")
def resident():
    return Resident()


@pytest.mark.parametrize("modalities", SUBSETS, ids="+".join)
def test_a_modality_that_is_off_is_absent_from_prompts_files_and_towers(modalities, resident, rendered_clips):
    trial = tiny_trials.config(modalities=modalities, runtime={"prefix_cache": False})
    seen = set()
    with ExitStack() as stack:
        built = assemble(trial, resident, stack)
        model = built.forward.model.model
        for name, tower in (("audio", model.audio_tower), ("video", model.visual)):
            handle = tower.register_forward_hook(lambda *_, name=name: seen.add(name))
            stack.callback(handle.remove)
        prompts = built.prompts(built.splits.valid)
        text = built.task.tokenizer.decode(prompts[0].token_ids)
        assert [name for name in NAMES if MARKS[name] in text] == list(modalities)
        assert {name for _, name in built.inputs.addresses} == {*modalities} - {"text"}
        built.predict(built.splits.valid)
    assert seen == {*modalities} - {"text"}


def test_prompts_have_the_sizes_of_their_arrays_and_not_the_arrays(resident, rendered_clips):
    trial = tiny_trials.config(modalities=NAMES)
    with ExitStack() as stack:
        built = assemble(trial, resident, stack)
        prompts = built.prompts(built.splits.train)
        assert built.prompts(built.splits.train[::-1]) == prompts[::-1]
        for prompt in prompts:
            arrays = built.inputs.load(prompt.clip_id)
            assert prompt.media == TokenCounts(arrays.num_video_tokens, arrays.num_audio_tokens)
            ids = built.task.tokenizer.convert_tokens_to_ids(["<|VIDEO|>", "<|AUDIO|>"])
            assert [prompt.token_ids.count(each) for each in ids] == list(vars(prompt.media).values())
            assert min(vars(prompt.media).values()) > 0


def test_prompts_of_text_alone_need_no_loader(resident, text_clips):
    with ExitStack() as stack:
        built = assemble(tiny_trials.config(), resident, stack)
        assert {type(prompt.media) for prompt in built.prompts(built.splits.train)} == {ClipInputs}


def test_the_output_layer_is_put_away_again_when_a_trial_ends(resident, text_clips, monkeypatch):
    moves = []
    monkeypatch.setattr("omni_msa.training.build.offload_output_layer", lambda backbone: moves.append(backbone.device))
    with ExitStack() as stack:
        assemble(tiny_trials.config(modalities=["text"], readout={"name": "generative"}), resident, stack)
        assert moves == ["cpu"]
    assert moves == ["cpu", "cpu"]

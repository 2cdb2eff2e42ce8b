"""What two cells' configurations and records prove of their comparison."""

import pytest

from helpers.made_cells import cells_of, finish, made_plan, noisy
from omni_msa.evidence.comparisons.compare import pairs_of
from omni_msa.evidence.comparisons.controls import HASHES, RecordedHash, prove
from omni_msa.evidence.gather import prove_pair

SEEDS = (1, 2)
PROVENANCE = {"commit": "a" * 40, "dirty": False, "packages": {"torch": "2.1+cpu"}, "platform": "Linux", "gpu": ""}


def recorded(seed, **changes):
    return {**{what: f"{what} {seed}" for what in HASHES}, "inputs": "i", "weights": "w", **changes}


@pytest.fixture
def make(tmp_path, write_sweep, own_cache):
    """Return a function that completes the trials of two cells as told and returns the proof of the pair."""

    def make(first, second, against, hashes=recorded, more=None, **keys):
        keys = {"seeds": str(list(SEEDS)), **keys}
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        plan = made_plan(root, write_sweep, **keys)
        for label in (first, second):
            deterministic = next(cell.deterministic for cell in plan.sweep.cells if cell.name == label)
            for seed in (None,) if deterministic else SEEDS:
                options = {"hashes": hashes(seed), "provenance": PROVENANCE, **(more or {}).get((label, seed), {})}
                finish(plan, label, seed, noisy(0.5, seed or 0), **options)
        cells = cells_of(made_plan(root, write_sweep, **keys))
        (pair,) = [each for each in pairs_of([*cells.values()], against) if each[0].name == first]
        assert pair[1].name == second
        return prove_pair(*pair)

    return make


def states(control):
    return {each.what: each.state for each in control.hashes}


def test_an_axis_inside_a_section_is_all_that_differs(make):
    control = make("rank 2", "rank 4", {"adapter.rank": 4}, axes="{adapter.rank: [2, 4]}")
    assert control.controlled and control.flags == []
    assert control.axes == {"adapter.rank": [2, 4]}
    assert control.other_settings == control.follows == control.irrelevant == control.provenance == {}
    assert control.equal_settings["adapter.alpha"] == 4.0 and "adapter.rank" not in control.equal_settings
    assert control.num_equal_settings == len(control.equal_settings) > 20
    assert not any(key.startswith(("runtime", "seed")) or key.endswith("root") for key in control.equal_settings)
    assert set(states(control).values()) == {"identical"} and all(each.seeds == 2 for each in control.hashes)
    more = {("rank 2", seed): {"hashes": recorded(seed, adapter_init=f"narrow {seed}")} for seed in SEEDS}
    control = make("rank 2", "rank 4", {"adapter.rank": 4}, recorded, more, axes="{adapter.rank: [2, 4]}")
    assert control.hashes[0] == RecordedHash("adapter_init", "explained", 2, "depends on adapter.rank")
    assert control.controlled


def test_what_an_axis_sets_beside_its_name_follows_from_it(make):
    axes = "{adapter: [{rank: 2, alpha: 2.0}, {rank: 4, alpha: 4.0}]}"
    control = make(
        "None(rank=2, alpha=2.0)", "None(rank=4, alpha=4.0)", {"adapter": {"rank": 4, "alpha": 4.0}}, axes=axes
    )
    assert control.follows == {"adapter.rank": [2, 4], "adapter.alpha": [2.0, 4.0]} and control.controlled


def test_options_of_a_readout_follow_from_it(make):
    axes = "{readout: [generative, discriminative]}"
    control = make("generative", "discriminative", {"readout": "discriminative"}, axes=axes)
    assert control.controlled and all(key.startswith("readout.") for key in control.follows)
    assert control.follows["readout.width"] == [None, 256]
    assert control.follows["readout.name"] == ["generative", "discriminative"]


def test_sections_that_one_readout_does_without_follow_from_it(make):
    def hashes(seed):
        return {"inputs": "i", "weights": "w"} if seed is None else recorded(seed)

    axes = "{readout: [frozen_probe, discriminative]}"
    control = make("frozen_probe", "discriminative", {"readout": "discriminative"}, hashes, axes=axes)
    assert control.follows["adapter"] == control.follows["training"] == ["not used", "used"]
    assert not any(key.startswith(("adapter.", "training.")) for key in (*control.follows, *control.equal_settings))
    assert control.equal_settings["modalities"] == ["text", "audio", "video"]
    explained = {"adapter_init", "data_order", "readout_init"}
    assert {what for what, state in states(control).items() if state == "explained"} == explained
    assert control.hashes[0].why == "frozen_probe has none"
    assert control.controlled and control.flags == []


def test_nothing_of_what_neither_uses_counts(make):
    axes = "{readout: [constant, frozen_probe], adapter.rank: [2, 4]}"
    control = make(
        "frozen_probe, rank 2",
        "frozen_probe, rank 4",
        {"adapter.rank": 4},
        lambda seed: {"inputs": "i", "weights": "w"},
        axes=axes,
    )
    assert control.irrelevant == {"adapter.rank": [2, 4]} and control.axes == {"adapter.rank": [2, 4]}
    assert states(control)["adapter_init"] == "not used" and states(control)["inputs"] == "identical"


def test_modalities_explain_inputs_and_the_media_options_that_count(make):
    def hashes(seed):
        return recorded(seed)

    more = {("text", seed): {"hashes": recorded(seed, inputs="none")} for seed in SEEDS}
    axes = "{modalities: [[text], [text, audio]]}"
    control = make("text", "text+audio", {"modalities": ["text", "audio"]}, hashes, more, axes=axes)
    assert control.axes == {"modalities": [["text"], ["text", "audio"]]}
    assert control.follows["media.mel_hop_ms"] == ["not used", 10]
    assert not any(key.startswith("media.num_frames") for key in (*control.follows, *control.equal_settings))
    assert states(control) == {**dict.fromkeys(HASHES, "identical"), "inputs": "explained"}
    (inputs,) = [each for each in control.hashes if each.what == "inputs"]
    assert inputs.why == "depends on modalities" and control.controlled


@pytest.mark.parametrize("buckets", [0, 2])
def test_modalities_explain_the_order_only_where_it_goes_by_length(make, buckets):
    more = {("text", seed): {"hashes": recorded(seed, data_order=f"other {seed}")} for seed in SEEDS}
    axes = "{modalities: [[text], [text, audio]]}"
    training = f"{{epochs: 2, batch_size: 4, length_buckets: {buckets}}}"
    control = make(
        "text", "text+audio", {"modalities": ["text", "audio"]}, recorded, more, axes=axes, training=training
    )
    assert states(control)["data_order"] == ("explained" if buckets else "differs")
    assert control.controlled is bool(buckets)
    if not buckets:
        assert control.flags == ["order of the training clips: not the same at 2 of 2 seeds, and no axis explains it"]


def test_one_pair_of_seeds_is_enough_to_differ(make):
    more = {("rank 2", 2): {"hashes": recorded(2, weights="others")}}
    control = make("rank 2", "rank 4", {"adapter.rank": 4}, recorded, more, axes="{adapter.rank: [2, 4]}")
    assert states(control)["weights"] == "differs" and not control.controlled
    assert "not the same at 1 of 2 seeds" in control.flags[0]


def test_what_older_trials_did_not_record_is_said(make):
    more = {("rank 2", 2): {"hashes": {"inputs": "i"}}}
    control = make("rank 2", "rank 4", {"adapter.rank": 4}, recorded, more, axes="{adapter.rank: [2, 4]}")
    assert states(control)["adapter_init"] == "not recorded" and states(control)["inputs"] == "identical"
    assert control.controlled and control.flags[0].startswith(
        "not recorded, so not proved equal: initial adapter weights"
    )


def test_settings_that_differ_beside_the_axis_are_flagged(tmp_path, write_sweep, own_cache):
    plan = made_plan(tmp_path, write_sweep, axes="{adapter.rank: [2, 4]}")
    first, second = plan.sweep.cells
    training = first.config.training.model_copy(update={"epochs": 7})
    changed = type(first)(first.axes, first.config.model_copy(update={"training": training}), False, first.seeds)
    control = prove(changed, second, [])
    assert control.other_settings == {"training.epochs": [7, 2]} and not control.controlled
    assert control.flags == ["training.epochs differs (7 against 2) and is no axis"]
    assert {each.state for each in control.hashes} == {"not recorded"}
    dropped = first.config.model_copy(update={"dropped_clips": ("a",)})
    control = prove(type(first)(first.axes, dropped, False, first.seeds), second, [])
    assert control.other_settings == {"dropped_clips": [["a"], []]}


def test_two_axes_at_once_are_told(make):
    axes = "{adapter.rank: [2, 4], adapter.dropout: [0.0, 0.1]}"
    control = make("rank 2, dropout 0.0", "rank 4, dropout 0.1", {"adapter.rank": 4, "adapter.dropout": 0.1}, axes=axes)
    assert control.controlled and list(control.axes) == ["adapter.rank", "adapter.dropout"]
    assert control.flags == [
        "2 axes differ at once (adapter.rank, adapter.dropout): a difference belongs to them together"
    ]


def test_other_code_or_another_machine_is_named_apart(make):
    other = {**PROVENANCE, "commit": "b" * 40, "packages": {"torch": "2.2"}, "gpu": "H200"}
    more = {("rank 2", seed): {"provenance": other} for seed in SEEDS}
    control = make("rank 2", "rank 4", {"adapter.rank": 4}, recorded, more, axes="{adapter.rank: [2, 4]}")
    assert control.provenance == {
        "commit": ["b" * 12, "a" * 12],
        "gpu": ["H200", "none"],
        "torch": ["2.2", "2.1+cpu"],
        "ran on": ["gpu", "cpu"],
    }
    assert control.controlled and control.flags[0].startswith("different code or machine: commit bbbb")


def test_batches_split_otherwise_are_told(tmp_path, write_sweep, own_cache):
    keys = {"axes": "{adapter.rank: [2, 4]}", "seeds": "[1]"}
    finish(made_plan(tmp_path, write_sweep, runtime="{micro_batch: 2}", **keys), "rank 2", 1, noisy(0.5))
    finish(made_plan(tmp_path, write_sweep, runtime="{micro_batch: 4}", **keys), "rank 4", 1, noisy(0.5))
    cells = [*cells_of(made_plan(tmp_path, write_sweep, **keys)).values()]
    control = prove_pair(*cells)
    assert control.provenance == {"micro-batch": ["2", "4"]}
    assert "different code or machine: micro-batch 2 against 4" in control.flags


def test_uncommitted_changes_and_smaller_batches_are_told(make):
    history = [{"kind": "out of memory", "retried": True, "reaction": "micro-batch 4 -> 2"}]
    more = {
        ("rank 2", 1): {"history": history},
        ("rank 4", 2): {"provenance": {**PROVENANCE, "dirty": True}, "history": [{"kind": "hang", "retried": True}]},
    }
    control = make("rank 2", "rank 4", {"adapter.rank": 4}, recorded, more, axes="{adapter.rank: [2, 4]}")
    assert control.provenance == {"uncommitted changes": ["no", "no, yes"]} and control.controlled
    assert control.flags[1:] == [
        "recorded with uncommitted changes to the code: rank 4, seed 2",
        "went on with smaller batches when memory ran out, so with other dropout masks: rank 2, seed 1",
    ]


def test_a_trial_whose_origin_is_lost_is_named_and_differs_from_none(tmp_path, write_sweep, own_cache):
    keys = {"seeds": "[1, 2]", "axes": "{adapter.rank: [2, 4]}"}
    plan = made_plan(tmp_path, write_sweep, **keys)
    for label in ("rank 2", "rank 4"):
        for seed in SEEDS:
            finish(plan, label, seed, noisy(0.5, seed), hashes=recorded(seed), provenance=PROVENANCE)
    (trial,) = [each for each in plan.trials if each.name == "rank 2, seed 1"]
    (plan.ledger.trial(trial.trial_id).path / "provenance.json").write_text("{garb")
    cells = cells_of(made_plan(tmp_path, write_sweep, **keys))
    control = prove_pair(cells["rank 2"], cells["rank 4"])
    assert control.controlled and control.provenance == {}
    assert control.flags == ["where it ran, and with which code, is not recorded: rank 2, seed 1"]

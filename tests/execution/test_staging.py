"""What is done before trials start: bad clips are listed at once, or left out of every cell alike."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.bad_clips import damage
from helpers.paths import ROOT, TESTS
from omni_msa.errors import InputError
from omni_msa.execution.staging import make_ready
from omni_msa.ledger.ledger import Ledger
from omni_msa.planning.bad_clips import BadClips
from omni_msa.planning.plan import Plan, make_plan
from omni_msa.sweep.sweep import load_sweep

AXES = "{modalities: [[text], [text, audio, video]], readout: [frozen_probe, constant]}"
SETTINGS = (
    "dataset={name: vader_av, num_train: 8, num_valid: 4, num_test: 4}",
    "media={num_frames_max: 2, frame_pixels_max: 784, mel_hop_ms: 40}",
)


@pytest.fixture
def bad_clips(rendered_cache, tmp_path, monkeypatch) -> Path:
    """A cache folder of one's own in which four clips are bad."""
    cache = tmp_path / "cache"
    shutil.copytree(rendered_cache / "datasets", cache / "datasets")
    monkeypatch.setenv("OMNI_MSA_CACHE", str(cache))
    damage(cache)
    return cache


@pytest.fixture
def plan_of(tmp_path, write_sweep):
    def plan(*overrides: str, on_bad_clip: str = "drop", axes: str = AXES) -> Plan:
        sweep = load_sweep(write_sweep(axes=axes, seeds="[1]", on_bad_clip=on_bad_clip), [*SETTINGS, *overrides])
        return make_plan(sweep, Ledger(tmp_path / "mlruns"))

    return plan


class Watcher:
    """Counts the files that were decoded."""

    def __init__(self) -> None:
        self.num_decoded = 0

    def __call__(self, what: str, done: int, total: int) -> None:
        self.num_decoded += what == "preparing audio and video"


def dropped(plan: Plan) -> set[tuple[str, ...]]:
    return {trial.config.dropped_clips for trial in plan.trials}


def test_fail_lists_every_bad_clip_and_stores_nothing(bad_clips, plan_of, tmp_path):
    plan = plan_of(on_bad_clip="fail")
    with pytest.raises(InputError) as caught:
        make_ready(plan, Watcher())
    told = {(problem.what, Path(problem.where).name) for problem in caught.value.problems}
    unusable = "the {} of clip {} cannot be used".format
    assert told == {
        *(
            (unusable(modality, name), f"{name}.mp4")
            for name in ("clip_2", "clip_13")
            for modality in ("audio", "video")
        ),
        (unusable("video", "clip_3"), "clip_3.mp4"),
        (unusable("audio", "clip_9"), "clip_9.mp4"),
    }
    assert all("on_bad_clip=drop" in problem.next_step and problem.got for problem in caught.value.problems)
    assert not (tmp_path / "mlruns").exists()


def test_drop_leaves_the_same_clips_out_of_every_cell(bad_clips, plan_of):
    before = plan_of()
    assert dropped(before) == {()}
    assert make_ready(before, Watcher())
    after = plan_of()
    assert dropped(after) == {("clip_13", "clip_2", "clip_3", "clip_9")}  # text alone and the constant, too
    assert not {trial.trial_id for trial in before.trials} & {trial.trial_id for trial in after.trials}
    (store,) = after.stores.values()
    assert (store.found.modalities, store.found.num_clips) == (("audio", "video"), 16)
    reasons = {name: (fault.split, fault.modality, fault.reason) for name, fault in store.found.clips.items()}
    assert list(reasons) == ["clip_2", "clip_3", "clip_9", "clip_13"]
    assert reasons["clip_3"] == ("train", "video", "the video is black (brightest value 0 of 255)")
    assert reasons["clip_9"][:2] == ("valid", "audio") and "silent" in reasons["clip_9"][2]
    assert reasons["clip_13"][0] == "test" and "cut off" in reasons["clip_13"][2]


def test_a_list_is_made_once(bad_clips, plan_of):
    first, second = Watcher(), Watcher()
    assert make_ready(plan_of(), first) and not make_ready(plan_of(), second)
    assert (first.num_decoded, second.num_decoded) == (32, 0)


def test_a_clip_that_breaks_after_the_list_was_made_stops_the_run(bad_clips, plan_of):
    make_ready(plan_of(), Watcher())
    (film,) = bad_clips.rglob("clip_5.mp4")
    film.write_bytes(b"gone")
    with pytest.raises(InputError) as caught:
        make_ready(plan_of(), Watcher())
    assert "clip clip_5" in str(caught.value) and "quarantine" in caught.value.problems[0].next_step


def test_the_list_covers_all_cells_and_not_only_those_that_are_missing(bad_clips, plan_of):
    plan = plan_of()
    text_only = tuple(trial for trial in plan.trials if trial.config.modalities == ("text",))
    assert len(text_only) == 2
    assert make_ready(replace(plan, trials=text_only), Watcher())
    assert dropped(plan_of()) == {("clip_13", "clip_2", "clip_3", "clip_9")}


def test_good_clips_leave_every_id_as_it_is(rendered_clips, plan_of):
    before = plan_of(on_bad_clip="fail")
    assert not make_ready(plan_of(), Watcher())
    after = plan_of()
    assert [trial.trial_id for trial in after.trials] == [trial.trial_id for trial in before.trials]
    (store,) = after.stores.values()
    assert store.found == BadClips("vader_av", ("audio", "video"), 16, {})


def test_another_list_for_other_data_modalities_or_options(rendered_clips, plan_of):
    def path(*overrides: str, axes: str = AXES) -> Path:
        (store,) = plan_of(*overrides, axes=axes).stores.values()
        return store.path

    same = [path(), path("training.epochs=3"), path("runtime.micro_batch=2", "seeds=[4, 5]")]
    only_audio = "{modalities: [[text, audio]], readout: [frozen_probe]}"
    others = [path(axes=only_audio), path("media.num_frames_max=4"), path("dataset.num_train=7")]
    assert len({*same}) == 1 and len({*same, *others}) == 4
    assert path("media.num_frames_max=4", axes=only_audio) == others[0]  # no video, no frames
    assert plan_of(axes="{modalities: [[text]], readout: [frozen_probe, constant]}").stores == {}
    assert plan_of(axes="{readout: [constant]}").stores == {}
    assert plan_of(on_bad_clip="fail").stores == {}


def test_too_few_clips_left_is_refused_and_not_stored(bad_clips, plan_of, tmp_path):
    for number in (12, 14, 15):
        (film,) = bad_clips.rglob(f"clip_{number}.mp4")
        film.write_bytes(b"")
    with pytest.raises(InputError, match="too few clips remain") as caught:
        make_ready(plan_of(), Watcher())
    assert [(problem.where, problem.got) for problem in caught.value.problems] == [("split test", "0 of 4")]
    assert not (tmp_path / "mlruns").exists()


ASSEMBLE = """
import sys
from contextlib import ExitStack
from helpers.tiny_trials import config
from omni_msa.training.build import assemble
from omni_msa.model.backbone_cache import Resident
if __name__ == "__main__":
    dropped = ("clip_13", "clip_2", "clip_3", "clip_9")
    for left_out in (dropped, dropped[1:]):
        trial = config(modalities=("text", "audio", "video"), dropped_clips=left_out)
        try:
            with ExitStack() as stack:
                made = assemble(trial, Resident(), stack)
                print(len(made.inputs.addresses), len(made.splits.valid), {"decord", "av"} & set(sys.modules))
        except Exception as error:
            whats = [problem.what for problem in error.problems]
            print(type(error).__name__, whats, {"decord", "av"} & set(sys.modules))
"""


@pytest.mark.slow
def test_a_trial_decodes_nothing_in_its_own_process(bad_clips, tmp_path):
    script = tmp_path / "trial.py"
    script.write_text(ASSEMBLE)
    places = os.pathsep.join([str(TESTS), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": places}
    ran = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=120)
    first, second = ran.stdout.splitlines()
    assert first == "24 3 set()", ran.stderr
    assert second.startswith("BadClip") and "clip_13" in second and second.endswith("set()")

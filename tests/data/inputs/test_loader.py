"""Arrays read ahead of the model: whose, when, how many at a time, and what is left when it ends."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from helpers import tiny_trials
from helpers.media_files import moving_picture, tone, write_mp4, write_sound
from helpers.paths import ROOT, TESTS
from omni_msa.config.trial import MediaConfig
from omni_msa.data.clip import Clip
from omni_msa.data.inputs.clip_inputs import ClipInputs, file_of
from omni_msa.data.inputs.loader import Loader
from omni_msa.data.inputs.preprocess import BadClip, ClipInputStore, prepare

OPTIONS = MediaConfig(num_frames_max=4, frame_pixels_max=56 * 56, mel_hop_ms=40)
NAMES = tuple("abcdefgh")
BATCHES = [NAMES[start : start + 2] for start in range(0, 8, 2)]


@dataclass(frozen=True)
class Counted(ClipInputStore):
    """Clips that remember the arrays they gave out, without keeping them."""

    given: list[weakref.ref] = field(default_factory=list)

    def load(self, clip_id, call=None) -> ClipInputs:
        found = super().load(clip_id, call)
        self.given.append(weakref.ref(found.mel))
        return found

    def num_alive(self) -> int:
        gc.collect()
        return sum(each() is not None for each in self.given)


@pytest.fixture(autouse=True)
def small_heap():
    """Let `gc.collect` look only at what a test makes: with torch's objects each call takes half a second."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def clips(own_cache, tmp_path) -> Counted:
    """Eight prepared clips; the sound of each lasts longer than that of the one before."""
    found = []
    for number, name in enumerate(NAMES):
        sound = write_sound(tmp_path / f"{name}.wav", tone(0.5 + number / 10))
        found.append(Clip(name, f"source_{name}", 0, "train", 0.5, "fine .", sound, None))
    return Counted(**vars(prepare(found, ["audio"], OPTIONS)))


def forget(clips: ClipInputStore, name: str) -> None:
    file_of(clips.addresses[name, "audio"]).unlink()


def helpers() -> set[int]:
    """Return the processes that this one has started, but for the one that Python keeps for all of them."""
    children = psutil.Process().children(recursive=True)
    return {child.pid for child in children if "resource_tracker" not in " ".join(child.cmdline())}


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_batches_come_as_asked_for_whether_expected_or_not(clips, num_workers):
    with Loader(clips, num_workers, num_ahead=2) as loader:
        for expected in (BATCHES, [], BATCHES[::-1], BATCHES[:1]):
            loader.prefetch(iter(expected))
            for names in BATCHES:
                found = loader.take(names)
                again = loader.take(names)
                assert all(one.mel is other.mel for one, other in zip(found, again, strict=True))
                for name, each in zip(names, found, strict=True):
                    np.testing.assert_array_equal(each.mel, clips.load(name).mel)
        with pytest.raises(KeyError):
            loader.take(["nobody"])


@pytest.mark.parametrize("num_ahead", [1, 2])
def test_no_more_batches_than_said_are_in_memory(clips, num_ahead):
    with Loader(clips, 3, num_ahead) as loader:
        loader.prefetch(BATCHES * 3)
        for number, names in enumerate(BATCHES * 3):
            loader.take(names)
            due = min(len(BATCHES) * 3, number + 1 + num_ahead)
            while len(clips.given) < 2 * due:  # until all that may be read ahead has been
                time.sleep(0.01)
            time.sleep(0.02)
            until = time.monotonic() + 30  # a thread may still hold what it has just handed over
            while clips.num_alive() > 2 * (due - number) and time.monotonic() < until:
                time.sleep(0.01)
            assert len(clips.given) == 2 * due
            assert clips.num_alive() == 2 * (due - number) <= 2 * (num_ahead + 1)
    assert clips.num_alive() == 0


def test_batches_are_asked_for_only_as_far_as_they_are_read(clips):
    asked = []

    def batches():
        for names in BATCHES:
            asked.append(names)
            yield names

    with Loader(clips, 1, num_ahead=2) as loader:
        loader.prefetch(batches())
        assert asked == BATCHES[:2]
        loader.take(BATCHES[0])
        assert asked == BATCHES[:3]
        loader.prefetch([])
        loader.take(BATCHES[1])
        assert asked == BATCHES[:3]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_clip_that_broke_is_told_when_its_batch_is_due(clips, num_workers):
    forget(clips, "d")
    write_sound(clips.clips["d"].audio, tone(0.2))
    with Loader(clips, num_workers) as loader:
        loader.prefetch(BATCHES)
        loader.take(BATCHES[0])
        with pytest.raises(BadClip, match="changed while it was in use"):
            loader.take(BATCHES[1])
        assert len(loader.take(BATCHES[2])) == 2


SCRIPT = """
import sys
sys.path[:0] = {places!r}
from pathlib import Path
from helpers.input_clips import OPTIONS, clip
from omni_msa.data.inputs.loader import Loader
from omni_msa.data.inputs.preprocess import prepare
from omni_msa.data.inputs.clip_inputs import file_of

NAMES, BATCHES = {names!r}, {batches!r}
if __name__ == "__main__":
    found = prepare([clip(name, Path({folder!r}) / (name + ".wav")) for name in NAMES], ["audio"], OPTIONS)
    for address in found.addresses.values():
        file_of(address).unlink(missing_ok=True)
    sys.path.insert(0, {libraries!r})  # processes that are started look there first
    with Loader(found, 2) as loader:
        loader.prefetch(BATCHES)
        print("ready", flush=True)
        print(sum(len(loader.take(names)) for names in BATCHES))
    print("soundfile" in sys.modules, all(file_of(address).is_file() for address in found.addresses.values()))
"""


def start(clips: ClipInputStore, libraries: Path) -> subprocess.Popen[str]:
    """Run `SCRIPT` on these clips in a process of its own."""
    folder = next(iter(clips.clips.values())).audio.parent
    places = [str(TESTS), str(ROOT)]
    values = {"places": places, "names": NAMES, "batches": BATCHES, "folder": str(folder), "libraries": str(libraries)}
    script = libraries / "script.py"
    libraries.mkdir()
    script.write_text(SCRIPT.format(**values))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, script], text=True, **pipes)


def test_what_is_not_there_is_decoded_in_another_process(clips, tmp_path):
    with start(clips, tmp_path / "libraries") as process:
        output, error = process.communicate(timeout=300)
    assert output.split() == ["ready", "8", "False", "True"], error


def test_trials_that_share_too_little_room_get_in_each_others_way_but_never_fail(clips, tmp_path, monkeypatch):
    monkeypatch.setenv("OMNI_MSA_CACHE_GB", "4e-5")  # about two of eight
    with start(clips, tmp_path / "one") as one, start(clips, tmp_path / "other") as other:
        outputs = [process.communicate(timeout=300) for process in (one, other)]
    assert [output.split()[:3] for output, _ in outputs] == [["ready", "8", "False"]] * 2, outputs
    files = list(file_of("0").parent.parent.rglob("*.safetensors"))
    assert sum(file.stat().st_size for file in files) <= 4e4


def test_after_an_error_neither_threads_nor_processes_are_left(clips):
    for name in NAMES:
        forget(clips, name)
    before = helpers()
    with pytest.raises(ZeroDivisionError), Loader(clips, 2, num_ahead=1) as loader:
        loader.prefetch(BATCHES)
        loader.take(BATCHES[0])
        assert helpers() > before
        raise ZeroDivisionError
    assert helpers() == before
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loader")]


HANGING = """
import time

class SoundFile:
    def __init__(self, path):
        time.sleep(600)
"""


def test_an_interrupt_ends_it_although_a_decoder_hangs(clips, tmp_path):
    with start(clips, tmp_path / "libraries") as process:
        (tmp_path / "libraries" / "soundfile.py").write_text(HANGING)
        assert process.stdout.readline() == "ready\n"
        until = time.monotonic() + 60
        while not (children := psutil.Process(process.pid).children(recursive=True)) and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(3)  # by now the decoder hangs
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=120)
    assert children and "KeyboardInterrupt" in error
    assert not psutil.wait_procs(children, timeout=10)[1]


def trial(**runtime):
    return tiny_trials.config(
        modalities=("text", "audio", "video"), runtime={"prefix_cache": False, "micro_batch": 3, **runtime}
    )


def test_a_trial_gives_the_same_bits_with_any_number_of_workers_and_any_room_on_disk(
    rendered_clips, tmp_path, monkeypatch
):
    found = []
    for number, (num_workers, room_gb) in enumerate([(0, None), (1, None), (3, None), (2, "0")]):
        if room_gb is not None:
            monkeypatch.setenv("OMNI_MSA_CACHE_GB", room_gb)
        folder = tiny_trials.run(tmp_path / str(number), trial(loader_workers=num_workers))
        found.append(tiny_trials.outcome(folder))
    assert found[1:] == found[:1] * 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loader")]


def test_arrays_are_not_read_once_the_states_below_the_adapter_are_kept(rendered_clips, tmp_path):
    kept = trial(prefix_cache=True)
    first = tiny_trials.outcome(tiny_trials.run(tmp_path / "one", kept))
    files = list((rendered_clips / "prepared").rglob("*.safetensors"))
    for file in files:
        os.utime(file, (1e9, 1e9))  # reading the arrays would move it
    assert tiny_trials.outcome(tiny_trials.run(tmp_path / "two", kept)) == first
    assert {file.stat().st_mtime for file in files} == {1e9}
    plain = tiny_trials.outcome(tiny_trials.run(tmp_path / "three", trial()))
    assert len({file.stat().st_mtime for file in files}) > 1
    assert plain["hashes"] == first["hashes"]


def test_sound_and_picture_may_lie_in_different_files(own_cache, tmp_path):
    film = write_mp4(tmp_path / "a.mp4", moving_picture(), tone(1.0))
    other = write_mp4(tmp_path / "b.mp4", moving_picture(), tone(2.0))
    sound = write_sound(tmp_path / "a.wav", tone(2.0))
    clip = Clip("a", "a", 0, "train", 0.5, "", sound, film)
    with Loader(prepare([clip], ["audio", "video"], OPTIONS), 1) as loader:
        (found,) = loader.take(["a"])
    (apart,) = Loader(prepare([replace(clip, video=other)], ["audio", "video"], OPTIONS), 0).take(["a"])
    assert found.mel.shape == (128, 50) == apart.mel.shape  # of the wav: two seconds at 40 ms
    np.testing.assert_array_equal(found.mel, apart.mel)
    np.testing.assert_array_equal(found.grid_thw, [2, 4, 4])
    assert found.pixel_values.shape == (32, 1176)

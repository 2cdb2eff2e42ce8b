"""Sound denoised by a program of others; here a stand-in for it, which halves the sound or fails in many ways."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from helpers.media_files import moving_picture, tone, write_mp4, write_sound
from helpers.processes import is_running
from helpers.stand_ins import config, make_job, train_that
from omni_msa.config.identity import trial_id
from omni_msa.config.trial import MediaConfig
from omni_msa.data.clip import Clip
from omni_msa.data.inputs import clip_inputs
from omni_msa.data.inputs.preprocess import prepare
from omni_msa.data.media import clip_media, denoise
from omni_msa.data.media.clip_media import BadMedia
from omni_msa.data.media.mel import mel_features
from omni_msa.errors import InputError
from omni_msa.execution import check_data
from omni_msa.execution.attempt import run_attempt
from omni_msa.ledger.ledger import Ledger
from omni_msa.planning import bad_clips
from omni_msa.planning.plan import make_plan
from omni_msa.sweep.sweep import load_sweep
from omni_msa.system.files import read_json

PLAIN = MediaConfig(num_frames_max=4, frame_pixels_max=56 * 56, mel_hop_ms=40)
DENOISED = PLAIN.model_copy(update={"denoise": "deepfilternet"})
STAND_ALONE, PYTHON = "deep_filter 0.5.6", "DeepFilterNet 0.5.6"
WANTED = {"media": {"denoise": "deepfilternet"}}

# A stand-in for the foreign program: the real one and its network are neither installed nor fetched by tests.
STAND_IN = """#!{python} -S
import os, sys, time, wave
from array import array
from pathlib import Path

with open({calls!r}, "a") as calls:
    print(os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"] or "no card", *sys.argv[1:], file=calls)
if "--version" in sys.argv:
    print({name!r}, "and more lines", sep="\\n")
    sys.exit(0)
folder, noisy = Path(sys.argv[sys.argv.index("-o") + 1]), Path(sys.argv[-1])

def read():
    with wave.open(str(noisy)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (48_000, 1, 2)
        return array("h", file.readframes(file.getnframes()))

def write(samples, name=noisy.name):
    with wave.open(str(folder / name), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())

{action}
"""
DELAY = 1440  # samples: what the real program's two looks ahead and its overlap come to
ACTIONS = {
    # The stand-alone program is late, or, told to make up for it, ends early.
    STAND_ALONE: f"""
half = array("h", [sample // 2 for sample in read()])
write(half[:-{DELAY}] if "-D" in sys.argv else array("h", [0] * {DELAY}) + half[:-{DELAY}])""",
    # The Python package is never late, knows no such option, and names its model in the file's name.
    PYTHON: """
if "-D" in sys.argv:
    sys.exit("unrecognized arguments: -D")
write(array("h", [sample // 2 for sample in read()]), noisy.stem + "_DeepFilterNet3.wav")""",
    "fails": """
print("loading the model", file=sys.stderr)
print("thread 'main' panicked: no such model", file=sys.stderr)
sys.exit(101)""",
    "fails silently": "sys.exit(3)",
    "hangs": "time.sleep(600)",
    "writes nothing": "",
    "writes too little": "write(read()[:24_000])",
    "writes no sound": "(folder / noisy.name).write_bytes(b'not a wav')",
    "writes silence": "write(array('h', [0] * len(read())))",
}
Install = Callable[..., Path]


@pytest.fixture(autouse=True)
def _own_place(own_cache, monkeypatch):
    """No test sees the user's cache or a real program on the PATH."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv(denoise.VARIABLE, raising=False)


@pytest.fixture
def install(tmp_path, monkeypatch) -> Install:
    """Return a function that installs a stand-in and returns the file in which it notes down its calls."""

    def install(action: str = STAND_ALONE, name: str = STAND_ALONE, file: str = "bin/deep-filter") -> Path:
        program, calls = tmp_path / file, tmp_path / f"{Path(file).name}.calls"
        program.parent.mkdir(exist_ok=True)
        text = STAND_IN.format(python=sys.executable, calls=str(calls), name=name, action=ACTIONS[action])
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)
        calls.touch()
        denoise._version.cache_clear()  # a program does not change while a process lives, but a stand-in does
        if program.parent.name == "bin":
            monkeypatch.setenv("PATH", str(program.parent))
        return calls

    return install


@pytest.fixture
def sound(tmp_path) -> Path:
    return write_sound(tmp_path / "a.wav", tone(1.0))


def clip(file: Path) -> Clip:
    return Clip("a", "source", 0, "train", 0.5, "fine .", file, None)


@pytest.mark.parametrize("kind", [STAND_ALONE, PYTHON])
@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_the_program_gets_the_sound_and_ours_is_what_it_gives_back(install, tmp_path, kind, rate_hz):
    calls = install(kind, kind)
    file = write_sound(tmp_path / "a.wav", tone(1.0, rate_hz=rate_hz), rate_hz)
    plain, denoised = clip_media.read_audio(file, PLAIN), clip_media.read_denoised(file, DENOISED)
    assert (denoised.dtype, denoised.shape) == (np.float32, plain.shape) == (np.float32, (16_000,))
    inner = slice(200, -200)  # resampling rings at the ends
    np.testing.assert_allclose(denoised[inner], plain[inner] / 2, atol=0.002)
    assert denoised[-100:].std() > 0.05  # nothing is missing at the end
    assert [line.split(" ", 1)[1].split(" -o ")[0] for line in calls.read_text().splitlines()] == [
        "no card --version",
        "no card -D" if kind == STAND_ALONE else "no card",
    ]


def test_sound_of_a_film_is_denoised_too(install, tmp_path):
    install()
    film = write_mp4(tmp_path / "film.mp4", moving_picture(25), tone(1.0))
    plain, denoised = clip_media.read_audio(film, PLAIN), clip_media.read_denoised(film, DENOISED)
    assert abs(len(denoised) - len(plain)) <= 1  # films have more samples than 1 s of tone: whole packets
    assert denoised.std() == pytest.approx(plain.std() / 2, rel=0.02)


def test_sound_longer_than_allowed_is_cut_before_it_is_denoised(install, sound):
    install()
    assert len(clip_media.read_denoised(sound, DENOISED.model_copy(update={"audio_seconds_max": 0.3}))) == 4_800


def test_prepared_inputs_are_denoised_once_and_kept(install, sound):
    calls = install()
    inputs = prepare([clip(sound)], ["audio"], DENOISED)
    expected = mel_features(clip_media.read_denoised(sound, DENOISED), DENOISED)
    np.testing.assert_array_equal(inputs.load("a").mel, expected)
    before = calls.read_text()
    assert prepare([clip(sound)], ["audio"], DENOISED).digest == inputs.digest
    assert calls.read_text() == before
    plain = prepare([clip(sound)], ["audio"], PLAIN)
    assert plain.digest != inputs.digest and not np.array_equal(plain.load("a").mel, expected)
    assert calls.read_text() == before  # it is not even asked for its version


def test_addresses_of_sound_as_it_is_are_those_of_old():
    address = "dbee29f521f866303ce9797516670630dfd7208b0045224f9c3aad3a751bdde6"  # from before there was denoising
    assert clip_inputs.content_address("0" * 64, Path("a.wav"), "audio", MediaConfig()) == address
    options = {"sample_rate_hz": 16_000, "mel_hop_ms": 10, "num_mel_bins": 128, "audio_seconds_max": 30.0}
    assert bad_clips.checks([config(modalities=["audio"])]) == [("audio", options)]


def test_another_version_makes_other_inputs_but_no_other_trials(install):
    addresses, ids = set(), set()
    for name in (STAND_ALONE, "deep_filter 0.5.7", PYTHON):
        install(name=name)
        addresses.add(clip_inputs.content_address("0" * 64, Path("a.wav"), "audio", DENOISED))
        ids.add(trial_id(config(**WANTED), "data"))
    assert len(addresses) == 3 and len(ids) == 1
    assert trial_id(config(media={"denoise": "none"}), "data") == trial_id(config(), "data") not in ids
    install()
    assert clip_inputs.content_address("0" * 64, Path("a.mp4"), "video", DENOISED) == clip_inputs.content_address(
        "0" * 64, Path("a.mp4"), "video", PLAIN
    )


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("fails", "the audio cannot be denoised (thread 'main' panicked: no such model)"),
        ("fails silently", "the audio cannot be denoised (exit code 3)"),
        ("writes nothing", "the audio cannot be denoised (it reported no error but wrote no audio)"),
        ("writes too little", "the audio cannot be denoised (it wrote 0.50 of 1.00 s)"),
        ("writes silence", "the audio is silent (-200 dBFS at its loudest) after denoising"),
    ],
)
def test_a_program_that_does_not_do_its_work_makes_a_bad_clip(install, sound, action, reason):
    install(action)
    (fault,) = prepare([clip(sound)], ["audio"], DENOISED).faults
    assert (fault.clip_id, fault.modality, fault.reason) == ("a", "audio", reason)


def test_a_result_that_is_no_sound_makes_a_bad_clip(install, sound):
    install("writes no sound")
    with pytest.raises(BadMedia, match="cannot be denoised"):
        clip_inputs.compute(sound, "audio", DENOISED)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not show its processes in /proc")
def test_a_program_that_hangs_is_ended_with_the_clip(install, sound):
    calls = install("hangs")
    (fault,) = prepare([clip(sound)], ["audio"], DENOISED, seconds_max=15.0).faults
    assert fault.reason == "decoding it takes more than 15 s (runtime.clip_seconds_max)"
    pids = [int(line.split()[0]) for line in calls.read_text().splitlines() if " -o " in line]
    assert pids
    until = time.monotonic() + 30
    while any(map(is_running, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(is_running, pids))


def test_a_program_has_a_limit_of_its_own(install, sound, tmp_path):
    install("hangs")
    folder = tmp_path / "empty"
    folder.mkdir()
    with pytest.raises(denoise.DenoiserFailed, match=r"it takes more than 0\.5 s"):
        denoise.clean(sound, folder, seconds_max=0.5)


def test_which_program_is_taken(install, tmp_path, monkeypatch):
    assert denoise.find() is None
    install(PYTHON, PYTHON, "bin/deepFilter")
    assert denoise.find() == str(tmp_path / "bin/deepFilter")
    install()
    assert denoise.find() == str(tmp_path / "bin/deep-filter")
    install(PYTHON, PYTHON, "mine")
    monkeypatch.setenv(denoise.VARIABLE, str(tmp_path / "mine"))
    assert (denoise.find(), denoise.version()) == (str(tmp_path / "mine"), PYTHON)
    monkeypatch.setenv(denoise.VARIABLE, str(tmp_path / "lost"))
    assert denoise.find() is None  # what is named is meant: no other is taken in its stead
    with pytest.raises(InputError, match="lost is not a program"):
        denoise.version()


def test_a_missing_program_is_one_problem_that_names_its_cells(write_sweep, tmp_path):
    sweep = load_sweep(write_sweep(axes="{media.denoise: [none, deepfilternet], training.epochs: [2, 3]}"), [])
    plan = make_plan(sweep, Ledger(tmp_path))
    (problem,) = plan.refusals
    assert problem.where == "media.denoise=deepfilternet (cells: deepfilternet, epochs 2; deepfilternet, epochs 3)"
    assert problem.got == "neither deep-filter nor deepFilter is on the PATH"
    assert "pip install deepfilternet" in problem.next_step and "deep-filter from the releases" in problem.next_step


def test_trials_whose_sound_is_left_as_it_is_need_no_program():
    without = [config(), config(**WANTED, modalities=["text", "video"]), config(**WANTED, readout={"name": "constant"})]
    assert denoise.check(("a", one) for one in without) == []
    assert [denoise.described(one) for one in without] == [{}, {}, {}]
    assert len(denoise.check([("a", config(**WANTED))])) == 1


def test_the_program_is_part_of_a_trials_provenance(install, tmp_path):
    install()
    for trial, sections, expected in [("t1", WANTED, STAND_ALONE), ("t2", {}, None)]:
        job = make_job(tmp_path, trial, **sections)
        run_attempt(job, None, train_that())
        assert read_json(job.folder().path / "provenance.json").get("denoiser") == expected


def test_a_program_that_does_not_tell_its_version_is_refused(install, tmp_path):
    install()
    (tmp_path / "bin/deep-filter").write_text("#!/bin/sh\necho 'cannot open libtorch.so' >&2; exit 127\n")
    (problem,) = denoise.check([("a", config(**WANTED))])
    assert problem.got == f"{tmp_path / 'bin/deep-filter'} --version: cannot open libtorch.so"
    (tmp_path / "bin/deep-filter").write_text("#!/bin/sh\n")
    assert "it prints nothing" in str(denoise.check([("a", config(**WANTED))]))
    install()
    assert denoise.check([("a", config(**WANTED))]) == []


def test_a_check_of_the_data_looks_at_the_files_as_they_are():
    both = [config(**WANTED), config()]
    assert check_data._needed(both) == {config().media: ["audio", "video"]}

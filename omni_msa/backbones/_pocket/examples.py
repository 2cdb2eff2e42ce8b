"""Generated clips for training the two small towers, from reserved sentences, which are in no split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omni_msa.config.trial import MediaConfig
from omni_msa.data.media.clip_media import read_audio, read_frames
from omni_msa.data.media.mel import mel_features
from omni_msa.data.media.patches import patches
from omni_msa.data.synthetic.clip_video import make_clip
from omni_msa.data.synthetic.ratings import Sentence
from omni_msa.data.synthetic.sampling import drive, eligible, generator, reserved
from omni_msa.system.process_pool import num_cores, run_jobs

# As in the pocket profile: four frames of 56x56 give 8 tokens, a hop of 40 ms gives 6 tokens per second.
MEDIA = MediaConfig(num_frames_max=4, frame_pixels_max=56 * 56, mel_hop_ms=40)


@dataclass(frozen=True)
class Job:
    """One clip to render.

    Args:
        name: of its files, unique.
        text: the sentence.
        audio_drive: cue that the voice carries, in [-1, 1].
        video_drive: cue that the face carries, in [-1, 1].
    """

    name: str
    text: str
    audio_drive: float
    video_drive: float


@dataclass(frozen=True)
class Example:
    """One rendered clip as inputs of the towers.

    Args:
        job: what was rendered.
        mel: float32 (mel bins, mel frames).
        pixels: float32 (P, 1176).
        grid_thw: int64 (3,).
    """

    job: Job
    mel: NDArray[np.float32]
    pixels: NDArray[np.float32]
    grid_thw: NDArray[np.int64]


def plan(sentences: Sequence[Sentence], num_train: int, num_held_out: int, seed: int) -> tuple[list[Job], list[Job]]:
    """Return the clips for training and for testing; no source of sentences is in both.

    Drives for training are uniform on [-1, 1]; those for testing are distributed as in the demonstration dataset.

    Args:
        sentences: of all domains; only reserved ones are used.
        num_train: number of clips; if there are fewer sentences, they are repeated with other drives and faces.
        num_held_out: number of clips.
        seed: any integer.
    """
    usable = eligible(reserved(sentences), ("movies",), 4, 16)
    order = generator(f"towers/{seed}").permutation(len(usable))
    shuffled = [usable[index] for index in order]
    held_out = shuffled[:num_held_out]
    sources = {sentence.source for sentence in held_out}
    training = [sentence for sentence in shuffled if sentence.source not in sources]
    jobs = []
    for number in range(num_train):
        random = generator(f"towers/{seed}/train/{number}")
        text = training[number % len(training)].text
        jobs.append(Job(f"train-{seed}-{number}", text, *random.uniform(-1, 1, 2).tolist()))
    tests = []
    for number, sentence in enumerate(held_out):
        random = generator(f"towers/{seed}/test/{number}")
        tests.append(Job(f"test-{seed}-{number}", sentence.text, *map(drive, random.standard_normal(2))))
    return jobs, tests


def render(jobs: Sequence[Job], folder: Path, on_done: Callable[[], None]) -> list[Example]:
    """Render clips as mp4 files, and read them in the same way as real clips.

    Args:
        jobs: what to render.
        folder: for the files.
        on_done: called after each clip.

    Raises:
        Exception: the first error of any clip.
    """
    errors = run_jobs(_render, [(job, folder) for job in jobs], num_cores(), on_done)
    for error in errors:
        if error is not None:
            raise error
    return [_read(job, folder) for job in jobs]


def _render(job: Job, folder: Path) -> None:
    clip = folder / f"{job.name}.mp4"
    make_clip(clip, job.text, job.audio_drive, job.video_drive, key=job.name)
    pixels, grid_thw = patches(read_frames(clip, MEDIA))
    np.savez(folder / f"{job.name}.npz", mel=mel_features(read_audio(clip, MEDIA), MEDIA), pixels=pixels, grid=grid_thw)
    clip.unlink()


def _read(job: Job, folder: Path) -> Example:
    with np.load(folder / f"{job.name}.npz", allow_pickle=False) as file:
        return Example(job, file["mel"], file["pixels"], file["grid"])

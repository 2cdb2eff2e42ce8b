"""Time that a model waits for audio and video, and memory they take, with and without prefetching.

    python benchmarks/loader.py [num_clips=64] [workers=2] [batch=4] [step_s=0.5]

Clips are of the `rtx` profile's size: 16 frames of 100,352 pixels, eight seconds of audio. In the table of waiting, a
step is a pause of `step_s`: a GPU computes while the processor reads. Both ways run in one process, one after the
other. Memory is the largest resident set of a process of its own, in which the tiny backbone reads every clip.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from omni_msa.config.trial import MediaConfig
from omni_msa.data.clip import Clip
from omni_msa.data.inputs.loader import NUM_BATCHES_AHEAD, Loader
from omni_msa.data.inputs.preprocess import ClipInputStore, prepare

NUM_FILMS = 8  # clips share films; each clip is read and decoded for itself all the same
SECONDS, RATE_HZ, SIDE_PX, SAMPLE_RATE_HZ = 8, 25, 308, 16_000
DEFAULTS = {"num_clips": 64.0, "workers": 2.0, "batch": 4.0, "step_s": 0.5}


def write_film(path: Path, seed: int) -> None:
    """Write a film of moving waves with a tone."""
    import av

    with av.open(str(path), "w") as container:
        video, audio = container.add_stream("libx264", rate=RATE_HZ), container.add_stream("aac", rate=SAMPLE_RATE_HZ)
        video.height = video.width = SIDE_PX
        video.pix_fmt = "yuv420p"
        y, x = np.ogrid[:SIDE_PX, :SIDE_PX]
        for number in range(SECONDS * RATE_HZ):
            wave = 128 + 100 * np.sin((x + seed * y) / 30 + number / 5)
            picture = np.repeat(wave[:, :, None].astype(np.uint8), 3, axis=2)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        times = np.arange(SECONDS * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
        sound = av.AudioFrame.from_ndarray(
            (0.3 * np.sin(2 * np.pi * (200 + 50 * seed) * times)).astype(np.float32)[None], "fltp", "mono"
        )
        sound.sample_rate, sound.pts = SAMPLE_RATE_HZ, 0
        for piece in (sound, None):
            container.mux(audio.encode(piece))


def inputs_of(folder: Path, num_clips: int) -> ClipInputStore:
    """Return prepared clips; missing video files are generated first."""
    films = [folder / f"{number}.mp4" for number in range(NUM_FILMS)]
    for number, film in enumerate(films):
        if not film.is_file():
            write_film(film, number)
    clips = [
        Clip(str(n), str(n), 0, "train", 0.0, "", films[n % NUM_FILMS], films[n % NUM_FILMS]) for n in range(num_clips)
    ]
    return prepare(clips, ["audio", "video"], MediaConfig())


def batches(inputs: ClipInputStore, size: int) -> Iterator[list[str]]:
    """Yield the ids of all clips in batches."""
    ids = list(inputs.clips)
    yield from (ids[start : start + size] for start in range(0, len(ids), size))


def waiting(inputs: ClipInputStore, num_workers: int, size: int, step_s: float) -> tuple[float, float]:
    """Return the seconds per clip that steps waited, and the clips per second."""
    with Loader(inputs, num_workers) as loader:
        started = time.perf_counter()
        loader.prefetch(batches(inputs, size))
        for ids in batches(inputs, size):
            loader.take(ids)
            time.sleep(step_s)
        return loader.waited_s / len(inputs.clips), len(inputs.clips) / (time.perf_counter() - started)


def peak_gb(folder: Path, num_clips: int, size: int, is_ahead: bool) -> float:
    """Return the peak memory of a process in which the tiny backbone reads every clip."""
    arguments = ["memory", str(folder), str(num_clips), str(size), str(int(is_ahead))]
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


def read_all(folder: str, num_clips: str, size: str, is_ahead: str) -> None:
    """Read every clip, all arrays in memory at once or a few ahead, and print the peak of this process in GB."""
    import torch

    from omni_msa.config import plugins
    from omni_msa.model.forward import Forward
    from omni_msa.model.prompt import build_prompt

    torch.set_num_threads(1)
    inputs, plugin = inputs_of(Path(folder), int(num_clips)), plugins.load("backbones", "tiny")
    backbone = plugin.build(plugin.Options(), "cpu")
    with Loader(inputs, 2) as loader, torch.no_grad():
        load = inputs.sizes if int(is_ahead) else inputs.load
        prompts = {
            clip.id: build_prompt(clip, ("audio", "video"), load(clip.id), "", backbone.tokenizer, (-3.0, 3.0))
            for clip in inputs.clips.values()
        }
        forward = Forward(backbone, loader=loader)
        forward.prefetch([prompts[each] for each in ids] for ids in batches(inputs, int(size)))
        for ids in batches(inputs, int(size)):
            forward.states([prompts[each] for each in ids])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)


def main() -> None:
    """Print two small tables."""
    settings = dict(argument.split("=") for argument in sys.argv[1:])
    values = {name: float(settings.get(name, default)) for name, default in DEFAULTS.items()}
    num_clips, workers, size = (int(values[name]) for name in ("num_clips", "workers", "batch"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["OMNI_MSA_CACHE"] = name
        inputs = inputs_of(folder, num_clips)
        print(f"{num_clips} clips, batches of {size}, a step of {values['step_s']} s\n")
        print("| arrays | workers | wait (s a clip) | clips a second | wait with 0 workers / with these |")
        print("|---|---|---|---|---|")
        for what, room in (("prepared on disk", None), ("decoded anew (no room on disk)", "0")):
            if room is not None:
                os.environ["OMNI_MSA_CACHE_GB"] = room
                inputs = inputs_of(folder, num_clips)
            none, _ = found = waiting(inputs, 0, size, values["step_s"])
            for number in (0, workers):
                wait, rate = found if number == 0 else waiting(inputs, number, size, values["step_s"])
                print(f"| {what} | {number} | {wait:.4f} | {rate:.2f} | {none / wait:.1f} |", flush=True)
        del os.environ["OMNI_MSA_CACHE_GB"]
        print("\n| arrays in memory | peak (GB) |\n|---|---|")
        print(f"| of all clips at once | {peak_gb(folder, num_clips, 1, False):.2f} |", flush=True)
        print(f"| of {NUM_BATCHES_AHEAD + 1} batches of one clip | {peak_gb(folder, num_clips, 1, True):.2f} |")


if __name__ == "__main__":
    read_all(*sys.argv[2:]) if sys.argv[1:2] == ["memory"] else main()

"""The `rtx` profile from command line to table, on corpora in MOSI's layouts: only network and frames are small."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.made_corpora import LABEL_CSV, put, table
from helpers.media_files import write_sound
from helpers.place import ROOT
from helpers.tiny_trials import SENTENCES
from omni_msa.data.formats.mosi_folds import SPLIT_OF
from omni_msa.data.media import decode

READOUTS = "discriminative, generative, expected_value, generative_zero_shot, frozen_probe, constant"
SMALL = (
    "profile=rtx",
    "dataset.allow_other_counts=true",
    "backbone={name: tiny, quantization: nf4, dtype: bfloat16}",
    "media.frame_pixels_max=3136",
    "training.epochs=1",
    "runtime.device=cpu",
    f"axes.readout=[{READOUTS}]",
    "seeds=[1]",
    "on_bad_clip=drop",
)


def rows(cache: Path) -> list[tuple[str, str, str, float, str, Path]]:
    """(video, number, text, label, split, rendered file) of each clip; two of a video of the standard folds."""
    videos = {split: iter([video for video, of in SPLIT_OF.items() if of == split]) for split in SPLIT_OF.values()}
    found, current = [], {}
    for number, (split, label, text) in enumerate(SENTENCES):
        if number % 2 == 0:
            current[split] = next(videos[split])
        (file,) = cache.rglob(f"clip_{number}.mp4")
        found.append((current[split], str(number % 2 + 1), text, label, split, file))
    return found


def write_label_csv(root: Path, cache: Path) -> None:
    for video, number, *_, file in rows(cache):
        target = root / "Raw" / video / f"{number}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    put(root / "label.csv", table([row[:5] for row in rows(cache)], LABEL_CSV))


def write_cmu(root: Path, cache: Path) -> None:
    transcripts: dict[str, str] = {}
    for folder in ("Video", "Audio/WAV_16000"):
        (root / folder / "Segmented").mkdir(parents=True)
    for video, number, text, _, _, file in rows(cache):
        shutil.copy(file, root / "Video/Segmented" / f"{video}_{number}.mp4")
        write_sound(root / "Audio/WAV_16000/Segmented" / f"{video}_{number}.wav", decode.av_sound(file))
        transcripts[video] = transcripts.get(video, "") + f"{number}_DELIM_{text}\n"
    for video, text in transcripts.items():
        put(root / "Transcript/Segmented" / f"{video}.annotprocessed", text)
    lines = [f"0.5,2.25,{video},{number},{label}\n" for video, number, _, label, *_ in rows(cache)]
    put(root / "Labels/OpinionLevelSentiment.csv", "".join(lines))


def orchestrate(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    own = {"OMNI_MSA_CACHE": str(folder / "cache"), "OMNI_MSA_LEDGER": str(folder / "ledger"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "orchestrate.py"), str(ROOT / "sweeps/readout_comparison.yaml")]
    settings = [*SMALL, f"dataset.root={folder / 'MOSI'}", *arguments]
    environment = {**os.environ, **own}
    environment.pop("MLFLOW_TRACKING_URI", None)
    return subprocess.run([*command, *settings], env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize("write", [write_label_csv, write_cmu])
def test_a_corpus_like_mosi_goes_through_the_whole_profile(write, rendered_cache, tmp_path):
    write(tmp_path / "MOSI", rendered_cache)
    broken = next((tmp_path / "MOSI").rglob("*.mp4"))
    broken.write_bytes(broken.read_bytes()[:-200])
    planned = orchestrate(tmp_path, "--plan")
    assert planned.returncode == 0 and "trial on the host:" in planned.stdout, planned.stdout + planned.stderr
    ran = orchestrate(tmp_path, "--local")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "6 of 6 trials complete, 0 failed" in ran.stdout
    trials = {
        json.loads((path.parent / "config.json").read_text())["readout"]["name"]: json.loads(path.read_text())
        for path in (tmp_path / "ledger").glob("trials/*/result.json")
    }
    assert set(trials) == set(READOUTS.split(", "))
    # Rank 32 on all linear layers of three towers: four text layers, two of each encoder.
    text = 4 * (3 * 64 - 32 + 64 + 3 * 96)
    towers = 2 * 3 * 64 + 2 * 3 * 96
    assert trials["generative"]["cost"]["trainable_parameters"] == 32 * (text + towers)
    dropped = {
        json.loads(path.read_text())["dropped_clips"][0] for path in tmp_path.glob("ledger/trials/*/config.json")
    }
    assert dropped == {
        "$_$".join(broken.stem.rsplit("_", 1)) if write is write_cmu else f"{broken.parent.name}$_${broken.stem}"
    }

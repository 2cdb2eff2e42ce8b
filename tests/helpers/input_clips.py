"""Clips made of single files, and the inputs kept of them."""

from pathlib import Path

from omni_msa.config.trial import MediaConfig
from omni_msa.data.clip import Clip

OPTIONS = MediaConfig(num_frames_max=4, frame_pixels_max=56 * 56, mel_hop_ms=40)


def clip(clip_id: str, audio: Path | None = None, video: Path | None = None) -> Clip:
    return Clip(clip_id, f"source_{clip_id}", 0, "train", 0.5, "fine .", audio, video)


def cached_files(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "cache").rglob("*") if path.is_file())

"""Audio and video of clips, embedded in the page up to a size limit."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from omni_msa.config import plugins
from omni_msa.config.lookups import root_of
from omni_msa.config.sections import DatasetOptions
from omni_msa.data.clip import Clip
from omni_msa.datasets._base import DATASETS
from omni_msa.errors import InputError

CLIP_BYTES_MAX, ALL_BYTES_MAX = 2_000_000, 20_000_000
TYPES = {
    "video": {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm"},
    "audio": {
        **{".wav": "audio/wav", ".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".mp4": "audio/mp4"},
        **{".ogg": "audio/ogg", ".opus": "audio/ogg", ".flac": "audio/flac", ".webm": "audio/webm"},
    },
}
"""The MIME types that browsers play, by file name extension."""


@dataclass(frozen=True)
class Player:
    """One media file of a clip: `address` is a data URI, or "" with a note: the file, and why it is not embedded."""

    kind: str
    address: str = ""
    note: str = ""


class Players:
    """Embeds the media files of clips until the size limit of the page is reached.

    Args:
        is_on: whether any file is embedded.
        all_bytes_max: limit of all files together, in bytes of base64 text.
    """

    def __init__(self, is_on: bool, all_bytes_max: int = ALL_BYTES_MAX) -> None:
        self._is_on = is_on
        self._left = all_bytes_max

    def of(self, clip: Clip, root: Path | None) -> list[Player]:
        """Return the players of a clip's audio and video: a single one if both are in one file.

        Args:
            clip: with the paths of its files.
            root: folder of the dataset, None if unknown; notes name files relative to it.
        """
        files = {path: kind for kind, path in (("audio", clip.audio), ("video", clip.video)) if path is not None}
        return [self._player(path, kind, _relative(path, root)) for path, kind in files.items()]

    def _player(self, path: Path, kind: str, name: str) -> Player:
        if why := self._why_not(path, kind):
            return Player(kind, note=f"{name} ({why})")
        text = base64.b64encode(path.read_bytes()).decode()
        self._left -= len(text)
        return Player(kind, f"data:{TYPES[kind][path.suffix.lower()]};base64,{text}")

    def _why_not(self, path: Path, kind: str) -> str:
        """Return why a file is not embedded, "" if it can be."""
        if not self._is_on:
            return "embed_media is false"
        if path.suffix.lower() not in TYPES[kind]:
            return "a format that browsers do not play"
        if not path.is_file():
            return "file not found"
        num_bytes = path.stat().st_size
        if num_bytes > CLIP_BYTES_MAX:
            return f"{num_bytes / 1e6:.1f} MB; up to {CLIP_BYTES_MAX / 1e6:.0f} MB are embedded"
        return "" if -(-num_bytes // 3) * 4 <= self._left else "the size limit for media in this page is reached"


def clips_of(dataset: DatasetOptions) -> Mapping[str, Clip]:
    """Return the clips of a dataset by id, empty if they are not on this machine; nothing is downloaded or generated.

    Args:
        dataset: its options.
    """
    plugin, root = plugins.load(DATASETS, dataset.name), root_of(dataset)
    if not plugin.is_here(root, dataset):
        return {}
    try:
        return {clip.id: clip for clip in plugin.load(root, dataset)}
    except InputError:
        return {}


def _relative(path: Path, root: Path | None) -> str:
    base = root if root is not None and path.is_relative_to(root) else path.parent
    return str(path.relative_to(base))

"""Rendered clips of which some are broken, each in another way."""

from pathlib import Path

from helpers.media_files import moving_picture, tone, write_mp4

BAD = ("clip_2", "clip_3", "clip_9", "clip_13")


def damage(cache: Path) -> None:
    """Break four of sixteen clips, each in another way; 0 to 7 are train, 8 to 11 valid, 12 to 15 test."""
    (folder,) = {file.parent for file in cache.rglob("clip_0.mp4")}
    cut = folder / "clip_13.mp4"
    cut.write_bytes(cut.read_bytes()[:-200])
    (folder / "clip_2.mp4").write_bytes(b"no film at all" * 100)
    write_mp4(folder / "clip_3.mp4", 0 * moving_picture(10), tone())
    write_mp4(folder / "clip_9.mp4", moving_picture(10), 0 * tone())

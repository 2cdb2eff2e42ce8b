"""Detection of truncated media files from their headers: decoders silently return what is left of them."""

from pathlib import Path
from typing import BinaryIO

UNKNOWN_LENGTHS = (0, 0xFFFFFFFF)


def is_cut_off(path: Path) -> bool:
    """Return whether an mp4 or wav file is shorter than its header says.

    Args:
        path: an existing file; for other formats the answer is False.
    """
    num_bytes = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] == b"ftyp":
            return _end_of_last_box(file, num_bytes) > num_bytes
    if head[:4] == b"RIFF":
        declared = int.from_bytes(head[4:8], "little")
        return declared not in UNKNOWN_LENGTHS and declared + 8 > num_bytes
    return False


def _end_of_last_box(file: BinaryIO, num_bytes: int) -> int:
    # ISO/IEC 14496-12, 4.2: size (4 bytes), type (4); size 1: 8 bytes of size follow; size 0: up to the end.
    position = 0
    while position < num_bytes:
        file.seek(position)
        header = file.read(16)
        size = int.from_bytes(header[:4], "big")
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        if size == 0:
            return num_bytes
        position += max(size, 8)
    return position

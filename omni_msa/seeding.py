"""Independent random streams of one seed, each named by its purpose."""

import hashlib


def derive(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed for one purpose, so that no two purposes of a trial share a stream.

    Args:
        seed: the trial's seed.
        purpose: names such as "order" and numbers such as an epoch.
    """
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

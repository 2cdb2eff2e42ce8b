"""Independent random streams derived from one seed, one stream per purpose."""

import hashlib


def derive(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed for one purpose, so that different purposes of a trial use different random streams.

    Args:
        seed: the trial's seed.
        purpose: names (such as "order") and numbers (such as an epoch) that together identify the purpose.
    """
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

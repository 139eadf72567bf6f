"""Contents of files."""

import random


def noise(seed, size):
    """Bytes that nothing makes smaller, the same for the same seed."""
    # What randbytes() does, which Python has from 3.9 on.
    return random.Random(seed).getrandbits(8 * size).to_bytes(size, "little") if size else b""

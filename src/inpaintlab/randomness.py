"""Random numbers that depend on nothing but a key."""

import hashlib
import json

import torch


def sample_generator(*key: int | str) -> torch.Generator:
    """A CPU generator that depends on nothing but ``key``, for example ``("training", seed, epoch, index)``.

    Equal keys give equal draws in every process and on every machine; a change of any part, of the order of the parts
    or of a part's type (1 or "1") gives another stream. The seed is a BLAKE2b hash of the key written as JSON, because
    Python's own ``hash`` of a string changes from process to process. Torch's CPU generator uses 32 bits of a seed.
    """
    canonical = json.dumps(key, separators=(",", ":"))
    digest = hashlib.blake2b(canonical.encode("ascii"), digest_size=4).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big"))

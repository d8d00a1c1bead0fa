"""Damage to files, for readers of foreign formats."""

import random

_INTERESTING = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f")


def mutations(data: bytes, generator: random.Random) -> bytes:
    """``data`` after one to four small damages: bits flipped, bytes put in, left out, repeated or replaced."""
    damaged = bytearray(data)
    for _ in range(generator.randint(1, 4)):
        at = generator.randint(0, len(damaged))
        some = generator.randint(1, 8)
        match generator.randrange(6):
            case 0 if at < len(damaged):
                damaged[at] ^= 1 << generator.randrange(8)
            case 1:
                damaged[at:at] = bytes(generator.randrange(256) for _ in range(some))
            case 2:
                del damaged[at : at + some]
            case 3:
                damaged[at:at] = damaged[at : at + some]
            case 4:
                damaged[at : at + some] = bytes(generator.randrange(256) for _ in range(some))
            case _:
                # the ends of the ranges that lengths and counts are read from
                extreme = generator.choice(_INTERESTING)
                damaged[at : at + len(extreme)] = extreme
    return bytes(damaged)

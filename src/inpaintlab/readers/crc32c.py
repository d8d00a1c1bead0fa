"""The checksum CRC-32C, as LevelDB and TensorFlow mask it; numpy does many pieces of the bytes at once."""

from functools import cache

import numpy as np

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, with its bits reversed
_PIECE = 1024  # bytes that are checked one after the other, a multiple of 4
_FEW = 32  # pieces, up to which numpy is not faster than Python


def crc32c(content: bytes) -> int:
    """The masked checksum of some bytes: of CRC-32C turned right by 15 bits, plus a constant (LevelDB's crc32c.h)."""
    value = _register(content) ^ 0xFFFFFFFF
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _register(content: bytes) -> int:
    """The register of the checksum behind the last byte.

    It is linear: behind A and B it is what A's register becomes over as many zeros as B has bytes, xor that of B alone
    from 0. So the registers of all pieces are computed together, and put together one after the other.
    """
    state = 0xFFFFFFFF
    pieces = len(content) // _PIECE if len(content) >= _FEW * _PIECE else 0
    if pieces:
        words = np.frombuffer(content, "<u4", pieces * _PIECE // 4).reshape(pieces, -1)
        zeros = [table.tolist() for table in _over_zeros()]
        for piece in _over(words, np.zeros(pieces, np.uint32)).tolist():
            state = piece ^ _linear(zeros, state)
    table = _tables()[3].tolist()
    for byte in content[pieces * _PIECE :]:
        state = table[(state ^ byte) & 255] ^ state >> 8
    return state


def _linear(tables: list[list[int]], state: int) -> int:
    """A linear map of 32 bits, from the values of each of its bytes."""
    return tables[0][state & 255] ^ tables[1][state >> 8 & 255] ^ tables[2][state >> 16 & 255] ^ tables[3][state >> 24]


@cache
def _tables() -> np.ndarray:
    """What each byte of a word does to the register over the word's four bytes, (4, 256); the last one of its own."""
    state = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        state = np.where(state & 1, state >> 1 ^ np.uint32(_POLYNOMIAL), state >> 1)
    tables = [one := state]
    for _ in range(3):
        tables.append(state := one[state & 255] ^ state >> 8)
    return np.stack(tables[::-1])


def _over(words: np.ndarray, states: np.ndarray) -> np.ndarray:
    """The registers behind rows of words, from these registers before them."""
    first, second, third, fourth = _tables()
    for column in np.ascontiguousarray(words.T):
        states = states ^ column
        states = first[states & 255] ^ second[states >> 8 & 255] ^ third[states >> 16 & 255] ^ fourth[states >> 24]
    return states


@cache
def _over_zeros() -> np.ndarray:
    """What each value of each byte of the register becomes over a piece of zeros, (4, 256)."""
    states = np.arange(256, dtype=np.uint32) << np.arange(0, 32, 8, dtype=np.uint32)[:, None]
    return _over(np.zeros((4 * 256, _PIECE // 4), np.uint32), states.reshape(-1)).reshape(4, 256)

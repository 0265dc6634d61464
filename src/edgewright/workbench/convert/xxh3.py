"""XXH3-64 of long inputs, as the xxHash specification defines it (seed 0, default secret).

Written here because one hash in one gate is no reason for a package. Inputs up to 240 bytes take
other branches of the specification and are refused.

    >>> f"{xxh3_64(bytes(1024)):016x}"
    'de5f15ab6daf7941'
"""

import numpy as np
from numpy.typing import NDArray

from edgewright.errors import InputError

MIN_BYTES = 241

_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
_PRIME32_1, _PRIME32_2, _PRIME32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
_PRIME64_1, _PRIME64_2, _PRIME64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_PRIME64_4, _PRIME64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
_MASK64 = 2**64 - 1
_STRIPE_BYTES, _LANES, _SECRET_STEP = 64, 8, 8
_STRIPES_PER_BLOCK = (len(_SECRET) - _STRIPE_BYTES) // _SECRET_STEP
_BLOCK_BYTES = _STRIPES_PER_BLOCK * _STRIPE_BYTES

Words = NDArray[np.uint64]


def xxh3_64(content: bytes) -> int:
    """The 64-bit hash."""
    if len(content) < MIN_BYTES:
        raise InputError(f"xxh3_64 takes {MIN_BYTES} bytes or more, got {len(content)}")
    lanes = _initial_lanes()
    full_blocks = (len(content) - 1) // _BLOCK_BYTES
    for block in range(full_blocks):
        lanes = _scramble(_accumulate(lanes, content, block * _BLOCK_BYTES, _STRIPES_PER_BLOCK))
    start = full_blocks * _BLOCK_BYTES
    lanes = _accumulate(lanes, content, start, (len(content) - 1 - start) // _STRIPE_BYTES)
    last_secret = len(_SECRET) - _STRIPE_BYTES - 7
    last = _stripes(content, len(content) - _STRIPE_BYTES, 1)
    lanes = lanes + _contribution(last, _words(_SECRET[last_secret:], _LANES).reshape(1, -1))
    return _merge(lanes, secret_at=11, start=len(content) * _PRIME64_1 & _MASK64)


def _initial_lanes() -> Words:
    return np.array(
        [
            _PRIME32_3,
            _PRIME64_1,
            _PRIME64_2,
            _PRIME64_3,
            _PRIME64_4,
            _PRIME32_2,
            _PRIME64_5,
            _PRIME32_1,
        ],
        np.uint64,
    )


def _words(content: bytes, count: int) -> Words:
    return np.frombuffer(content, "<u8", count).astype(np.uint64)


def _stripes(content: bytes, start: int, count: int) -> Words:
    return np.frombuffer(content, "<u8", count * _LANES, start).reshape(count, _LANES)


_BLOCK_KEYS = np.stack(
    [_words(_SECRET[_SECRET_STEP * stripe :], _LANES) for stripe in range(_STRIPES_PER_BLOCK)]
)


def _accumulate(lanes: Words, content: bytes, start: int, stripes: int) -> Words:
    if not stripes:
        return lanes
    return lanes + _contribution(_stripes(content, start, stripes), _BLOCK_KEYS[:stripes])


def _contribution(data: Words, keys: Words) -> Words:
    """What stripes add to the lanes: neighbours are swapped, keyed halves multiplied."""
    keyed = data ^ keys
    products = (keyed & np.uint64(0xFFFFFFFF)) * (keyed >> np.uint64(32))
    swapped = data.reshape(-1, _LANES // 2, 2)[:, :, ::-1].reshape(-1, _LANES)
    total: Words = (products + swapped).sum(axis=0, dtype=np.uint64)
    return total


def _scramble(lanes: Words) -> Words:
    keys = _words(_SECRET[-_STRIPE_BYTES:], _LANES)
    mixed: Words = (lanes ^ (lanes >> np.uint64(47)) ^ keys) * np.uint64(_PRIME32_1)
    return mixed


def _merge(lanes: Words, *, secret_at: int, start: int) -> int:
    keys = _words(_SECRET[secret_at:], _LANES)
    total = start
    for low, high in (lanes ^ keys).reshape(-1, 2).tolist():
        product = low * high
        total = total + ((product & _MASK64) ^ (product >> 64)) & _MASK64
    return _avalanche(total)


def _avalanche(value: int) -> int:
    value ^= value >> 37
    value = value * 0x165667919E3779F9 & _MASK64
    return value ^ value >> 32

"""What entropy coding alone makes of a file. Pure.

zstd codes literals by Huffman and lengths by finite-state entropy, after it looked for repetitions;
a plain Huffman code of the bytes says how much of the gain is due to few distinct weights alone.

>>> huffman_bytes(bytes(8000)), huffman_bytes(b"ab" * 4000)
(1001, 1002)
"""

import heapq

import numpy as np
from zstandard import ZstdCompressor

_THOROUGH, _QUICK = 19, 9
_SAMPLE_BYTES = 1 << 18
_WORTH_IT = 0.99


def packed_bytes(content: bytes) -> int:
    """Bytes of the content after zstd; thoroughly where a piece of it shows that this gains, which
    for plain floats takes a hundred times as long for nothing.

    >>> packed_bytes(bytes(8000)) < 100
    True
    """
    start = max(len(content) - _SAMPLE_BYTES, 0) // 2
    piece = content[start : start + _SAMPLE_BYTES]
    is_worth_it = len(_packed(piece, _THOROUGH)) <= _WORTH_IT * len(_packed(piece, _QUICK))
    return len(_packed(content, _THOROUGH if is_worth_it else _QUICK))


def _packed(content: bytes, level: int) -> bytes:
    return ZstdCompressor(level=level).compress(content)


def huffman_bytes(content: bytes) -> int:
    """Bytes of the content under the best prefix code of its bytes, with the code itself: one byte
    for the length of each symbol's word that occurs.
    """
    counts = np.bincount(np.frombuffer(content, np.uint8), minlength=256)
    present = sorted(int(count) for count in counts if count)
    if len(present) < 2:
        return -(-len(content) // 8) + len(present)
    heap, bits = list(present), 0
    heapq.heapify(heap)
    while len(heap) > 1:
        # Two subtrees under one node: every leaf in them gets one bit longer.
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        bits += joined
        heapq.heappush(heap, joined)
    return -(-bits // 8) + len(present)

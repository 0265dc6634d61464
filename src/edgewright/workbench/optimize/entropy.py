"""What entropy coding alone makes of a file. Pure.

zstd codes literals by Huffman and lengths by finite-state entropy, after it looked for repetitions;
a plain Huffman code of the bytes says how much of the gain is due to few distinct weights alone.

>>> huffman_bytes(bytes(8000)), huffman_bytes(b"ab" * 4000)
(1001, 1002)
"""

import heapq

import numpy as np


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

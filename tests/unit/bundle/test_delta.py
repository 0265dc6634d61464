"""Deltas give back every byte, choose the smallest way, and refuse everything else."""

import random
import struct

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewright.bundle.delta import (
    LEVEL,
    SAMPLE_BYTES,
    SAMPLES,
    WIDTHS,
    apply_delta,
    compress,
    encode_delta,
    read_head,
)
from edgewright.errors import InputError, TrustError

LIMIT = 1 << 20
RANDOM = random.Random(7)
OLD = RANDOM.randbytes(40_000)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=600), st.binary(max_size=600))
def test_every_pair_comes_back(old: bytes, new: bytes) -> None:
    assert apply_delta(encode_delta(old, new), old, limit_bytes=LIMIT) == new


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_edits_of_a_large_blob_come_back_small(data: st.DataObject) -> None:
    new = bytearray(OLD)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(new)))
        new[place : place + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=20))
    delta = encode_delta(OLD, bytes(new))
    assert apply_delta(delta, OLD, limit_bytes=LIMIT) == bytes(new)
    assert len(delta) < 1000


def test_a_moved_part_is_a_patch() -> None:
    delta = encode_delta(OLD, OLD[20_000:] + OLD[:20_000])
    assert read_head(delta).codec == "patch"
    assert len(delta) < 300


@pytest.mark.parametrize(("code", "widths"), [("f", {4}), ("e", {2, 4})])
def test_weights_that_all_changed_a_little_are_told_in_planes(code: str, widths: set[int]) -> None:
    step, draw = 1e-5 if code == "f" else 2e-3, random.Random(7)
    weights = [draw.gauss(0, 0.05) for _ in range(5000)]
    tuned = [w * (1 + step * draw.gauss(0, 1)) for w in weights]
    old, new = (struct.pack(f"<5000{code}", *values) for values in (weights, tuned))
    delta = encode_delta(old, new)
    assert read_head(delta).codec == "xor"
    assert read_head(delta).width in widths
    assert len(delta) < 0.6 * len(new)
    assert apply_delta(delta, old, limit_bytes=LIMIT) == new


def test_nothing_in_common_is_sent_whole() -> None:
    head = read_head(encode_delta(OLD, b"a" * 1000))
    assert (head.codec, head.size_bytes) == ("whole", 1000)


LARGE = SAMPLES * SAMPLE_BYTES + 40_001


def test_large_noise_is_only_wrapped() -> None:
    old, new = RANDOM.randbytes(LARGE), RANDOM.randbytes(LARGE)
    delta = encode_delta(old, new)
    assert read_head(delta).codec == "whole"
    assert len(delta) < LARGE + 200
    assert apply_delta(delta, old, limit_bytes=LIMIT) == new


def test_a_large_blob_of_which_a_tenth_is_old_is_a_patch() -> None:
    old = RANDOM.randbytes(LARGE)
    new = RANDOM.randbytes(LARGE - LARGE // 10) + old[: LARGE // 10]
    delta = encode_delta(old, new)
    assert read_head(delta).codec == "patch"
    assert len(delta) < 0.91 * LARGE


def test_large_weights_that_all_changed_a_little_are_told_in_planes() -> None:
    count = LARGE // 4
    weights = [RANDOM.gauss(0, 0.05) for _ in range(count)]
    tuned = [w * (1 + 1e-5 * RANDOM.gauss(0, 1)) for w in weights]
    old, new = (struct.pack(f"<{count}f", *values) for values in (weights, tuned))
    delta = encode_delta(old, new)
    assert (read_head(delta).codec, read_head(delta).width) == ("xor", 4)
    assert len(delta) < 0.6 * len(new)


def test_compressing_loses_nothing_of_a_large_text() -> None:
    text = b"".join(b"label %d\n" % n for n in range(40_000))
    packed = compress(text)
    assert len(packed) < len(text) / 4
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == text


def test_the_same_pair_gives_the_same_delta() -> None:
    new = OLD[:100] + b"x" + OLD[101:]
    assert encode_delta(OLD, new) == encode_delta(OLD, new)
    assert (LEVEL, WIDTHS) == (19, (4, 2, 1))


@pytest.fixture(scope="module")
def delta() -> bytes:
    return encode_delta(OLD, OLD[:100] + b"x" + OLD[101:])


def test_another_old_blob_is_refused(delta: bytes) -> None:
    with pytest.raises(TrustError, match="the old blob hashes to"):
        apply_delta(delta, OLD + b"!", limit_bytes=LIMIT)


def test_a_result_above_the_limit_is_refused_before_it_is_made(delta: bytes) -> None:
    with pytest.raises(TrustError, match="promises 40000 bytes, the limit is 39999"):
        apply_delta(delta, OLD, limit_bytes=39_999)


def test_a_frame_that_holds_more_than_it_promised_is_refused() -> None:
    bomb = encode_delta(b"", bytes(500_000))
    small = struct.Struct(">Q").pack(100)
    place = struct.calcsize(">4sBB32s32s")
    with pytest.raises(TrustError, match="promised were 100"):
        apply_delta(bomb[:place] + small + bomb[place + 8 :], b"", limit_bytes=LIMIT)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_changed_byte_never_makes_another_blob(delta: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(delta) - 1))
    changed = bytearray(delta)
    changed[place] ^= data.draw(st.integers(1, 255))
    try:
        result = apply_delta(bytes(changed), OLD, limit_bytes=LIMIT)
    except TrustError:
        return
    assert result == apply_delta(delta, OLD, limit_bytes=LIMIT)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_crash_it(content: bytes) -> None:
    for delta in (content, b"EWD1" + content):
        with pytest.raises(TrustError):
            apply_delta(delta, b"", limit_bytes=LIMIT)


def test_a_cut_delta_is_refused(delta: bytes) -> None:
    for size in range(0, len(delta), 7):
        with pytest.raises(TrustError):
            apply_delta(delta[:size], OLD, limit_bytes=LIMIT)


def test_a_blob_larger_than_any_window_is_told() -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return 1 << 30

    with pytest.raises(InputError, match="send the whole blob"):
        encode_delta(Huge(), b"")

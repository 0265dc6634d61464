"""Deltas: a new blob told in terms of an old one that the other side has.

Three encoders try and the smallest result is kept. *whole* is the new blob compressed. *patch* is a
zstd stream whose history begins with the old blob: good when parts are the same or moved. *xor* is
the difference bit by bit, sorted into byte planes as wide as a weight: good when every weight of a
fine-tuned model has changed a little, because tensors of one architecture lie at the same places
and the upper bytes of their weights stay the same. The result is verified by its hash, as any
download is, so an encoder cannot make a wrong model.

An encoder that a sample of a large blob shows to gain nothing is not tried: on noise they would
take seconds for a megabyte.

Pure, and without numpy: the agent applies deltas.

    >>> old = bytes(range(256)) * 64
    >>> new = old[:500] + b"changed" + old[507:]
    >>> delta = encode_delta(old, new)
    >>> len(delta) < 200, apply_delta(delta, old, limit_bytes=1 << 20) == new
    (True, True)
"""

import hashlib
import struct
from collections.abc import Iterator
from typing import Literal

import msgspec
import zstandard

from edgewright.errors import InputError, TrustError

Codec = Literal["whole", "patch", "xor"]

LEVEL = 19
WIDTHS = (4, 2, 1)

SAMPLES, SAMPLE_BYTES = 16, 16 << 10
"""How much of a large blob is looked at before an encoder is tried."""
NO_GAIN = 0.98
"""What keeps more than this share of a sample is not worth the time."""
NEAR = 1.1
"""So much larger than the best may a sample be that its encoder is tried all the same."""
WINDOWS, WINDOW_BYTES = 128, 16

_FAST_LEVEL = 1
_MAGIC = b"EWD1"
_HEAD = struct.Struct(">4sBB32s32sQ")
_CODECS: tuple[Codec, ...] = ("whole", "patch", "xor")
_WINDOW_LOG_LEAST, _WINDOW_LOG_WHOLE, _WINDOW_LOG_MOST = 10, 27, 30


class DeltaHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a delta says of itself; `width` is the number of byte planes of *xor*."""

    codec: Codec
    width: int
    old_sha256: str
    new_sha256: str
    size_bytes: int


def compress(content: bytes) -> bytes:
    """As small as it gets; what a sample shows to be incompressible is only wrapped."""
    sample = _sample(content)
    is_small = len(sample) == len(content)
    gains = is_small or len(_compressed(sample, LEVEL)) <= NO_GAIN * len(sample)
    return _compressed(content, LEVEL if gains else _FAST_LEVEL)


def encode_delta(old: bytes, new: bytes) -> bytes:
    """The smallest delta that makes `new` out of `old`.

    Raises:
        InputError: a blob is larger than any zstd window.
    """
    if max(len(old), len(new)) > 1 << (_WINDOW_LOG_MOST - 1):
        raise InputError(
            f"a delta between {len(old)} and {len(new)} bytes: the limit is "
            f"{1 << (_WINDOW_LOG_MOST - 1)}",
            hint="send the whole blob",
        )
    return min(_encodings(old, new), key=len)


def read_head(delta: bytes) -> DeltaHead:
    """What a delta says of itself.

    Raises:
        TrustError: it is none.
    """
    if len(delta) < _HEAD.size or not delta.startswith(_MAGIC):
        raise TrustError("not a delta of this format", hint="fetch the whole blob")
    _, codec, width, old, new, size_bytes = _HEAD.unpack_from(delta)
    if codec >= len(_CODECS) or (_CODECS[codec] == "xor") != (width in WIDTHS):
        raise TrustError(
            f"delta: encoder {codec} with {width} planes is not known", hint="fetch the whole blob"
        )
    return DeltaHead(
        codec=_CODECS[codec],
        width=width,
        old_sha256=old.hex(),
        new_sha256=new.hex(),
        size_bytes=size_bytes,
    )


def apply_delta(delta: bytes, old: bytes, *, limit_bytes: int) -> bytes:
    """The new blob.

    Raises:
        TrustError: it is no delta, it belongs to another old blob, its result would be larger than
        the limit, or the result is not what was promised.
    """
    head = read_head(delta)
    if head.size_bytes > limit_bytes:
        raise TrustError(f"delta: promises {head.size_bytes} bytes, the limit is {limit_bytes}")
    _require_hash(old, head.old_sha256, what="the old blob")
    payload = _decompressed(delta[_HEAD.size :], head, old)
    new = _xor(_joined(payload, head.width), old) if head.codec == "xor" else payload
    _require_hash(new, head.new_sha256, what="the delta's result")
    return new


def _encodings(old: bytes, new: bytes) -> Iterator[bytes]:
    yield _with_head(old, new, codec="whole") + compress(new)
    if _shares_parts(old, new):
        yield _with_head(old, new, codec="patch") + _patched(old, new)
    difference = _xor(new, old)
    for width in _worthwhile_widths(difference):
        planes = _compressed(_planes(difference, width), LEVEL)
        yield _with_head(old, new, codec="xor", width=width) + planes


def _compressed(content: bytes, level: int) -> bytes:
    return zstandard.ZstdCompressor(level=level, write_content_size=False).compress(content)


def _sample(content: bytes) -> bytes:
    """Pieces from the whole length of it; all of a small one."""
    if len(content) <= SAMPLES * SAMPLE_BYTES:
        return content
    step = len(content) // SAMPLES & -max(WIDTHS)
    return b"".join(content[n * step : n * step + SAMPLE_BYTES] for n in range(SAMPLES))


def _shares_parts(old: bytes, new: bytes) -> bool:
    """Whether a part of the new blob is in the old one, the same or moved."""
    if len(new) <= SAMPLES * SAMPLE_BYTES:
        return True
    step = len(new) // WINDOWS
    return any(new[n * step : n * step + WINDOW_BYTES] in old for n in range(WINDOWS))


def _worthwhile_widths(difference: bytes) -> Iterator[int]:
    """Those that may be the best one."""
    sample = _sample(difference)
    if len(sample) == len(difference):
        yield from WIDTHS
        return
    kept = {width: len(_compressed(_planes(sample, width), LEVEL)) for width in WIDTHS}
    most = min(NO_GAIN * len(sample), NEAR * min(kept.values()))
    yield from (width for width in WIDTHS if kept[width] <= most)


def _with_head(old: bytes, new: bytes, *, codec: Codec, width: int = 0) -> bytes:
    hashes = hashlib.sha256(old).digest(), hashlib.sha256(new).digest()
    return _HEAD.pack(_MAGIC, _CODECS.index(codec), width, *hashes, len(new))


def _patched(old: bytes, new: bytes) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        LEVEL, window_log=_window_log(old, len(new)), enable_ldm=True, write_content_size=False
    )
    history = zstandard.ZstdCompressionDict(old, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdCompressor(dict_data=history, compression_params=parameters).compress(new)


def _decompressed(frame: bytes, head: DeltaHead, old: bytes) -> bytes:
    """The frame's content, which must have exactly the promised size and end with the delta."""
    window = 1 << max(_window_log(old, head.size_bytes), _WINDOW_LOG_WHOLE)
    if head.codec == "patch":
        history = zstandard.ZstdCompressionDict(old, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        decompressor = zstandard.ZstdDecompressor(dict_data=history, max_window_size=window)
    else:
        decompressor = zstandard.ZstdDecompressor(max_window_size=window)
    try:
        with decompressor.stream_reader(frame) as reader:
            content = reader.read(head.size_bytes + 1)
    except zstandard.ZstdError as error:
        raise TrustError(f"delta: {error}", hint="fetch the whole blob") from error
    if len(content) != head.size_bytes:
        raise TrustError(
            f"delta: holds {len(content)} bytes or more, promised were {head.size_bytes}",
            hint="fetch the whole blob",
        )
    return content


def _window_log(old: bytes, new_size: int) -> int:
    """Wide enough that the newest byte still sees the oldest."""
    wanted = (len(old) + new_size).bit_length()
    return min(max(wanted, _WINDOW_LOG_LEAST), _WINDOW_LOG_MOST)


def _xor(content: bytes, old: bytes) -> bytes:
    """Each byte against the old one at the same place; where the old blob has none, itself."""
    size = len(content)
    mask = old[:size].ljust(size, b"\0")
    difference = int.from_bytes(content, "little") ^ int.from_bytes(mask, "little")
    return difference.to_bytes(size, "little")


def _planes(content: bytes, width: int) -> bytes:
    """First every `width`-th byte, then every one after those, and so on."""
    return b"".join(content[plane::width] for plane in range(width))


def _joined(planes: bytes, width: int) -> bytes:
    """`_planes` undone."""
    content = bytearray(len(planes))
    start = 0
    for plane in range(width):
        count = len(range(plane, len(planes), width))
        content[plane::width] = planes[start : start + count]
        start += count
    return bytes(content)


def _require_hash(content: bytes, sha256: str, *, what: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise TrustError(
            f"delta: {what} hashes to {found[:12]}..., promised was {sha256[:12]}...",
            hint="fetch the whole blob",
        )

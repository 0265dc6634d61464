"""Kits of models to measure: what a device believes of one."""

import msgspec
import pytest

from edgewright.errors import EdgewrightError, InputError, TrustError
from edgewright.testing.keys import MemorySigner
from edgewright.trust import Signature
from edgewright.wire.kits import (
    FILES_MOST,
    KIT_MOST_BYTES,
    PREFIX_BYTES,
    KitFile,
    KitOrder,
    decode_head,
    encode_head,
    head_bytes,
)

SIGNER, STRANGER = MemorySigner.from_seed(1), MemorySigner.from_seed(2)


def file(name: str = "00-a.onnx", size_bytes: int = 10) -> KitFile:
    return KitFile(name=name, size_bytes=size_bytes, sha256="0" * 64)


def order(*files: KitFile, device: str = "d1") -> KitOrder:
    files = files or (file(), file("inputs.npz"))
    return KitOrder(device=device, expires_at_s=100.0, files=files)


def head_of(made: bytes) -> bytes:
    assert head_bytes(made[:PREFIX_BYTES]) == len(made) - PREFIX_BYTES
    return made[PREFIX_BYTES:]


def read(head: bytes, *, device: str = "d1", now_s: float = 50.0) -> KitOrder:
    return decode_head(head, keys=[SIGNER.public], device=device, now_s=now_s)


def test_an_order_comes_back_as_it_was_signed() -> None:
    assert read(head_of(encode_head(order(), SIGNER))) == order()


@pytest.mark.parametrize(
    ("now_s", "device", "why"),
    [(100.0, "d1", "time was over"), (50.0, "d2", "is for d1, this is d2")],
)
def test_a_kit_is_for_one_device_and_for_a_time(now_s: float, device: str, why: str) -> None:
    head = head_of(encode_head(order(), SIGNER))
    with pytest.raises(EdgewrightError, match=why):
        read(head, device=device, now_s=now_s)


def test_a_stranger_who_signs_is_not_believed() -> None:
    with pytest.raises(TrustError, match="nobody whom this device trusts"):
        read(head_of(encode_head(order(), STRANGER)))


def test_a_signature_over_something_else_is_none_over_a_kit() -> None:
    """The bare order, signed by the right key, as a bundle's manifest would be."""
    text = msgspec.json.encode(order())
    signed = {"order": text.decode(), "signatures": [Signature.of(SIGNER, text)]}
    with pytest.raises(TrustError, match="nobody whom this device trusts"):
        read(msgspec.json.encode(signed))


def test_any_changed_byte_of_the_head_is_seen() -> None:
    head = head_of(encode_head(order(), SIGNER))
    for at in range(len(head)):
        changed = bytearray(head)
        changed[at] ^= 1
        with pytest.raises(EdgewrightError):
            read(bytes(changed))


@pytest.mark.parametrize(
    "name", ["../x.onnx", "a/b.onnx", ".onnx", "A.onnx", "a", "a.onnx\n", "order.json/", "a..b"]
)
def test_names_lead_nowhere_else(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a file"):
        file(name)


@pytest.mark.parametrize(
    "files",
    [
        (file(),),
        (file(), file()),
        tuple(file(f"a{n}.onnx") for n in range(FILES_MOST + 1)),
        (file(size_bytes=KIT_MOST_BYTES), file("inputs.npz")),
        (file("order.json"), file("inputs.npz")),
    ],
)
def test_orders_that_a_device_could_not_keep_are_none(files: tuple[KitFile, ...]) -> None:
    with pytest.raises(ValueError, match=r"files|bytes|name"):
        KitOrder(device="d1", expires_at_s=1.0, files=files)


@pytest.mark.parametrize("prefix", [b"", b"EWK1", b"EWK2\0\0\0\1", b"EWK1\xff\0\0\0"])
def test_other_files_are_no_kits(prefix: bytes) -> None:
    with pytest.raises(InputError, match="no kit"):
        head_bytes(prefix)

"""A bundle file told in terms of another: smaller, and byte for byte the released one."""

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgewright._npz import encode_npz
from edgewright.bundle import Bundle, Draft, build_bundle, open_bundle, unpack
from edgewright.bundle.delta import encode_delta
from edgewright.bundle.patch import (
    HEAD_LIMIT_BYTES,
    MAGIC,
    PARTS_LIMIT,
    Head,
    Part,
    apply_patch,
    encode_patch,
)
from edgewright.contract import Contract, Tensor
from edgewright.errors import TrustError

CONTRACT = Contract(
    inputs=(Tensor(name="x", dtype="float32", shape=("batch", 2)),),
    outputs=(Tensor(name="y", dtype="float32", shape=("batch", 1)),),
)


def bundle(folder: Path, version: str, weights: np.ndarray, *, engine: str = "m.npz") -> Bundle:
    path = folder / f"{version}.ewb"
    draft = Draft(
        name="tiny", version=version, format="reference", precision="fp32", contract=CONTRACT
    )
    blobs = [
        ("model", engine, encode_npz({"w": weights})),
        ("file", "same.bin", np.random.default_rng(3).bytes(30_000)),
        ("card", "card.md", f"version {version}".encode()),
    ]
    build_bundle(path, draft, blobs)  # type: ignore[arg-type]  # roles
    return open_bundle(path)


@pytest.fixture
def weights() -> np.ndarray:
    return np.random.default_rng(1).normal(size=20_000).astype(np.float32)


@pytest.fixture
def pair(tmp_path: Path, weights: np.ndarray) -> tuple[Bundle, Bundle]:
    step = np.random.default_rng(2).normal(scale=1e-7, size=weights.shape).astype(np.float32)
    return bundle(tmp_path, "1", weights), bundle(tmp_path, "2", weights + step)


def patched(folder: Path, content: bytes, old: Bundle) -> bytes:
    (folder / "p").write_bytes(content)
    apply_patch(folder / "p", old, folder / "out.ewb")
    return (folder / "out.ewb").read_bytes()


def test_a_slot_and_a_patch_make_the_released_file(
    tmp_path: Path, pair: tuple[Bundle, Bundle]
) -> None:
    old, new = pair
    slot = unpack(old.path, tmp_path / "slot")
    patch = encode_patch(old, new)
    assert patched(tmp_path, patch, slot) == new.path.read_bytes()
    assert len(patch) < 0.4 * new.path.stat().st_size


def test_what_did_not_change_takes_next_to_nothing(tmp_path: Path, weights: np.ndarray) -> None:
    old, new = bundle(tmp_path, "1", weights), bundle(tmp_path, "2", weights)
    assert len(encode_patch(old, new)) < 2500


def test_a_renamed_engine_file_is_still_a_delta(tmp_path: Path, weights: np.ndarray) -> None:
    old = bundle(tmp_path, "1", weights)
    new = bundle(tmp_path, "2", np.where(weights > 2, 0, weights), engine="other.npz")
    patch = encode_patch(old, new)
    assert len(patch) < 10_000
    assert patched(tmp_path, patch, old) == new.path.read_bytes()


def test_a_patch_of_another_bundle_is_refused(
    tmp_path: Path, pair: tuple[Bundle, Bundle], weights: np.ndarray
) -> None:
    with pytest.raises(TrustError, match="the patch is for bundle"):
        patched(tmp_path, encode_patch(*pair), bundle(tmp_path, "9", weights * 2))


@pytest.mark.parametrize("seed", range(12))
def test_a_flipped_bit_makes_no_file(
    tmp_path: Path, pair: tuple[Bundle, Bundle], seed: int
) -> None:
    old, new = pair
    content = bytearray(encode_patch(old, new))
    rng = np.random.default_rng(seed)
    content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    try:
        made = patched(tmp_path, bytes(content), old)
    except TrustError:
        assert not (tmp_path / "out.ewb").exists()
    else:  # a bit that says nothing, such as one of a frame's header
        assert hashlib.sha256(made).digest() == hashlib.sha256(new.path.read_bytes()).digest()


@pytest.mark.parametrize("content", [b"", b"EWP1", b"EWP1\0\0\0\2{}", b"nothing of that kind"])
def test_nonsense_is_no_patch(tmp_path: Path, pair: tuple[Bundle, Bundle], content: bytes) -> None:
    with pytest.raises(TrustError, match="whole bundle"):
        patched(tmp_path, content, pair[0])


def crafted(old: Bundle, parts: list[Part], payload: bytes = b"") -> bytes:
    size_bytes = sum(part.size_bytes for part in parts)
    head = Head(base_id=old.id, sha256="0" * 64, size_bytes=size_bytes, parts=tuple(parts))
    text = msgspec.json.encode(head)
    return MAGIC + len(text).to_bytes(4, "big") + text + payload


def test_a_copy_that_promises_another_size_is_refused_unread(
    tmp_path: Path, pair: tuple[Bundle, Bundle]
) -> None:
    old = pair[0]
    blob = old.blob("model")
    slot = unpack(old.path, tmp_path / "slot")
    # The file is absent: whoever reads it before its size was compared fails otherwise.
    for file in (tmp_path / "slot").rglob("m.npz"):
        file.unlink()
    for size_bytes in (0, blob.size_bytes - 1, blob.size_bytes + 1):
        parts = [Part("copy", blob.sha256, 0, size_bytes)] * 300
        with pytest.raises(TrustError, match="of another size"):
            patched(tmp_path, crafted(old, parts), slot)


def test_a_delta_that_promises_another_size_is_refused(
    tmp_path: Path, pair: tuple[Bundle, Bundle]
) -> None:
    old = pair[0]
    blob = old.blob("model")
    delta = encode_delta(old.read(blob), b"short")
    for size_bytes in (4, 6):
        part = Part("delta", blob.sha256, len(delta), size_bytes)
        with pytest.raises(TrustError, match=r"of another size|the limit is 4"):
            patched(tmp_path, crafted(old, [part], delta), old)


@pytest.mark.parametrize(
    ("part", "count"),
    [
        (Part("whole", "", 0, 0), PARTS_LIMIT + 1),
        (Part("delta", "", 0, 0), 1),
        (Part("whole", "", -1, 1), 1),
        # Each makes one byte, and would read a blob of 240 KB for it.
        (Part("delta", "the model", 0, 1), PARTS_LIMIT),
    ],
)
def test_a_small_patch_cannot_ask_for_endless_work(
    tmp_path: Path, weights: np.ndarray, part: Part, count: int
) -> None:
    old = bundle(tmp_path, "1", np.tile(weights, 3))
    if part.old_sha256:
        part = Part(part.kind, old.blob("model").sha256, part.packed_bytes, part.size_bytes)
    with pytest.raises(TrustError, match="asks for too much"):
        patched(tmp_path, crafted(old, [part] * count), old)


def test_a_long_head_is_not_read(tmp_path: Path, pair: tuple[Bundle, Bundle]) -> None:
    content = b"EWP1" + (HEAD_LIMIT_BYTES + 1).to_bytes(4, "big")
    with pytest.raises(TrustError, match="not a patch"):
        patched(tmp_path, content, pair[0])

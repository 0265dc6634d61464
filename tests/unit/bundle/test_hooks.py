"""Python hooks as a manifest names them, and what a device says to them."""

from pathlib import Path

import msgspec
import pytest

from edgewright.bundle import Blob, Manifest, open_bundle
from edgewright.bundle.hooks import (
    SOURCE_LIMIT_BYTES,
    check_hook,
    hook_blobs,
    require_hooks_allowed,
    require_step_hooks_allowed,
    step_blobs,
)
from edgewright.errors import InputError, TrustError
from edgewright.testing.bundles import build_tiny

SOURCE = b"def preprocess(arrays):\n    return arrays\n"


@pytest.fixture
def plain(tmp_path: Path) -> Manifest:
    build_tiny(tmp_path / "plain.ewb")
    return open_bundle(tmp_path / "plain.ewb").manifest


@pytest.fixture
def hooked(tmp_path: Path) -> Manifest:
    build_tiny(tmp_path / "hooked.ewb", hooks={"preprocess.py": SOURCE})
    return open_bundle(tmp_path / "hooked.ewb").manifest


def test_a_manifest_names_its_hooks(plain: Manifest, hooked: Manifest) -> None:
    assert hook_blobs(plain) == {}
    (found,) = hook_blobs(hooked).values()
    assert (found.role, found.name, found.size_bytes) == ("hook", "preprocess.py", len(SOURCE))


def test_a_bundle_without_hooks_asks_nothing_of_the_device(plain: Manifest) -> None:
    require_hooks_allowed(plain, allowed=False)


def test_hooks_run_only_where_the_device_allows_them(hooked: Manifest) -> None:
    require_hooks_allowed(hooked, allowed=True)
    with pytest.raises(TrustError, match=r"carries preprocess\.py") as refused:
        require_hooks_allowed(hooked, allowed=False)
    assert "allow_hooks = true" in refused.value.hint


@pytest.mark.parametrize(
    ("name", "size_bytes", "told"),
    [
        ("setup.py", 10, "no such hook"),
        ("../preprocess.py", 10, "no such hook"),
        ("postprocess.py", SOURCE_LIMIT_BYTES + 1, "at most"),
    ],
)
def test_what_is_no_hook_is_named(name: str, size_bytes: int, told: str) -> None:
    check_hook("postprocess.py", SOURCE_LIMIT_BYTES)
    with pytest.raises(InputError, match=told):
        check_hook(name, size_bytes)


def test_a_manifest_with_a_hook_of_another_name_is_refused(hooked: Manifest) -> None:
    strange = Blob(role="hook", name="other.py", sha256="0" * 64, size_bytes=1)
    with pytest.raises(InputError, match=r"other\.py"):
        hook_blobs(msgspec.structs.replace(hooked, blobs=(*hooked.blobs, strange)))


def test_scripts_of_the_agents_steps_are_allowed_apart(tmp_path: Path) -> None:
    build_tiny(tmp_path / "steps.ewb", hooks={"after_commit.py": b"print('done')"})
    manifest = open_bundle(tmp_path / "steps.ewb").manifest
    assert hook_blobs(manifest) == {}
    assert set(step_blobs(manifest)) == {"after_commit"}
    require_hooks_allowed(manifest, allowed=False)
    require_step_hooks_allowed(manifest, allowed=True)
    with pytest.raises(TrustError, match=r"carries after_commit\.py") as refused:
        require_step_hooks_allowed(manifest, allowed=False)
    assert "allow_step_hooks = true" in refused.value.hint

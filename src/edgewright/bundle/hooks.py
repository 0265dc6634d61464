"""Python hooks in a bundle: blobs of role "hook", of two names, that the signed manifest lists."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from edgewright.bundle.manifest import Blob, Manifest
from edgewright.errors import InputError, TrustError

HookKind = Literal["preprocess", "postprocess"]

HOOK_FILES: Mapping[str, HookKind] = MappingProxyType(
    {"preprocess.py": "preprocess", "postprocess.py": "postprocess"}
)
SOURCE_LIMIT_BYTES = 1 << 20


def hook_blobs(manifest: Manifest) -> dict[HookKind, Blob]:
    """The hooks that a manifest names.

    Raises:
        InputError: one has a name that no hook has, or is too large for a script.
    """
    found: dict[HookKind, Blob] = {}
    for blob in manifest.blobs:
        if blob.role != "hook":
            continue
        check_hook(blob.name, blob.size_bytes)
        found[HOOK_FILES[blob.name]] = blob
    return found


def check_hook(name: str, size_bytes: int) -> None:
    """Pass, or say what a hook must be.

    Raises:
        InputError: it is none.
    """
    if name not in HOOK_FILES:
        raise InputError(
            f"hook {name!r}: no such hook", hint=f"there are {' and '.join(HOOK_FILES)}"
        )
    if size_bytes > SOURCE_LIMIT_BYTES:
        raise InputError(
            f"hook {name}: {size_bytes} bytes, at most {SOURCE_LIMIT_BYTES} are taken",
            hint="a hook is a short script; put data into the model",
        )


def require_hooks_allowed(manifest: Manifest, *, allowed: bool) -> None:
    """Pass where there are no hooks, or where the device lets them run.

    Raises:
        TrustError: there are, and it does not.
    """
    names = [blob.name for blob in hook_blobs(manifest).values()]
    if names and not allowed:
        raise TrustError(
            f"{manifest.name} {manifest.version} carries {' and '.join(names)}, which this "
            "device's policy does not allow",
            hint="set allow_hooks = true in agent.toml (`serve --allow-hooks`) to run it confined",
        )

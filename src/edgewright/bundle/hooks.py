"""Python hooks in a bundle: blobs of role "hook" that the signed manifest lists, by their names.

Two belong to the model and run with each request, confined; three belong to the agent's steps and
run with its rights, for a limited time. A device allows each kind or refuses the bundle.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

from edgewright.bundle.manifest import Blob, Manifest
from edgewright.errors import InputError, TrustError

HookKind = Literal["preprocess", "postprocess"]

HOOK_FILES: Mapping[str, HookKind] = MappingProxyType(
    {"preprocess.py": "preprocess", "postprocess.py": "postprocess"}
)
Step = Literal["before_activate", "after_commit", "after_rollback"]

STEP_FILES: Mapping[str, Step] = MappingProxyType(
    {
        "before_activate.py": "before_activate",
        "after_commit.py": "after_commit",
        "after_rollback.py": "after_rollback",
    }
)
SOURCE_LIMIT_BYTES = 1 << 20


def hook_blobs(manifest: Manifest) -> dict[HookKind, Blob]:
    """The model's hooks that a manifest names.

    Raises:
        InputError: a hook has a name that none has, or is too large for a script.
    """
    blobs = _checked(manifest)
    return {HOOK_FILES[blob.name]: blob for blob in blobs if blob.name in HOOK_FILES}


def step_blobs(manifest: Manifest) -> dict[Step, Blob]:
    """The hooks of the agent's steps that a manifest names.

    Raises:
        InputError: a hook has a name that none has, or is too large for a script.
    """
    blobs = _checked(manifest)
    return {STEP_FILES[blob.name]: blob for blob in blobs if blob.name in STEP_FILES}


def _checked(manifest: Manifest) -> list[Blob]:
    blobs = [blob for blob in manifest.blobs if blob.role == "hook"]
    for blob in blobs:
        check_hook(blob.name, blob.size_bytes)
    return blobs


def check_hook(name: str, size_bytes: int) -> None:
    """Pass, or say what a hook must be.

    Raises:
        InputError: it is none.
    """
    if name not in {**HOOK_FILES, **STEP_FILES}:
        raise InputError(
            f"hook {name!r}: no such hook",
            hint=f"there are {', '.join([*HOOK_FILES, *STEP_FILES])}",
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
    _require(
        manifest,
        hook_blobs(manifest).values(),
        allowed=allowed,
        hint="set allow_hooks = true in agent.toml (`serve --allow-hooks`) to run it confined",
    )


def require_step_hooks_allowed(manifest: Manifest, *, allowed: bool) -> None:
    """Pass where no script belongs to the agent's steps, or where the device lets them run.

    Raises:
        TrustError: there are, and it does not.
    """
    _require(
        manifest,
        step_blobs(manifest).values(),
        allowed=allowed,
        hint="set allow_step_hooks = true in agent.toml; they run with the agent's rights",
    )


def _require(manifest: Manifest, blobs: Iterable[Blob], *, allowed: bool, hint: str) -> None:
    names = [blob.name for blob in blobs]
    if names and not allowed:
        raise TrustError(
            f"{manifest.name} {manifest.version} carries {' and '.join(names)}, which this "
            "device's policy does not allow",
            hint=hint,
        )

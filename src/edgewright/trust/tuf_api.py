"""The names of the `tuf` library that this house uses, imported in one place.

`tuf` brings signers that import the clients of key services and tokens wherever they are installed,
13 MB for one. Nobody here signs or verifies with them (`keys` has its own), and an agent must stay
small, so the import finds none.
"""

import sys

_CLIENTS = ("boto3", "botocore", "azure", "google.cloud", "hvac", "keylet", "pkcs11")
_hidden = [name for name in _CLIENTS if name not in sys.modules]
sys.modules.update(dict.fromkeys(_hidden))  # type: ignore[arg-type]  # None says: not there
try:
    from tuf.api.exceptions import LengthOrHashMismatchError, RepositoryError
    from tuf.api.metadata import (  # type: ignore[attr-defined]  # the library re-exports them
        TOP_LEVEL_ROLE_NAMES,
        DelegatedRole,
        Delegations,
        Key,
        Metadata,
        MetaFile,
        Role,
        Root,
        Signature,
        Signed,
        Snapshot,
        SuccinctRoles,
        TargetFile,
        Targets,
        Timestamp,
    )
finally:
    for _name in _hidden:
        del sys.modules[_name]

__all__ = [
    "TOP_LEVEL_ROLE_NAMES",
    "DelegatedRole",
    "Delegations",
    "Key",
    "LengthOrHashMismatchError",
    "MetaFile",
    "Metadata",
    "RepositoryError",
    "Role",
    "Root",
    "Signature",
    "Signed",
    "Snapshot",
    "SuccinctRoles",
    "TargetFile",
    "Targets",
    "Timestamp",
]

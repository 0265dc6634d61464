"""What each role may do. Deny by default: what is not in the table is refused.

>>> may("viewer", "read"), may("viewer", "rollout")
(True, False)
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

Role = Literal["viewer", "data-scientist", "releaser", "device-admin", "security-admin", "qa"]
Permission = Literal["read", "publish", "approve", "rollout", "device", "user", "audit", "notify"]

ROLES: tuple[Role, ...] = get_args(Role)
ALL_PERMISSIONS: tuple[Permission, ...] = get_args(Permission)

PERMISSIONS: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {
        "viewer": frozenset({"read"}),
        "data-scientist": frozenset({"read", "publish"}),
        "releaser": frozenset({"read", "publish", "approve", "rollout"}),
        "device-admin": frozenset({"read", "device"}),
        "security-admin": frozenset({"read", "user", "audit", "device", "notify"}),
        "qa": frozenset({"read", "approve", "audit"}),
    }
)


def may(role: Role, permission: Permission) -> bool:
    """Whether a role holds a permission."""
    return permission in PERMISSIONS[role]

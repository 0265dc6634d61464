"""A kind of device, as much as choosing a variant for it needs to know."""

import msgspec


class Target(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A kind of device: what it has and which engine formats it runs."""

    name: str
    architecture: str
    cpu: str
    memory_mb: int
    formats: tuple[str, ...]
    accelerator: str = ""
    source: str = ""

"""Which extra brings a module that a command needed and did not find."""

import re

from edgewright.errors import UnavailableError

_REQUIREMENT = re.compile(r"""(?P<name>[A-Za-z0-9._-]+).*extra == ['"](?P<extra>[^'"]+)['"]""")

# Modules that are not called like the package that brings them.
_PACKAGES = {
    "grpc": "grpcio",
    "google": "protobuf",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "mlperf_loadgen": "mlcommons-loadgen",
    "opentelemetry": "opentelemetry-sdk",
    "pkcs11": "python-pkcs11",
}

# Extras that stand for others, or for developers.
_NOT_OFFERED = frozenset({"all", "dev"})

# Offered before others that bring the same package.
_FIRST = ("workbench", "fleet", "vision")


def absence_of(error: ModuleNotFoundError) -> UnavailableError:
    """The error for people.

    Raises:
        ModuleNotFoundError: no extra brings it, so something is broken here, not absent.
    """
    from importlib.metadata import requires  # slow to import, and seldom needed

    module = (error.name or "").split(".")[0]
    package = _PACKAGES.get(module, module.replace("_", "-"))
    found = (_REQUIREMENT.match(line) for line in requires("edgewright") or [])
    extras = {match["extra"] for match in found if match and match["name"] == package}
    extras -= _NOT_OFFERED
    if not extras:
        raise error
    best = next((extra for extra in _FIRST if extra in extras), min(extras))
    return UnavailableError(
        f"this command needs {package}, which is not installed",
        hint=f"pip install 'edgewright[{best}]'",
    )

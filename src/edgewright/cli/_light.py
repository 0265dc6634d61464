"""Keeps long-lived processes small."""

import contextlib
import sys
from collections.abc import Iterator

_CLOUD_CLIENTS = ("boto3", "botocore", "azure")


@contextlib.contextmanager
def without_cloud_clients() -> Iterator[None]:
    """Imports inside find no clients of cloud key services.

    `tuf` brings signers that import such clients wherever they are installed, 13 MB for one. An
    agent only verifies, and with none of them.
    """
    hidden = [name for name in _CLOUD_CLIENTS if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None says: not there
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]

"""Trust by keys that were pinned when the device enrolled: the first implementation of `Trust`."""

from edgewright.bundle import Bundle, verify_signatures
from edgewright.trust import TrustedKeys


class PinnedKeys:
    """A bundle may run when enough of these keys signed its manifest."""

    def __init__(self, keys: TrustedKeys) -> None:
        self._keys = keys

    def check(self, bundle: Bundle) -> None:
        verify_signatures(bundle, self._keys)

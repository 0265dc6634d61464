"""Trust by keys that were pinned when the device enrolled, for a project without repositories."""

from edgewright.bundle import Bundle, verify_signatures
from edgewright.device.agent.ports import Source
from edgewright.device.agent.progress import Release
from edgewright.trust import TrustedKeys


class PinnedKeys:
    """A bundle may run when enough of these keys signed its manifest."""

    def __init__(self, keys: TrustedKeys) -> None:
        self._keys = keys

    async def approve(self, release: Release, source: Source | None, *, wall_s: float) -> None:
        """The signatures decide, and they come with the file."""

    def check_file(self, bundle: Bundle, release: Release, *, wall_s: float) -> None:
        verify_signatures(bundle, self._keys)

    def wrapped_key(self, release: Release, *, wall_s: float) -> str:
        return ""

    def check(self, bundle: Bundle) -> None:
        verify_signatures(bundle, self._keys)

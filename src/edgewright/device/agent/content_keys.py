"""Content keys of encrypted bundles: whose word about them counts, and what opens them here.

    HOME/sealing.key    opens what was encrypted to this device; made here and never sent
    HOME/sealing.pub    its public half, the recipient that others encrypt to

Where a director says which bundle this device shall have, its words carry the content key, wrapped
for this device. A bundle that is carried by hand has it in its own head.
"""

from pathlib import Path

from edgewright.bundle import is_sealed, read_head
from edgewright.device.agent.ports import MetadataError, Trust
from edgewright.device.agent.progress import Release
from edgewright.errors import TrustError
from edgewright.keys import FileOpener

KEY_FILE = "sealing.key"


class ContentKeys:
    """The content keys that this device may have. None of it blames a release: once the device is
    among those who may read it, the same one is taken.
    """

    def __init__(self, trust: Trust, key_file: Path) -> None:
        self._trust = trust
        self._key_file = key_file

    def key_of(self, file: Path, release: Release, *, wall_s: float) -> bytes | None:
        """The key of a bundle file; None when it is not encrypted.

        Raises:
            MetadataError: nobody gave this device the key, or another one.
            TrustError: the file's head was changed.
        """
        if not is_sealed(file):
            return None
        head, wrapped = read_head(file), self._trust.wrapped_key(release, wall_s=wall_s)
        if not self._key_file.exists():
            raise MetadataError(
                f"{head.name} {head.version} is encrypted, and this device has no key that opens "
                "bundles",
                hint="make one: edgewright agent recipient --home DIR",
            )
        try:
            return head.key_by(FileOpener.load(self._key_file), wrapped_hex=wrapped)
        except TrustError as error:
            raise MetadataError(error.message, hint=error.hint) from error

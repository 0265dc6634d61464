"""Content keys of encrypted releases, given to each device that shall have them.

A release whose file is encrypted was encrypted to the fleet as well. Its content key is opened here
when the director speaks to a device, and wrapped anew for that device alone: what it may open
travels in the director's signed words, and the file, the same for everybody, needs no secrecy.
"""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select, update

from edgewright.bundle import Opener, Recipient, is_sealed, read_head
from edgewright.bundle.recipients import wrap_key
from edgewright.clock import Clock
from edgewright.errors import AbsentError, TrustError
from edgewright.fleet.admission import next_revision
from edgewright.fleet.audit import Deed, write_down
from edgewright.fleet.labels import check_name
from edgewright.fleet.projects import DEFAULT_PROJECT, OfProject
from edgewright.fleet.state import State, schema


class Recipients(OfProject):
    """Whom releases may be encrypted to: the fleet by `opener`, and each of its devices."""

    def __init__(
        self,
        state: State,
        *,
        clock: Clock,
        file_of: Callable[[str], Path],
        opener: Callable[[], Opener],
        project: str = DEFAULT_PROJECT,
    ) -> None:
        self._project = project
        self._state = state
        self._clock = clock
        self._file_of = file_of
        self._opener = opener

    def content_key(self, file: Path) -> bytes | None:
        """The content key of a bundle file; None when it is not encrypted.

        Raises:
            TrustError: it is not encrypted to this fleet.
        """
        if not is_sealed(file):
            return None
        opener = self._opener()
        try:
            return read_head(file).key_by(opener)
        except TrustError as error:
            raise TrustError(
                error.message,
                hint=f"encrypt it to this fleet too: --to {opener.recipient.text}",
            ) from error

    def wrapped_for(
        self, connection: Connection, device: str, *, bundle_id: str, file_sha256: str
    ) -> str:
        """A release's content key for one device, in hex; "" when it is not encrypted or the device
        never told its recipient.
        """
        file = self._file_of(file_sha256)
        if not is_sealed(file):
            return ""
        table = schema.recipients
        text = connection.scalar(select(table.c.recipient).where(table.c.device == device))
        content_key = self.content_key(file)
        if not text or content_key is None:
            return ""
        recipient = Recipient.parse(text, source=f"device {device}")
        return wrap_key(content_key, recipient, bundle_id).hex()

    def set(self, device: str, recipient: Recipient, *, by: str) -> None:
        """Say whom releases for a device are encrypted to, instead of what it said itself.

        Raises:
            AbsentError: there is no such device.
        """
        check_name("device", device)
        devices = schema.devices
        with self._state.write() as connection:
            known = select(devices.c.name).where(
                devices.c.project == self._project, devices.c.name == device
            )
            if connection.scalar(known) is None:
                raise AbsentError(
                    f"there is no device {device}", hint="see: edgewright device list"
                )
            keep_recipient(connection, device, recipient.text)
            connection.execute(
                update(devices)
                .where(devices.c.name == device)
                .values(revision=next_revision(connection))
            )
            deed = Deed(
                at_s=self._clock.wall_s(),
                who=by,
                what="recipient set",
                subject=device,
                detail=recipient.key_id[:12],
                project=self._project,
            )
            write_down(connection, deed)


def keep_recipient(connection: Connection, device: str, text: str) -> None:
    """Remember whom releases for a device that enrols are encrypted to; "" forgets it.

    Raises:
        InputError: the text names no recipient.
    """
    table = schema.recipients
    connection.execute(delete(table).where(table.c.device == device))
    if text:
        recipient = Recipient.parse(text, source=f"device {device}")
        connection.execute(insert(table).values(device=device, recipient=recipient.text))

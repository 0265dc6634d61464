"""A device's own recording, ordered through its fleet."""

from edgewright.errors import InputError
from edgewright.fleet.client import Fleet
from edgewright.fleet.remote_commands import CommandOrder
from edgewright.workbench.data.capture.agent import Standing


class FleetErrand:
    """The remote command `capture` to one device."""

    def __init__(self, fleet: Fleet, device: str, *, seconds: float) -> None:
        self._fleet = fleet
        self.device = device
        self._seconds = seconds
        self._number: int | None = None

    def begin(self) -> None:
        """Give the order.

        Raises:
            AbsentError: the fleet has no such device.
            InputError: so long a capture is not taken.
        """
        order = CommandOrder(kind="capture", lifetime_s=self._seconds)
        self._number = self._fleet.order_command(self.device, order).number

    def standing(self) -> Standing:
        """What came of it so far."""
        facts = self._fleet.command(self.device, self._given)
        return Standing(status=facts.status, text=facts.text, size_bytes=facts.upload_bytes)

    def read(self, after: int) -> bytes:
        """What was sent, from a byte on."""
        return self._fleet.command_file(self.device, self._given, after=after)

    @property
    def _given(self) -> int:
        if self._number is None:
            raise InputError("the order was not given yet")
        return self._number

"""A fleet's own CoAP server (extra `coap`): records and hints of `wire.broker` without a broker,
where a TCP connection costs a device too much.

    POST /edgewright/v1/devices/NAME/telemetry   SignedBatch -> BatchAnswer
    GET  /edgewright/v1/devices/NAME/wake        to be observed: each notification says "ask now"

Whoever observes another's hints learns when that device is woken and nothing else; what is to run
is asked over HTTP. Batches are signed, so that UDP may come from anybody; what strangers may hold
of this process's memory is in `coap_bounds`.
"""

import asyncio
import logging

import aiocoap
import aiocoap.error
import aiocoap.resource
import msgspec

from edgewright.clock import Clock
from edgewright.errors import ResourceError
from edgewright.fleet.coap_bounds import Observers, Uploads, WholeAnswers
from edgewright.fleet.device_api.handler import Desk
from edgewright.fleet.gateway import SignedIntake, Wakes
from edgewright.fleet.listening import Address
from edgewright.transports.coap import check_free, hear_on
from edgewright.transports.line import PAYLOAD_BYTES
from edgewright.wire import broker as wire

LOOK_EVERY_S = 0.1
AT_ONCE = 200

_ROOT = tuple(wire.ROOT.split("/"))
_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()


class CoapGateway:
    """Works until it is cancelled."""

    def __init__(self, desk: Desk, address: Address) -> None:
        self._desk = desk
        self._address = address
        self._wakes = Wakes(desk)
        self._devices = _Devices(SignedIntake(desk, "CoAP"), desk.clock)

    async def run(self) -> None:
        """Serve.

        Raises:
            ResourceError: the address is in use.
        """
        site = aiocoap.resource.Site()
        site.add_resource(_ROOT, self._devices)
        where = (self._address.host, self._address.port)
        try:
            check_free(*where)
            # TCP and TLS are HTTP's here, with bounds on who connects.
            context = await aiocoap.Context.create_server_context(
                site, bind=where, transports=["udp6"]
            )
        except (OSError, aiocoap.error.Error) as error:
            raise ResourceError(
                f"listening for CoAP on {where[0]}:{where[1]}: {error}", hint="choose another port"
            ) from error
        hear_on(context)
        try:
            while True:
                self._devices.forget()
                await self._wake()
                await self._desk.clock.sleep(LOOK_EVERY_S)
        finally:
            await context.shutdown()

    async def _wake(self) -> None:
        try:
            await self._wakes.look_for_pending()
        except ResourceError as error:
            _log.warning("devices ask without hints: %s", error)
        while names := self._wakes.take(AT_ONCE):
            for name in names:
                self._devices.hint(name)
            await asyncio.sleep(0)


class _Devices(aiocoap.resource.ObservableResource, aiocoap.resource.PathCapable):  # type: ignore[misc]  # untyped
    """Every device below one root."""

    def __init__(self, intake: SignedIntake, clock: Clock) -> None:
        super().__init__()
        self._block1 = Uploads(clock, limit_bytes=PAYLOAD_BYTES)
        self._block2 = WholeAnswers()
        self._intake = intake
        self._clock = clock
        self._watching: Observers[aiocoap.protocol.ServerObservation] = Observers()

    def hint(self, device: str) -> None:
        """Tell a device, if it observes, that asking is worth its while."""
        for observation in self._watching.of(device):
            observation.trigger(aiocoap.Message(code=aiocoap.CONTENT))

    def forget(self) -> None:
        """End what nobody has asked for lately."""
        for observation in self._watching.expired(self._clock.monotonic_s()):
            _end(observation)

    async def needs_blockwise_assembly(self, request: aiocoap.Message) -> bool:
        """Only what may be long is put together: anything else would be held for nothing."""
        if request.code is not aiocoap.POST:
            return False
        _device_of(request, "telemetry")
        return True

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        _device_of(request, "wake")
        return aiocoap.Message(code=aiocoap.CONTENT)

    async def render_post(self, request: aiocoap.Message) -> aiocoap.Message:
        device = _device_of(request, "telemetry")
        if len(request.payload) > PAYLOAD_BYTES:
            raise aiocoap.error.RequestEntityTooLarge
        answer = await self._intake.answer(device, request.payload)
        if answer is None:
            raise aiocoap.error.BadRequest
        return aiocoap.Message(code=aiocoap.CHANGED, payload=_encoder.encode(answer))

    async def add_observation(
        self, request: aiocoap.Message, observation: aiocoap.protocol.ServerObservation
    ) -> None:
        """Note who observes; the oldest gives way when there are many."""
        device = _device_of(request, "wake")
        now_s = self._clock.monotonic_s()
        for other in self._watching.add(device, observation, now_s=now_s):
            _end(other)
        observation.accept(lambda: self._watching.remove(observation))


def _end(observation: aiocoap.protocol.ServerObservation) -> None:
    observation.trigger(aiocoap.Message(code=aiocoap.SERVICE_UNAVAILABLE))


def _device_of(request: aiocoap.Message, what: str) -> str:
    match request.opt.uri_path:
        case (device, last) if last == what and 0 < len(device) <= 63:
            return str(device)
        case _:
            raise aiocoap.error.NotFound

"""Everything together: listens, loads, serves, drains."""

import asyncio
import ssl
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from edgewright.clock import Clock
from edgewright.device.serve.access import Access
from edgewright.device.serve.admin import Admin
from edgewright.device.serve.application import InferenceApplication, Page
from edgewright.device.serve.candidate import OpenCandidate
from edgewright.device.serve.edgeinfer import EdgeInfer
from edgewright.device.serve.friendly import Friendly
from edgewright.device.serve.models import Models
from edgewright.device.serve.motifs import Motifs
from edgewright.device.serve.observing import Observer, Observers, Observing
from edgewright.device.serve.opening import Equip
from edgewright.device.serve.passes import Resources
from edgewright.device.serve.pictures import DecodeImage, Pictures
from edgewright.device.serve.ports import Listener, OpenModel, Timer
from edgewright.device.serve.refusal import RefusalError
from edgewright.device.serve.serving import Admission
from edgewright.device.serve.workers import Loader, Workers
from edgewright.errors import InputError
from edgewright.transports.http1 import (
    Limits,
    MakeHttp2,
    Server,
    start_application,
    start_server,
)
from edgewright.wire.admin import SplitOrder

ListenAlso = Callable[[Models, Timer, Observers | None], Listener]
"""Makes another way in to the same models; where there are observers it tells them too."""


class ServeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen and how much to take on."""

    host: str | None = None
    port: int | None = None
    uds: Path | None = None
    admin: Path | None = None
    threads: int = 1
    limits: Limits = Limits()
    admission: Admission = Admission()
    model_limits: Mapping[str, Admission] = {}
    """By model, instead of `admission`."""
    splits: Mapping[str, SplitOrder] = {}
    """By model, how its versions share its requests once they are loaded."""

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"threads is {self.threads}, expected 1 or more")


class InferenceServer:
    """A server of models. Start it, load models, close it."""

    def __init__(
        self,
        open_model: OpenModel,
        options: ServeOptions,
        *,
        clock: Clock,
        timer: Timer,
        open_candidate: OpenCandidate | None = None,
        decode_image: DecodeImage | None = None,
        access: Access | None = None,
        motifs: Motifs | None = None,
        tls: ssl.SSLContext | None = None,
        http2: MakeHttp2 | None = None,
        observers: Sequence[Observer] = (),
        listen_also: ListenAlso | None = None,
        memory_limited: Container[str] = (),
        pages: Sequence[Page] = (),
        equip: Equip | None = None,
        equipped: Iterable[str] = (),
    ) -> None:
        self._options = options
        self._equipped = equipped
        self._clock = clock
        self._servers: list[Server] = []
        self._workers = Workers(options.threads)
        self._loader = Loader()
        resources = Resources(
            workers=self._workers,
            timer=timer,
            wall_s=clock.wall_s,
            call_soon=asyncio.get_running_loop().call_soon,
            call_later=asyncio.get_running_loop().call_later,
            loader=self._loader,
            pictures=Pictures(self._workers, decode_image),
            is_alone=self._is_alone,
        )
        self.models = Models(
            open_model,
            admission=options.admission,
            limits=options.model_limits,
            resources=resources,
            open_candidate=open_candidate,
            orders=options.splits,
            memory_limited=memory_limited,
            equip=equip,
        )
        self._admin: Server | None = None
        self._tls = tls
        self._http2 = http2
        application = InferenceApplication(
            self.models,
            self._servers,
            timer,
            friendly=Friendly(self.models, timer),
            edgeinfer=EdgeInfer(self.models, self._workers, timer, clock.wall_s, motifs),
            access=access,
            pages=pages,
        )
        self._front: InferenceApplication | Observing = application
        told = Observers(observers, timer=timer, wall_s=clock.wall_s) if observers else None
        if told is not None:
            self._front = Observing(application, application.prepare, told)
        self._listener = listen_also(self.models, timer, told) if listen_also is not None else None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where clients reach it."""
        also = [self._listener.address] if self._listener is not None else []
        return (*(server.address for server in self._servers), *also)

    async def start(self, paths: Sequence[Path]) -> None:
        """Listen, then load: until a model is ready its requests get a 503.

        Raises:
            ResourceError: an address cannot be taken.
            EdgewrightError: a model cannot be opened, or failed its trial.
        """
        try:
            await self._listen()
            loaded: set[str] = set()
            for path in paths:
                model = await self.models.load(path, keep=True)
                if f"{model.name} {model.version}" in loaded:
                    raise InputError(
                        f"{path}: model {model.name!r} version {model.version!r} is given twice",
                        hint="give each model once",
                    )
                loaded.add(f"{model.name} {model.version}")
            self.models.directory.check_all()
            self._check_names()
        except RefusalError as refusal:
            await self.close(drain_s=0)
            raise InputError(str(refusal)) from refusal
        except BaseException:
            await self.close(drain_s=0)
            raise

    def renew_tls(self, context: ssl.SSLContext) -> None:
        """Show another certificate, or believe another authority of clients, from now on."""
        for server in self._servers:
            server.renew_tls(context)

    async def close(self, drain_s: float = 10.0) -> None:
        """Answer what was asked, refuse newcomers, unload."""
        servers: list[Server | Listener] = [*self._servers]
        servers += [other for other in (self._admin, self._listener) if other is not None]
        await asyncio.gather(*(server.close(drain_s) for server in servers))
        # Passes of peers that were cut off still run; a model is closed after its last one.
        self._workers.close()
        await asyncio.sleep(0)
        await self.models.close()

    def _check_names(self) -> None:
        """Nobody could load the model of a limit or a reference later where there is no
        administrator.
        """
        served = self.models.directory.names
        for what, names in (
            ("a limit", self._options.model_limits),
            ("a reference", self._equipped),
        ):
            absent = sorted(set(names) - set(served))
            if absent and self._options.admin is None:
                raise InputError(
                    f"{what} names model {absent[0]!r}, which is not served",
                    hint=f"served are {', '.join(sorted(served)) or 'none'}",
                )

    def _is_alone(self) -> bool:
        """Whether a single client is connected; where there is another way in, nobody is alone."""
        servers = self._servers
        if len(servers) == 1:
            return servers[0].connections == 1 and self._listener is None
        return sum(server.connections for server in servers) == 1 and self._listener is None

    async def _listen(self) -> None:
        options = self._options
        if options.uds is None or options.port is not None or options.host is not None:
            self._servers.append(
                await start_application(
                    self._front,
                    host=options.host,
                    port=options.port,
                    limits=options.limits,
                    clock=self._clock,
                    tls=self._tls,
                    http2=self._http2,
                    prepare=self._front.prepare,
                )
            )
        if options.uds is not None:
            self._servers.append(
                await start_application(
                    self._front,
                    uds=options.uds,
                    limits=options.limits,
                    clock=self._clock,
                    prepare=self._front.prepare,
                )
            )
        if self._listener is not None:
            await self._listener.start()
        if options.admin is not None:
            self._admin = await start_server(
                Admin(self.models), uds=options.admin, limits=options.limits, clock=self._clock
            )

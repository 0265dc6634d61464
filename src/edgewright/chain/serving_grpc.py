"""The server's gRPC side; importing this file needs the extra `grpc`."""

from edgewright.chain.serving_tls import TlsFiles
from edgewright.device.serve.access import Access
from edgewright.device.serve.grpc_service import GrpcService
from edgewright.device.serve.models import Models
from edgewright.device.serve.observing import Observers
from edgewright.device.serve.ports import Listener, Timer
from edgewright.device.serve.server import ListenAlso
from edgewright.transports import Limits
from edgewright.transports.grpc import GrpcTls


def grpc_listener(
    address: tuple[str, int],
    limits: Limits,
    *,
    access: Access | None = None,
    tls: TlsFiles | None = None,
) -> ListenAlso:
    """Makes a gRPC server for this address, given the models; keys and TLS as on the HTTP side."""

    def shown() -> GrpcTls:
        assert tls is not None  # noqa: S101 - asked only where there is TLS
        texts = tls.texts
        return GrpcTls(cert=texts.cert, key=texts.key, client_ca=texts.client_ca)

    def make(models: Models, timer: Timer, observers: Observers | None) -> Listener:
        service = GrpcService(models, timer, access=access, observers=observers)
        return service.server(
            address,
            message_bytes=limits.body_bytes,
            calls=limits.connections,
            tls=None if tls is None else shown,
        )

    return make

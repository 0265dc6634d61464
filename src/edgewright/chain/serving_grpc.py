"""The server's gRPC side; importing this file needs the extra `grpc`."""

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
    tls: GrpcTls | None = None,
) -> ListenAlso:
    """Makes a gRPC server for this address, given the models; keys and TLS as on the HTTP side."""

    def make(models: Models, timer: Timer, observers: Observers | None) -> Listener:
        service = GrpcService(models, timer, access=access, observers=observers)
        return service.server(
            address, message_bytes=limits.body_bytes, calls=limits.connections, tls=tls
        )

    return make

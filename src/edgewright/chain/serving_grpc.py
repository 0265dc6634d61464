"""The server's gRPC side; importing this file needs the extra `grpc`."""

from collections.abc import Callable

from edgewright.device.serve.grpc_service import GrpcService
from edgewright.device.serve.models import Models
from edgewright.device.serve.ports import Listener, Timer
from edgewright.transports import Limits


def grpc_listener(address: tuple[str, int], limits: Limits) -> Callable[[Models, Timer], Listener]:
    """Makes a gRPC server for this address, given the models."""

    def make(models: Models, timer: Timer) -> Listener:
        service = GrpcService(models, timer)
        return service.server(address, message_bytes=limits.body_bytes, calls=limits.connections)

    return make

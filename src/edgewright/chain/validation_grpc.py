"""gRPC as a way to validate; importing this file needs the extra `grpc`."""

from edgewright.validate.grpc_way import GrpcWay
from edgewright.validate.ways import Way


def grpc_way() -> Way:
    """The way over gRPC."""
    return GrpcWay()

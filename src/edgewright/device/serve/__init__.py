"""The inference server: V2 / Open Inference Protocol over HTTP and Unix sockets.

It never answers with a number that a model did not give: what is out of contract is refused by
name, what nobody can answer now is a 503. A model serves only after its trial (its golden answers,
or finite and repeatable ones), and replacing it leaves no gap. The server knows no engine: opening
a model is a callable that `chain` hands in.

    >>> import asyncio, time
    >>> from pathlib import Path
    >>> from edgewright.clock import SystemClock
    >>> from edgewright.testing.models import open_doubler
    >>> from edgewright.transports.http1 import Client
    >>> async def session():
    ...     server = InferenceServer(
    ...         open_doubler, ServeOptions(), clock=SystemClock(), timer=time.perf_counter
    ...     )
    ...     await server.start([Path("doubler")])
    ...     async with Client(server.addresses[0]) as client:
    ...         answer = await client.request("POST", "/infer", body=b'{"x": [1, 2]}')
    ...     await server.close()
    ...     return answer.body
    >>> asyncio.run(session())
    b'{"y":[2.0,4.0]}'
"""

from edgewright.device.serve.ports import Model, OpenModel, Servable
from edgewright.device.serve.server import InferenceServer, ServeOptions
from edgewright.device.serve.serving import Admission

__all__ = [
    "Admission",
    "InferenceServer",
    "Model",
    "OpenModel",
    "Servable",
    "ServeOptions",
]

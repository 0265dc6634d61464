"""A fleet as programs use it: the same methods over HTTP and over the fleet's own folder.

    from edgewright.fleet.client import FleetClient

    with FleetClient("https://fleet.example:8700", token=token, project="press-shop") as fleet:
        started = fleet.start_rollout(RolloutOrder(release="gearbox@2", query="site=berlin"))
        print(fleet.rollout(started.number).status)

`Fleet` is the port, `FleetClient` speaks HTTP, `LocalFleet` works on the services of an open fleet
(`edgewright.chain.fleet.open_fleet`). Everything given and got is a typed value; every refusal is
an error of `edgewright.errors`, the same one on both ways. The commands of `edgewright device`,
`release`, `rollout` and `user` are written on this port.
"""

from edgewright.fleet.client.base import Fleet
from edgewright.fleet.client.http import FleetClient
from edgewright.fleet.client.local import LocalFleet

__all__ = ["Fleet", "FleetClient", "LocalFleet"]

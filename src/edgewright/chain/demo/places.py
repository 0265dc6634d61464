"""The fleet and the device of the demo: real processes on loopback, each with a home of its own."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgewright._fs import write_atomic
from edgewright.chain import agent as agent_chain
from edgewright.chain import fleet as fleet_chain
from edgewright.chain import releases, trust_repository
from edgewright.chain.enrolment import enroll
from edgewright.chain.fleet_blobs import RELEASES
from edgewright.chain.processes import Child, free_port, running
from edgewright.clock import SystemClock
from edgewright.device.agent import AgentStatus
from edgewright.errors import TrustError
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.registry import Registry
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.fleet.rollout_terms import Limits
from edgewright.fleet.rollouts import Rollouts
from edgewright.keys import FileSigner
from edgewright.stores import FolderBlobs
from edgewright.trust import Signer, TrustedKeys

OPERATOR = "demo"
READY_TIMEOUT_S = 60.0
UPDATE_TIMEOUT_S = 120.0
DEVICE = "bench-1"

# A device that polls every second and watches a new model for three: a demo has no night to wait.
AGENT_TOML = """\
serve_http = "127.0.0.1:{port}"
poll_s = 1.0
probation_s = 3.0
"""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """A running fleet."""

    home: Path
    devices_url: str
    keeper: Signer

    def publish(self, bundle: Path) -> str:
        """Have the keeper sign a bundle as a target and offer it; the release, MODEL@VERSION."""
        made = releases.publish(self.home, bundle, by=OPERATOR, signers=[self.keeper])
        if made.release is None:
            raise TrustError(f"{made.target} lacks signatures: {made.lacks}")
        return made.release.text

    def revoke(self, release: str) -> None:
        """Take a release back: devices return to it no more."""
        image, wall_s = self.home / fleet_chain.IMAGE, SystemClock().wall_s()
        trust_repository.withdraw(image, f"{release.replace('@', '/')}.ewb", wall_s=wall_s)
        for signer in (self.keeper, fleet_chain.online_key(self.home)):
            trust_repository.sign_by(image, signer, wall_s=wall_s)

    def smuggle(self, bundle: Path) -> str:
        """Write a bundle that no keeper released into the fleet's own books, as whoever has taken
        the fleet over could; the release, MODEL@VERSION.
        """
        with fleet_chain.open_fleet(self.home) as office:
            registry = Registry(
                office.state,
                blobs=FolderBlobs(self.home / RELEASES),
                clock=office.clock,
                trusted=lambda: TrustedKeys(threshold=1, keys=(self.keeper.public,)),
            )
            return registry.publish(bundle, by="an intruder").text

    def abort(self, rollout: int) -> None:
        """End a rollout."""
        with fleet_chain.open_fleet(self.home) as office:
            office.rollouts.abort(rollout, returns=True, reason="demo", by=OPERATOR)

    def token(self) -> str:
        """A token that lets one device in."""
        with fleet_chain.open_fleet(self.home) as office:
            return office.devices.create_token(TokenOrder(uses=1), by=OPERATOR).token

    def roll_out(self, release: str) -> int:
        """Order a release for every device; returns the rollout's number."""
        with fleet_chain.open_fleet(self.home) as office:
            order = RolloutOrder(release=release, waves="100%", limits=Limits(soak_s=0.0))
            return office.rollouts.start(order, by=OPERATOR).number

    def force(self, release: str) -> int:
        """Order what no keeper released, as whoever has taken the fleet over could: the fleet's own
        rollouts refuse to begin with it.
        """
        with fleet_chain.open_fleet(self.home) as office:
            order = RolloutOrder(release=release, waves="100%", limits=Limits(soak_s=0.0))
            rollouts = Rollouts(office.state, clock=office.clock)
            return rollouts.start(order, by="an intruder").number

    def is_over(self, rollout: int) -> bool:
        """Whether a rollout reached its end, good or bad."""
        with fleet_chain.open_fleet(self.home) as office:
            return office.rollouts.status(rollout).status in {"done", "aborted"}


@dataclass(frozen=True, kw_only=True)
class Device:
    """A running device."""

    home: Path
    address: str

    def status(self) -> AgentStatus:
        """What its home says."""
        return agent_chain.status(self.home)

    def committed(self, model: str) -> tuple[str, str]:
        """The bundle that it holds for good, and where its agent stands."""
        for one in self.status().models:
            if one.model == model:
                return one.version, one.state
        return "", ""

    def last_word(self, model: str, version: str) -> str:
        """Why its last try at a release ended; empty while it did not try."""
        for step in reversed(self.status().history):
            if (step.model, step.version, step.state) == (model, version, "idle"):
                return f"{step.event}: {step.reason}"
        return ""

    def refusal_of(self, model: str, version: str) -> str:
        """Why it will not run a release; empty while it has not decided."""
        for one in self.status().models:
            for bad in one.bad if one.model == model else ():
                if bad.version == version:
                    return bad.reason
        return ""


@contextlib.contextmanager
def running_fleet(home: Path, keeper: FileSigner, public: Path) -> Iterator[Fleet]:
    """A fleet with an image repository of one keeper, for as long as the block lasts."""
    _found_repository(home, keeper, public)
    people, devices = free_port(), free_port()
    arguments = ["fleet", "serve", "--home", str(home)]
    arguments += ["--listen", f"127.0.0.1:{people}", "--devices", f"127.0.0.1:{devices}"]
    with running("the fleet", arguments, log=home / "fleet.log") as child:
        child.wait_for(lambda: listens(devices), timeout_s=READY_TIMEOUT_S)
        url = f"http://127.0.0.1:{devices}"
        yield Fleet(home=home, devices_url=url, keeper=keeper)


@contextlib.contextmanager
def running_device(home: Path, fleet: Fleet) -> Iterator[tuple[Device, Child]]:
    """A device that enrolled with the fleet, for as long as the block lasts."""
    port = free_port()
    write_atomic(home / "agent.toml", AGENT_TOML.format(port=port).encode())
    enroll(fleet.devices_url, token=fleet.token(), home=home, device=DEVICE, labels={})
    arguments = ["agent", "run", "--home", str(home)]
    with running("the agent", arguments, log=home / "agent.log") as child:
        yield Device(home=home, address=f"127.0.0.1:{port}"), child


def _found_repository(home: Path, keeper: FileSigner, public: Path) -> None:
    """One keeper holds root and targets here; a real project has several, and thresholds."""
    online = fleet_chain.found_online_key(home)
    owners = {"root": public, "targets": public, "snapshot": online, "timestamp": online}
    keys = {role: trust_repository.KeyFiles(paths=(path,)) for role, path in owners.items()}
    image, wall_s = home / fleet_chain.IMAGE, SystemClock().wall_s()
    trust_repository.found(image, keys, wall_s=wall_s)
    for signer in (keeper, fleet_chain.online_key(home)):
        trust_repository.sign_by(image, signer, wall_s=wall_s)


def listens(port: int) -> bool:
    """Whether somebody answers on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0

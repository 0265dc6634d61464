"""The agent: brings bundles onto a device and never leaves it without a model that works.

A crash-only state machine. `machine` is the table, `progress` the value each journal line holds,
both pure; `update` lets a state act (`actions`) and writes down how it ended; `agent` does single
deeds, `daemon` all of them at once. Whatever is killed in the middle is resumed from the journal at
the next start. The agent's process loads no numpy and no engine: the probe and the server are
processes of their own.

The home folder:

    agent.toml        settings, written by the device's admin; absent means defaults
    identity.json     this device's name, its fleet and its secret (owner only)
    policy.toml       figures that a bundle must bring, and whose word about them counts; absent
                      means that the right one is taken
    sealing.key       opens bundles that were encrypted to this device (owner only); sealing.pub
                      beside it is whom to encrypt to
    tls/              this device's key and certificate, when its fleet speaks TLS
    trust/image/, trust/director/    the repositories whose word counts, their roots planted when
                      the device enrolled; or, in a project without them:
    trust.json        the keys whose bundles may run here
    lock              held by the one agent that may write here
    journal.log       every step of every update, one fsynced line each
    outbox.log        telemetry that the fleet has not taken yet
    numbers.log       which record numbers were given out, should the outbox be lost
    downloads/        <sha256 of file>.part while it arrives, .ewb when it is whole
    packages/         code of the agent that came as a release, see `package`
    slots/<model>/    <bundle_id>/ unpacked bundles, `current` -> the active one
    agent.sock        orders to the agent that runs
    admin.sock, serve.sock, server.log    the server's: orders, requests on this device, words

Invariants: `current` changes by rename only, to a slot that was verified just before; a bundle is
committed only after its probe passed; the last good bundle is never marked bad and its slot never
removed; a refused bundle leaves nothing but its line in the journal.

    >>> from edgewright.device.agent import State, TABLE
    >>> TABLE[State.PROBATION].gives_up_to
    <State.ROLLBACK: 'rollback'>
"""

from edgewright.device.agent.agent import Agent
from edgewright.device.agent.certificate import DeviceCertificate, unverified_context
from edgewright.device.agent.content_keys import ContentKeys
from edgewright.device.agent.control import Control, Order, send_order
from edgewright.device.agent.daemon import Daemon
from edgewright.device.agent.facts import local_timezone
from edgewright.device.agent.fleet_client import FleetClient
from edgewright.device.agent.home import Home, Identity, Roots
from edgewright.device.agent.journal import Journal
from edgewright.device.agent.limited import ProcessLimits
from edgewright.device.agent.machine import TABLE, Event, State, next_state
from edgewright.device.agent.maintenance import Maintenance
from edgewright.device.agent.no_server import NoServer
from edgewright.device.agent.numbers import Numbers
from edgewright.device.agent.outbox import Outbox
from edgewright.device.agent.package import PACKAGE, PackageProbe, Packages, PackageServer
from edgewright.device.agent.pinned import PinnedKeys
from edgewright.device.agent.ports import (
    Answer,
    CandidateSample,
    Fetcher,
    Fleet,
    MetadataError,
    Offload,
    Probe,
    Replay,
    Server,
    ServingSample,
    Source,
    Trust,
)
from edgewright.device.agent.probe import ProcessProbe
from edgewright.device.agent.progress import Baseline, Outcome, Progress, Release
from edgewright.device.agent.recorder import Recorder
from edgewright.device.agent.remote import Done, RemoteHands
from edgewright.device.agent.replay import ProcessReplay
from edgewright.device.agent.reporter import Reporter
from edgewright.device.agent.server import ServerOrder, ServerProcess
from edgewright.device.agent.settings import Settings
from edgewright.device.agent.slots import Slots
from edgewright.device.agent.status import AgentStatus, read_status
from edgewright.device.agent.support import write_support_bundle
from edgewright.device.agent.tools import Policy, Tools
from edgewright.device.agent.two_repositories import TwoRepositories
from edgewright.device.agent.update import Update

__all__ = [
    "PACKAGE",
    "TABLE",
    "Agent",
    "AgentStatus",
    "Answer",
    "Baseline",
    "CandidateSample",
    "ContentKeys",
    "Control",
    "Daemon",
    "DeviceCertificate",
    "Done",
    "Event",
    "Fetcher",
    "Fleet",
    "FleetClient",
    "Home",
    "Identity",
    "Journal",
    "Maintenance",
    "MetadataError",
    "NoServer",
    "Numbers",
    "Offload",
    "Order",
    "Outbox",
    "Outcome",
    "PackageProbe",
    "PackageServer",
    "Packages",
    "PinnedKeys",
    "Policy",
    "Probe",
    "ProcessLimits",
    "ProcessProbe",
    "ProcessReplay",
    "Progress",
    "Recorder",
    "Release",
    "RemoteHands",
    "Replay",
    "Reporter",
    "Roots",
    "Server",
    "ServerOrder",
    "ServerProcess",
    "ServingSample",
    "Settings",
    "Slots",
    "Source",
    "State",
    "Tools",
    "Trust",
    "TwoRepositories",
    "Update",
    "local_timezone",
    "next_state",
    "read_status",
    "send_order",
    "unverified_context",
    "write_support_bundle",
]

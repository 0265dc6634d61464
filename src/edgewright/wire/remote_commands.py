"""Remote commands: what a person orders a device to do beside running a release, version 1.

    GET  /device/v1/commands                    -> RemoteCommands, each handed out once
    GET  /device/v1/commands/{number}/kit?at=BYTES
                                                -> a part of the kit to measure, empty at its end
    POST /device/v1/commands/{number}/upload    a file that belongs to the result, before the
                                                report; with ?at=BYTES the next part of it
    POST /device/v1/commands/{number}/report    CommandReport -> 204

There is no shell: a command is one of the kinds below, and a device does only those that its own
settings allow. `lasts_s` is how long it may still be begun, by the device's own clock.
"""

from typing import Literal, get_args

import msgspec

COMMANDS = "/device/v1/commands"

Kind = Literal["restart-server", "probe", "support-bundle", "capture", "measure"]
"""Start the server process anew; test the bundle that is served; send the agent's support bundle
(status, settings, ends of logs, no secrets); send what a sensor says, until the command's time is
over; measure the models of a signed kit (`wire.kits`).
"""
KINDS: tuple[Kind, ...] = get_args(Kind)
USUAL_KINDS: tuple[Kind, ...] = ("restart-server", "probe", "support-bundle")
"""What a device allows unless it is told otherwise: what its sensors say does not leave it, and it
runs no model that is not released to it.
"""

CAPTURE_MOST_S = 600.0
CAPTURE_MOST_BYTES = 16 << 20
KIT_PART_BYTES = 1 << 20

Outcome = Literal["done", "failed", "forbidden"]


class RemoteCommand(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One command for one device; `kind` may be one that this version does not know."""

    number: int
    kind: str
    lasts_s: float
    model: str = ""


class RemoteCommands(msgspec.Struct, frozen=True, kw_only=True):
    """What a device has to do, in the order of the orders."""

    commands: tuple[RemoteCommand, ...] = ()


class CommandReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of a command."""

    outcome: Outcome
    text: str = ""

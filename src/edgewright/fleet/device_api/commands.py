"""The routes of remote commands: a device fetches its own, sends a
file, takes a kit to measure, tells what came of it.
"""

import re

import msgspec

from edgewright.fleet.desired import Poll
from edgewright.fleet.desk_commands import DeskCommands
from edgewright.transports.http1 import Request, Response
from edgewright.wire.remote_commands import COMMANDS, CommandReport

_ONE = re.compile(rf"{COMMANDS}/(?P<number>\d{{1,15}})/(?P<what>report|upload|kit)")
_WHOLE = re.compile(r"[0-9]{1,15}")
_JSON = {"content-type": "application/json", "cache-control": "no-store"}
_report = msgspec.json.Decoder(CommandReport)
_encoder = msgspec.json.Encoder()


def is_command(path: str) -> bool:
    """Whether a request is one of these."""
    return path == COMMANDS or path.startswith(f"{COMMANDS}/")


class CommandsApi:
    """Answers for one device at a time; works in the thread that writes."""

    def __init__(self, commands: DeskCommands) -> None:
        self._commands = commands

    def answer(self, request: Request, poll: Poll) -> Response | None:
        """The answer to a device; None when there is no such route.

        Raises:
            AbsentError: the command is not this device's to answer.
        """
        if request.path == COMMANDS and request.method == "GET":
            found = self._commands.fetch(poll.device, poll.enrolment)
            return Response(status=200, body=_encoder.encode(found), headers=_JSON)
        one = _ONE.fullmatch(request.path)
        if one is None or request.method != ("GET" if one["what"] == "kit" else "POST"):
            return None
        number = int(one["number"])
        if one["what"] == "kit":
            at = request.query.get("at", "0")
            if not _WHOLE.fullmatch(at):
                return None
            return Response(status=200, body=self._commands.kit(poll.device, number, at=int(at)))
        if one["what"] == "upload":
            at = request.query.get("at", "0")
            if not _WHOLE.fullmatch(at):
                return None
            self._commands.upload(poll.device, number, request.body, at=int(at))
        else:
            self._commands.report(poll.device, number, _report.decode(request.body))
        return Response(status=204)

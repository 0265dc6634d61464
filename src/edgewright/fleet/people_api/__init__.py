"""The listener for people and their programs: JSON under /api/v1, one page under /.

On loopback reading needs no login, since whoever can reach it is on the machine; every command
needs the token of a user whose role holds the permission (`edgewright.fleet.roles`), so that a web
page which a browser of this machine visits cannot give commands. Beyond loopback it speaks TLS and
everything needs one. Requests that name another host are refused (DNS rebinding). The description
is at /api/v1/schema.
"""

from edgewright.fleet.people_api.access import House
from edgewright.fleet.people_api.app import build_app

__all__ = ["House", "build_app"]

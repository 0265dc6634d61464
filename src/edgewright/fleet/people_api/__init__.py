"""The listener for people and their programs: JSON under /api/v1, one page under /.

It is for loopback only. Reading needs no login there, since whoever can reach it is on the machine;
every command needs the token of a user whose role holds the permission (`edgewright.fleet.roles`),
so that a web page which a browser of this machine visits cannot give commands. Requests that name
another host are refused (DNS rebinding). The description is at /api/v1/schema.
"""

from edgewright.fleet.people_api.app import build_app

__all__ = ["build_app"]

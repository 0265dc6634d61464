"""The listener for devices: `wire.device_api` over HTTP.

A device can reach only what its secret opens: its own desired state, the bundles it is to run, its
own telemetry. Polls are held open until something changes for that device; a poll in vain costs one
query. Until client certificates exist, the listener is for loopback only.
"""

from edgewright.fleet.device_api.handler import DeviceApi

__all__ = ["DeviceApi"]

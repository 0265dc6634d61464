"""What crosses a network, as typed values with codecs for both directions, versioned.

`device_api` is between a device and the fleet, `v2` between a client and a server (the V2 / Open
Inference Protocol), `admin` between a server and whoever administers it, `kits` between
a workbench and the agent that measures for it. None opens a socket: `transports` moves the bytes.
"""

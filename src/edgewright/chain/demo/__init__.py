"""The whole chain on one machine, on real data: nothing simulated but the device's hardware.

A project is written and walked, its bundle goes to a fleet and over HTTP to a device whose agent
verifies, probes and activates it; the served model is validated. Then two bad releases follow under
traffic, one damaged and one that answers wrongly, and what was measured says whether both were
refused and whether a client ever noticed.
"""

from edgewright.chain.demo.story import DemoOrder, run_demo

__all__ = ["DemoOrder", "run_demo"]

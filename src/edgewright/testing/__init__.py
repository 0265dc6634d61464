"""Fakes of the ports, for tests and benchmarks only (an import-linter contract says so)."""

from edgewright.testing.clock import FakeClock
from edgewright.testing.keys import MemorySigner

__all__ = ["FakeClock", "MemorySigner"]

"""Engines that run a model file, behind one port (`base.py`), one file per engine.

`reference.py` is the slow, obvious one that the fast ones are compared to. Concrete engines are
found through the entry-point group `edgewright.runtimes` and imported by `chain` only, so that an
engine that is not installed costs nothing and says so when asked.
"""

from edgewright.runtimes.base import Availability, EngineTensor, Placement, Runtime, Session

__all__ = ["Availability", "EngineTensor", "Placement", "Runtime", "Session"]

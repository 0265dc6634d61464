"""Recording live, into a file that `data import` reads: a line is on disk before the next one is
waited for, so whatever ends a capture loses at most the line it was in.

The file holds JSON lines of `tst` (arrival), `topic` and `payload`; rate, holes and units are
watched while it grows.
"""

from edgewright.workbench.data.capture.base import CaptureSource, Message
from edgewright.workbench.data.capture.live import CaptureStatus, LiveCheck
from edgewright.workbench.data.capture.recorder import CaptureOrder, record

__all__ = ["CaptureOrder", "CaptureSource", "CaptureStatus", "LiveCheck", "Message", "record"]

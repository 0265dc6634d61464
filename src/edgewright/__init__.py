"""edgewright: from raw sensor data to a fleet of edge devices.

Importing the package itself loads nothing: the base install runs on small devices and in
short-lived children, so each room is imported where it is used.

ONNX Runtime's own builds tell their maker what they run, and keep an identity of the machine, from
1.29 on unless a variable says no before they are loaded. Nothing here calls home, so it says no
here, before any room can load them; who wants that sets ORT_DISABLE_TELEMETRY=0. OpenVINO and NNCF
do the same by a package of their own and go on without it, so to them it is absent; who wants it
imports openvino_telemetry first.

    >>> import edgewright
    >>> edgewright.__version__
    '0.1.0'
"""

import os as _os
import sys as _sys

_os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
_sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: not found

__version__ = "0.1.0"

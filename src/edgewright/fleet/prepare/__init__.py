"""Files that make a fresh machine a device: first-boot scripts and cloud-init data.

Everything here is text made of values; nothing is sent. What a script finds on the machine it
writes to `/var/lib/edgewright/prepare.json`, each check PASSED, FAILED or NOT MEASURED. None of it
was verified on hardware.
"""

from edgewright.fleet.prepare.plan import SYSTEMS, PrepareOrder, System
from edgewright.fleet.prepare.writing import PreparedFile, prepared_files

__all__ = ["SYSTEMS", "PrepareOrder", "PreparedFile", "System", "prepared_files"]

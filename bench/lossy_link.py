"""5 MB over a line of 64 kbit/s that loses 30 % of its segments and is cut every 10 s.

    make prove SUITE=lossy_link

About 20 minutes, nearly all of it waiting; MB=1 takes less.
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from _lossy_link import Line, cross
from _results import Recording


def main() -> None:
    size_bytes = int(float(os.environ.get("MB", "5")) * 1_000_000)
    line = Line()
    with tempfile.TemporaryDirectory() as folder, Recording("lossy_link") as recording:
        crossing = asyncio.run(cross(Path(folder), line, size_bytes=size_bytes))
        recording.figures["file_mb"] = round(crossing.file_bytes / 1e6, 2)
        recording.figures["minutes"] = round(crossing.seconds / 60, 1)
        recording.figures["cuts"] = crossing.cuts
        recording.figures["lost_segments"] = crossing.lost
        extra = crossing.carried_bytes / crossing.file_bytes - 1
        recording.figures["carried_twice_percent"] = round(100 * extra, 2)
        recording.figures["is_active"] = crossing.is_active
        recording.raw["line"] = {
            "kbit_s": line.kbit_s,
            "loss": line.loss,
            "cut_every_s": line.cut_every_s,
        }
    sys.exit(0 if crossing.is_active else 1)


if __name__ == "__main__":
    main()

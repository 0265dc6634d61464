"""Thirty planted faults: all caught, the right node named; fifty clean conversions: no alarm.

    make prove SUITE=parity

About a minute.
"""

import sys
import tempfile
from pathlib import Path

from _parity_faults import FAULTS, check_pair, clean_pairs, plant
from _results import Recording

NAMED_AT_LEAST = 27


def main() -> None:
    """Both lists."""
    with tempfile.TemporaryDirectory() as folder, Recording("parity") as recording:
        rows = []
        for fault in FAULTS:
            report = check_pair(*plant(fault), Path(folder))
            found = report.divergence.node if report.divergence else ""
            rows.append((fault.name, fault.node, found, not report.ok))
            mark = "" if found == fault.node else "   <- other node"
            print(f"{'caught' if not report.ok else 'MISSED':7} {fault.name:36} {found}{mark}")
        alarms = []
        pairs = clean_pairs()
        for name, reference, candidate in pairs:
            report = check_pair(reference, candidate, Path(folder))
            if not report.ok:
                alarms.append((name, report.reasons[0]))
                print(f"ALARM   {name}: {report.reasons[0]}")
        figures = recording.figures
        figures["faults"] = len(rows)
        figures["caught"] = sum(caught for *_, caught in rows)
        figures["node_named"] = sum(node == found for _, node, found, _ in rows)
        figures["clean"] = len(pairs)
        figures["false_alarms"] = len(alarms)
        recording.raw["faults"] = rows
        recording.raw["alarms"] = alarms
        print(dict(figures))
    ok = figures["caught"] == figures["faults"] and not alarms
    sys.exit(0 if ok and figures["node_named"] >= NAMED_AT_LEAST else 1)


if __name__ == "__main__":
    main()

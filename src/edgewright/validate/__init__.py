"""Verdicts on a served model that hold up: VALID-PASS, VALID-FAIL, or INVALID when the measurement
itself is not sound.

A scenario puts load on a server (`scenarios`, `peak`, `cold_start`); every distinct answer is
checked (`answers`); pure rules say whether the run was sound (`soundness`), turn recordings into
figures (`figures`) and hold them against budgets (`gates`). `session.validate` walks through all of
it. No sample, no claim: a run without answers is INVALID, and so is one on a noisy machine.

    >>> scenario_named("server")
    'server'
"""

from edgewright.validate.given import Given, Labelled, Reference, labelled_of_arrays
from edgewright.validate.order import (
    DEFAULT_SECONDS,
    SCENARIO_NAMES,
    Order,
    ScenarioName,
    Served,
    Spawn,
    scenario_named,
)
from edgewright.validate.report import (
    Report,
    SuiteReport,
    encode_report,
    read_any_report,
    read_report,
)
from edgewright.validate.session import validate

__all__ = [
    "DEFAULT_SECONDS",
    "SCENARIO_NAMES",
    "Given",
    "Labelled",
    "Order",
    "Reference",
    "Report",
    "ScenarioName",
    "Served",
    "Spawn",
    "SuiteReport",
    "encode_report",
    "labelled_of_arrays",
    "read_any_report",
    "read_report",
    "scenario_named",
    "validate",
]

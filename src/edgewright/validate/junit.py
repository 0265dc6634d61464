"""A report as JUnit XML, which CI systems show: one test case for each gate.

A missed limit is a failure; an unsound measurement is an error, because it says nothing about the
model.
"""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from edgewright.evidence import Gate
from edgewright.validate.report import Report


def junit_xml(reports: Sequence[Report]) -> bytes:
    """The reports for a CI system, a test suite for each."""
    suites = [_suite(report) for report in reports]
    root = suites[0]
    if len(suites) > 1:
        root = ET.Element("testsuites")
        root.extend(suites)
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _suite(report: Report) -> ET.Element:
    verdict = report.verdict
    is_sound = verdict.outcome != "INVALID"
    gates = verdict.gates
    suite = ET.Element(
        "testsuite",
        name=f"edgewright validate {report.model} {report.scenario}",
        tests=str(len(gates) + 1),
        failures=str(sum(gate.has_failed for gate in gates)),
        errors=str(0 if is_sound else 1),
        time=f"{report.seconds:.3f}",
        timestamp=report.started.removesuffix("Z"),
    )
    _add_properties(suite, report)
    sound = ET.SubElement(suite, "testcase", classname=report.scenario, name="sound measurement")
    if not is_sound:
        error = ET.SubElement(sound, "error", message="the measurement is not sound")
        error.text = "\n".join(verdict.reasons)
    for gate in gates:
        _add_gate(suite, report.scenario, gate)
    return suite


def _add_properties(suite: ET.Element, report: Report) -> None:
    properties = ET.SubElement(suite, "properties")
    facts = {"verdict": report.verdict.outcome, "subject": report.subject}
    facts["machine"] = report.machine.text
    facts |= {figure.name: f"{figure.value:g} {figure.unit}" for figure in report.figures}
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=name, value=value)


def _add_gate(suite: ET.Element, scenario: str, gate: Gate) -> None:
    case = ET.SubElement(suite, "testcase", classname=scenario, name=gate.name)
    if gate.has_failed:
        ET.SubElement(case, "failure", message=gate.sentence())
    elif not gate.is_decided:
        ET.SubElement(case, "skipped", message=gate.sentence())

"""`edgewright validate`: does this model, as it is served, keep its limits?"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgewright.cli._extras import absence_of
from edgewright.cli._fleet import home_option
from edgewright.cli._machine import ELSEWHERE, ssh_machine
from edgewright.cli._numbers import NumberRange
from edgewright.cli._output import json_option, print_json
from edgewright.cli._validate_output import (
    check_reports,
    print_difference,
    print_report,
    print_versus,
    timed_progress,
    write_reports,
)
from edgewright.errors import INTERRUPTED_EXIT_CODE, GateError, InputError
from edgewright.evidence import INVALID_EXIT_CODE

if TYPE_CHECKING:
    from edgewright.chain.ssh_machine import SshMachine
    from edgewright.chain.validation import ValidationOrder
    from edgewright.validate.given import Engine
    from edgewright.validate.report import Report, SuiteReport
    from edgewright.validate.suite import Suite
    from edgewright.validate.ways import Way

F = TypeVar("F", bound=Callable[..., object])

_FILE = click.Path(path_type=Path)
_ABOVE_0 = NumberRange(min=0, min_open=True)
_PRESET_S = {"quick": 20.0, "full": 280.0}


def _options(function: F) -> F:
    options = (
        click.option("--suite", type=_FILE, help="All that can be told, as a TOML file."),
        click.option("--model", help="The model's name; the bundle's or the server's only one."),
        click.option("--scenario", help="How load is put on.  [single-stream]"),
        click.option("--quick", "preset", flag_value="quick", help="Three scenarios in 20 s."),
        click.option("--full", "preset", flag_value="full", help="All scenarios, under 5 minutes."),
        click.option("--rps", type=_ABOVE_0, help="Requests a second."),
        click.option("--p95-ms", type=_ABOVE_0, help="Latency limit."),
        click.option("--seconds", type=NumberRange(min=0.1), help="How long load is put on."),
        click.option("--attempts", type=click.IntRange(min=1),
                     help="How often a run that the machine's noise spoilt is tried.  [3]"),
        click.option("--golden", type=_FILE, help="Questions and right answers (.npz)."),
        click.option("--bundle", type=_FILE, help="What the server at a URL should serve."),
        click.option("--wire", type=click.Choice(["json", "binary", "grpc"]),
                     help="How tensors travel; grpc:// is always grpc.  [json]"),
        click.option("--html", type=_FILE, help="Write the report as one HTML file."),
        click.option("--junit", type=_FILE, help="Write the report as JUnit XML."),
        click.option("--out", type=_FILE, help="Write the report as JSON, for --diff."),
        click.option("--against", help="URL, bundle or model file: is TARGET slower than that?"),
        click.option("--diff", type=_FILE, nargs=2, help="Compare two JSON reports instead."),
        click.option("--identity", "identities", type=_FILE, multiple=True,
                     help="Private key file for ssh://."),
        click.option("--known-hosts", type=_FILE, help="Instead of ~/.ssh/known_hosts."),
        click.option("--agent-home", help="The agent's home on the machine."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@click.command()
@click.argument("target", required=False)
@_options
@home_option
@json_option
def validate(
    *,
    suite: Path | None,
    scenario: str | None,
    preset: str | None,
    against: str | None,
    diff: tuple[Path, Path] | None,
    home: Path,
    as_json: bool,
    **given: Any,
) -> int:
    """Decide whether a served model may go out.

    TARGET is a URL (http://, grpc://, unix:), a bundle or a model file (they get a server process
    of their own), or a machine with an agent: ssh://user@host, or device:NAME of the fleet in
    --home. There the same suite runs on the machine itself.

    A suite file says more than these options do (docs/validate.md shows one); an option counts more
    than the file.

    The verdict is VALID-PASS (exit code 0), VALID-FAIL (7: a limit was missed) or INVALID (9: the
    measurement itself is not sound, for example because the machine was busy).
    """
    if diff is not None:
        if suite or any(given[name] for name in ("target", "html", "junit", "out")):
            raise click.UsageError("--diff takes two reports and prints; --json for programs.")
        return _diff(*diff, as_json=as_json)
    told = _told(suite, given)
    _check_usage(told, given, scenario=scenario, preset=preset, against=against)
    check_reports(told.reports)
    if against is not None:
        return _versus(_order(told, ""), against, out=told.reports.out, as_json=as_json)
    if told.target.startswith(ELSEWHERE):
        report = _run_there(told, _machine(told, home), scenario=scenario, preset=preset)
    else:
        report = _run_here(told, scenario=scenario, preset=preset)
    if as_json:
        print_json(report.kind, report)
    else:
        print_report(report)
    write_reports(report, told.reports)
    return INTERRUPTED_EXIT_CODE if report.is_partial else report.exit_code


def _check_usage(
    told: "Suite",
    given: dict[str, Any],
    *,
    scenario: str | None,
    preset: str | None,
    against: str | None,
) -> None:
    """Refuse what contradicts itself, and what would be passed over in silence."""
    load, files = told.load, told.reports
    chosen = preset or scenario or told.scenarios or told.target.startswith(ELSEWHERE)
    for is_so, sentence in (
        (not told.target, "Missing argument 'TARGET': a URL, a bundle or a model file."),
        (
            told.scenarios and (scenario or preset or given["seconds"] or given["rps"]),
            "the suite lists scenarios with their load; change them there.",
        ),
        (
            against and chosen,
            "--against compares two servers or files with a scenario of its own.",
        ),
        (
            against and (given["rps"] or given["p95_ms"]),
            "--against holds latency against the other's, not against a rate or limit.",
        ),
        (
            against and (files.html or files.junit or files.edge_json),
            "--against prints, and writes --out; no other report.",
        ),
        (
            preset and (scenario or load.seconds),
            f"--{preset} chooses scenarios and seconds itself.",
        ),
        (
            preset and load.loadgen_logs,
            f"--{preset} has scenarios that LoadGen does not do.",
        ),
    ):
        if is_so:
            raise click.UsageError(sentence)


def _told(file: Path | None, given: dict[str, Any]) -> "Suite":
    """The suite file with what the command line says laid over it."""
    import msgspec

    from edgewright.chain.validation_suite import read_suite
    from edgewright.validate.suite import Suite

    suite = Suite() if file is None else read_suite(file)
    words = {name: str(value) if isinstance(value, Path) else value
             for name, value in given.items() if value not in (None, ())}  # fmt: skip
    if "identities" in words:
        words["identities"] = tuple(map(str, words["identities"]))
    for part in ("", "limits", "truth", "load", "machine", "reports"):
        place: Any = getattr(suite, part) if part else suite
        mine = {name: words.pop(name) for name in place.__struct_fields__ if name in words}
        changed = msgspec.structs.replace(place, **mine)
        suite = msgspec.structs.replace(suite, **{part: changed}) if part else changed
    if given["p95_ms"] is None:
        return suite
    scenes = tuple(msgspec.structs.replace(scene, p95_ms=None) for scene in suite.scenarios)
    return msgspec.structs.replace(suite, scenarios=scenes)


def _order(told: "Suite", scenario: str) -> "ValidationOrder":
    from edgewright.chain.validation_suite import order_of

    return order_of(told, scenario, _way(told), engine=_engine)


def _versus(asked: "ValidationOrder", against: str, *, out: str, as_json: bool) -> int:
    """Rounds in turn; --seconds is all of them together."""
    from edgewright._fs import write_atomic
    from edgewright.chain.versus import run_versus
    from edgewright.contract import encode_json
    from edgewright.validate.versus import ROUND_S, ROUNDS, VersusOrder

    round_s = ROUND_S if asked.seconds is None else asked.seconds / ROUNDS / 2
    order = VersusOrder(
        round_s=round_s, attempts=asked.attempts, limits=asked.limits, seed=asked.seed
    )
    with timed_progress("side by side", expected_s=2 * order.rounds * order.round_s + 4.0):
        report = run_versus(asked, against, order)
    if out:
        write_atomic(Path(out), encode_json(report))
    if as_json:
        print_json(report.kind, report)
    else:
        print_versus(report)
    return report.exit_code


def _run_here(told: "Suite", *, scenario: str | None, preset: str | None) -> "Report | SuiteReport":
    from edgewright.chain.suite import run_scenes, run_suite
    from edgewright.chain.validation import run_validation
    from edgewright.chain.validation_suite import orders_of

    if told.scenarios:
        orders = orders_of(told, _way(told), engine=_engine)
        with timed_progress("the suite", expected_s=_expected_s(orders)):
            return run_scenes(orders)
    asked = _order(told, scenario or "")
    if preset is not None:
        with timed_progress(f"{preset} validation", expected_s=_PRESET_S[preset]):
            return run_suite(asked, is_quick=preset == "quick")
    with timed_progress(asked.scenario, expected_s=_expected_s([asked])):
        return run_validation(asked)


def _run_there(
    told: "Suite", machine: "SshMachine", *, scenario: str | None, preset: str | None
) -> "Report | SuiteReport":
    from edgewright.chain.validation_ssh import There, validate_there
    from edgewright.chain.validation_suite import orders_of

    way = _way(told)
    orders = orders_of(told, way, engine=_engine) or (_order(told, scenario or ""),)
    flags: tuple[str, ...] = () if told.scenarios else ("--scenario", orders[0].scenario)
    asked = There(
        suite=told,
        flags=(f"--{preset}",) if preset else flags,
        is_set=bool(preset or told.scenarios),
        expected_s=_PRESET_S[preset] if preset else _expected_s(orders),
    )
    with timed_progress(f"validation on {told.target}", expected_s=asked.expected_s + 10.0):
        return validate_there(asked, machine)


def _expected_s(orders: "tuple[ValidationOrder, ...] | list[ValidationOrder]") -> float:
    return sum(order.standard_seconds * 1.2 + 1.0 for order in orders)


def _way(told: "Suite") -> "Way":
    from edgewright.chain.validation import way_named

    target, wire = told.target, told.wire
    is_grpc = target.startswith("grpc://")
    if is_grpc and wire not in ("", "grpc"):
        raise InputError(f"{target} with --wire {wire}", hint="leave --wire out")
    if wire == "grpc" and target.startswith(("http://", "unix:")):
        raise InputError(f"{target} with --wire grpc", hint="give its grpc:// address")
    if not is_grpc and wire != "grpc":
        return way_named(wire or "json")
    try:
        from edgewright.chain.validation_grpc import grpc_way
    except ModuleNotFoundError as error:
        raise absence_of(error) from error
    return grpc_way()


def _engine(logs: Path) -> "Engine":
    try:
        from edgewright.chain.validation_loadgen import LoadgenEngine
    except ModuleNotFoundError as error:
        raise absence_of(error) from error
    return LoadgenEngine(logs=logs)


def _machine(told: "Suite", home: Path) -> "SshMachine":
    part = told.machine
    return ssh_machine(
        told.target,
        home,
        identities=tuple(map(Path, part.identities)),
        known_hosts=Path(part.known_hosts) if part.known_hosts else None,
        ssh_config=Path(part.ssh_config) if part.ssh_config else None,
        edgewright=part.edgewright,
        agent_home=part.agent_home,
    )


def _diff(before: Path, after: Path, *, as_json: bool) -> int:
    from edgewright.validate import read_any_report
    from edgewright.validate.difference import compare_reports

    difference = compare_reports(read_any_report(before), read_any_report(after))
    if as_json:
        print_json("validation-difference", difference)
    else:
        print_difference(difference)
    if difference.is_worse:
        return GateError.exit_code
    return INVALID_EXIT_CODE if difference.doubts else 0

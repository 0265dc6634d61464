"""`edgewright validate`: does this model, as it is served, keep its limits?"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from edgewright.cli._extras import absence_of
from edgewright.cli._fleet import home_option
from edgewright.cli._output import json_option, print_json
from edgewright.cli._validate_output import (
    print_difference,
    print_report,
    print_versus,
    timed_progress,
    write_reports,
)
from edgewright.errors import INTERRUPTED_EXIT_CODE, GateError, InputError
from edgewright.evidence import INVALID_EXIT_CODE

if TYPE_CHECKING:
    from edgewright.chain.validation import ValidationOrder
    from edgewright.chain.validation_ssh import Machine
    from edgewright.validate.given import Engine
    from edgewright.validate.report import Report, SuiteReport
    from edgewright.validate.ways import Way

F = TypeVar("F", bound=Callable[..., object])

_FILE = click.Path(path_type=Path)
_ABOVE_0 = click.FloatRange(min=0, min_open=True)
_PERCENT = click.FloatRange(min=0, max=100)
_ELSEWHERE = ("ssh://", "device:")
_QUICK_S, _FULL_S = 20.0, 280.0


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def apply(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return apply


_load_options = _options(
    click.option("--model", help="The model's name; the bundle's or the server's only one."),
    click.option("--scenario", help="How load is put on.  [single-stream]"),
    click.option("--quick", "suite", flag_value="quick", help="Three scenarios in 20 seconds."),
    click.option("--full", "suite", flag_value="full", help="All scenarios, under 5 minutes."),
    click.option("--rps", type=_ABOVE_0, help="Requests a second."),
    click.option("--p95-ms", type=_ABOVE_0, help="Latency limit."),
    click.option("--memory-mb", type=_ABOVE_0, help="Memory limit."),
    click.option("--seconds", type=click.FloatRange(min=0.1), help="How long load is put on."),
    click.option("--connections", type=click.IntRange(min=1), help="Connections at once."),
    click.option("--wire", type=click.Choice(["json", "binary", "grpc"]),
                 help="How tensors travel; grpc:// is always grpc.  [json]"),
    click.option("--loadgen-logs", type=_FILE,
                 help="Let MLPerf LoadGen make the load and keep its logs there."),
    click.option("--seed", type=int, default=0, show_default=True, help="Of arrivals, questions."),
    click.option("--attempts", type=click.IntRange(min=1), default=3, show_default=True,
                 help="How often a run that the machine's noise spoilt is tried."),
    click.option("--early-stop", is_flag=True,
                 help="End a run as soon as it decides about --p95-ms."),
)  # fmt: skip

_truth_options = _options(
    click.option("--golden", type=_FILE, help="Questions and right answers (.npz)."),
    click.option("--bundle", type=_FILE, help="What the server at a URL should serve."),
    click.option("--labelled", type=_FILE, help="Rows and their classes, y (.npz)."),
    click.option("--min-accuracy", type=_PERCENT, help="Least accuracy on them, in percent."),
    click.option("--reference", help="URL, bundle or model file to compare answers with."),
    click.option("--max-drop", type=click.FloatRange(min=0),
                 help="Most points of accuracy below the reference.  [the contract's, else 0.5]"),
    click.option("--label-output", default="", help="The output that names the class."),
    click.option("--recording", type=_FILE, help="Traffic to replay (.jsonl or .har)."),
    click.option("--speed", type=_ABOVE_0, default=1.0, show_default=True, help="Of the replay."),
    click.option("--admin", type=_FILE, help="Administrator's socket of the server at a URL."),
    click.option("--swap-to", type=_FILE, help="Second version for scenario swap."),
)  # fmt: skip

_report_options = _options(
    click.option("--html", type=_FILE, help="Write the report as one HTML file."),
    click.option("--junit", type=_FILE, help="Write the report as JUnit XML."),
    click.option("--out", type=_FILE, help="Write the report as JSON, for --diff."),
    click.option("--edge-json", type=_FILE,
                 help="Write it in the keys of edge_performance_validation_*.json."),
    click.option("--against", help="URL, bundle or model file: is TARGET slower than that?"),
    click.option("--diff", type=_FILE, nargs=2, help="Compare two JSON reports instead."),
)  # fmt: skip

_machine_options = _options(
    click.option("--identity", "identities", type=_FILE, multiple=True, help="Private key file."),
    click.option("--known-hosts", type=_FILE, help="Instead of ~/.ssh/known_hosts."),
    click.option("--ssh-config", type=_FILE, help="Instead of ~/.ssh/config."),
    click.option("--agent-home", default="", help="The agent's home on the machine."),
    click.option("--edgewright", default="", help="The program there; may be several words."),
)


@click.command()
@click.argument("target", required=False)
@_load_options
@_truth_options
@_report_options
@_machine_options
@home_option
@json_option
def validate(  # one command line, one parameter for each flag
    *,
    target: str | None,
    model: str | None,
    scenario: str | None,
    suite: str | None,
    rps: float | None,
    p95_ms: float | None,
    memory_mb: float | None,
    seconds: float | None,
    connections: int | None,
    wire: str | None,
    loadgen_logs: Path | None,
    seed: int,
    attempts: int,
    early_stop: bool,
    golden: Path | None,
    bundle: Path | None,
    labelled: Path | None,
    min_accuracy: float | None,
    reference: str | None,
    max_drop: float | None,
    label_output: str,
    recording: Path | None,
    speed: float,
    admin: Path | None,
    swap_to: Path | None,
    html: Path | None,
    junit: Path | None,
    out: Path | None,
    edge_json: Path | None,
    against: str | None,
    diff: tuple[Path, Path] | None,
    identities: tuple[Path, ...],
    known_hosts: Path | None,
    ssh_config: Path | None,
    agent_home: str,
    edgewright: str,
    home: Path,
    as_json: bool,
) -> int:
    """Decide whether a served model may go out.

    TARGET is a URL (http://, grpc://, unix:), a bundle or a model file (they get a server process
    of their own), or a machine with an agent: ssh://user@host, or device:NAME of the fleet in
    --home. There the same suite runs on the machine itself.

    The verdict is VALID-PASS (exit code 0), VALID-FAIL (7: a limit was missed) or INVALID (9: the
    measurement itself is not sound, for example because the machine was busy).
    """
    if diff is not None:
        return _diff(*diff, as_json=as_json)
    if target is None:
        raise click.UsageError("Missing argument 'TARGET': a URL, a bundle or a model file.")
    if against is not None and (suite or scenario or target.startswith(_ELSEWHERE)):
        raise click.UsageError(
            "--against compares two servers or files with a scenario of its own."
        )
    if suite is not None and (scenario is not None or seconds is not None):
        raise click.UsageError(f"--{suite} chooses scenarios and seconds itself.")
    if suite is not None and loadgen_logs is not None:
        raise click.UsageError(f"--{suite} has scenarios that LoadGen does not do.")
    from edgewright.chain.validation import Accuracy, ValidationOrder
    from edgewright.validate import scenario_named

    asked = ValidationOrder(
        target=target,
        scenario=scenario_named(scenario or ("replay" if recording else "single-stream")),
        model=model,
        rate_rps=rps,
        p95_ms=p95_ms,
        memory_mb=memory_mb,
        seconds=seconds,
        connections=connections,
        golden=golden,
        bundle=bundle,
        accuracy=Accuracy(
            labelled=labelled,
            reference=reference,
            min_percent=min_accuracy,
            max_drop=max_drop,
            output=label_output,
        ),
        recording=recording,
        speed=speed,
        admin=admin,
        swap_to=swap_to,
        way=_way(target, wire),
        engine=_engine(loadgen_logs),
        attempts=attempts,
        stops_early=early_stop,
        seed=seed,
    )
    if against is not None:
        return _versus(asked, against, out=out, as_json=as_json)
    if target.startswith(_ELSEWHERE):
        machine = _machine(target, home, (identities, known_hosts, ssh_config, agent_home,
                                          edgewright))  # fmt: skip
        report = _run_there(asked, machine, suite=suite)
    else:
        report = _run_here(asked, suite=suite)
    write_reports(report, html=html, junit=junit, out=out, edge_json=edge_json)
    if as_json:
        print_json(report.kind, report)
    else:
        print_report(report)
    return INTERRUPTED_EXIT_CODE if report.is_partial else report.exit_code


def _versus(asked: "ValidationOrder", against: str, *, out: Path | None, as_json: bool) -> int:
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
    if out is not None:
        write_atomic(out, encode_json(report))
    if as_json:
        print_json(report.kind, report)
    else:
        print_versus(report)
    return report.exit_code


def _run_here(asked: "ValidationOrder", *, suite: str | None) -> "Report | SuiteReport":
    from edgewright.chain.suite import run_suite
    from edgewright.chain.validation import run_validation

    if suite is not None:
        expected_s = _QUICK_S if suite == "quick" else _FULL_S
        with timed_progress(f"{suite} validation", expected_s=expected_s):
            return run_suite(asked, is_quick=suite == "quick")
    with timed_progress(asked.scenario, expected_s=asked.standard_seconds * 1.2 + 1.0):
        return run_validation(asked)


def _run_there(
    asked: "ValidationOrder", machine: "Machine", *, suite: str | None
) -> "Report | SuiteReport":
    from edgewright.chain.validation_ssh import validate_there

    expected_s = {"quick": _QUICK_S, "full": _FULL_S}.get(suite or "", asked.standard_seconds * 1.2)
    with timed_progress(f"validation on {asked.target}", expected_s=expected_s + 10.0):
        return validate_there(asked, machine, suite=suite)


def _way(target: str, wire: str | None) -> "Way":
    from edgewright.chain.validation import way_named

    is_grpc = target.startswith("grpc://")
    if is_grpc and wire not in (None, "grpc"):
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


def _engine(logs: Path | None) -> "Engine | None":
    if logs is None:
        return None
    try:
        from edgewright.chain.validation_loadgen import LoadgenEngine
    except ModuleNotFoundError as error:
        raise absence_of(error) from error
    return LoadgenEngine(logs=logs)


def _machine(
    target: str,
    home: Path,
    options: tuple[tuple[Path, ...], Path | None, Path | None, str, str],
) -> "Machine":
    identities, known_hosts, ssh_config, agent_home, program = options
    try:
        from edgewright.chain.validation_ssh import Machine
    except ModuleNotFoundError as error:
        raise absence_of(error) from error
    address = target
    if target.startswith("device:"):
        try:
            from edgewright.chain.device_address import device_address
        except ModuleNotFoundError as error:
            raise absence_of(error) from error
        address = device_address(target.removeprefix("device:"), home)
    return Machine(
        address=address,
        identities=identities,
        known_hosts=known_hosts,
        config=ssh_config,
        home=agent_home,
        program=program,
    )


def _diff(before: Path, after: Path, *, as_json: bool) -> int:
    from edgewright.validate import read_report
    from edgewright.validate.difference import compare_reports

    difference = compare_reports(read_report(before), read_report(after))
    if as_json:
        print_json("validation-difference", difference)
    else:
        print_difference(difference)
    if difference.doubts:
        return INVALID_EXIT_CODE
    return GateError.exit_code if difference.is_worse else 0

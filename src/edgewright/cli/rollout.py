"""`edgewright rollout`: a release to devices, wave by wave."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from edgewright.cli._fleet import Shown, fleet_command, listed, seconds, when
from edgewright.cli._numbers import Number, NumberRange
from edgewright.cli._output import print_table, say

if TYPE_CHECKING:
    from edgewright.fleet.client import Fleet
    from edgewright.fleet.quality import Difference
    from edgewright.fleet.rollout_facts import RolloutFacts
    from edgewright.fleet.rollout_plan import RolloutOrder, RolloutPlan

F = TypeVar("F", bound=Callable[..., object])

_STANDINGS = ("succeeded", "failed", "updating", "ordered", "pending", "waiting", "left")


@click.group()
def rollout() -> None:
    """Plan and start rollouts, follow them, pause, resume and abort them."""


def _number_and_reason(function: F) -> F:
    """Which rollout, and why."""
    reason = click.option("--reason", default="", help="Kept in the history.")
    return click.argument("number", type=int)(reason(function))


def _order_options(function: F) -> F:
    """What `plan` and `start` both take."""
    percent = NumberRange(0, 100)
    options = (
        click.argument("release"),
        click.option("--query", default="", help="Labels, like site=berlin; all when empty."),
        click.option("--waves", default="1,10%,100%", show_default=True, help="How far each goes."),
        click.option(
            "--success",
            type=percent,
            default=95.0,
            show_default=True,
            help="Percent of a wave's reached devices that must succeed.",
        ),
        click.option(
            "--errors",
            type=percent,
            default=10.0,
            show_default=True,
            help="Percent of finished devices whose failure aborts.",
        ),
        click.option(
            "--min-errors",
            type=click.IntRange(min=1),
            default=2,
            show_default=True,
            help="Fewer failures never abort (a smaller wave: all of it).",
        ),
        click.option(
            "--reached",
            type=percent,
            default=80.0,
            show_default=True,
            help="Percent of a wave that must have been reached.",
        ),
        click.option(
            "--deadline",
            callback=seconds,
            default="15m",
            show_default=True,
            help="Silence for so long after acknowledging is failure.",
        ),
        click.option(
            "--soak",
            callback=seconds,
            default="1m",
            show_default=True,
            help="How long a passed wave is watched.",
        ),
        click.option(
            "--validated",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            help="So many of a wave (all of a smaller one) must tell VALID-PASS.",
        ),
        click.option(
            "--report",
            type=click.Path(path_type=Path),
            help="What `edgewright validate --out` wrote of the release; it must say VALID-PASS.",
        ),
        click.option("--keep", is_flag=True, help="An abort leaves devices on the new release."),
        click.option("--rate", type=Number(), help="Devices that start in a minute, at most."),
        click.option(
            "--window", default="", help="Like 22:00-04:00 or mon-fri 22:00-04:00, local to each."
        ),
        click.option(
            "--share", type=NumberRange(0, 100, min_open=True), help="Percent of the devices."
        ),
        click.option(
            "--worst-ratio",
            type=NumberRange(min=1),
            help="End it when requests fail more than so many times as often as on the others.",
        ),
        click.option(
            "--request-errors", type=Number(), help="Percent of failed requests that ends it."
        ),
        click.option("--p95-ms", type=Number(), help="A 95th percentile above this ends it."),
        click.option(
            "--worst-latency",
            type=NumberRange(min=1),
            help="End it when devices measure more than so many times the old release's p95.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@fleet_command(rollout)
@_order_options
def plan(fleet: "Fleet", **options: object) -> Shown:
    """Show what starting a rollout of RELEASE (MODEL@VERSION) would do; changes nothing."""
    return _planned(fleet.plan_rollout(_order(options)))


@fleet_command(rollout)
@_order_options
@click.option("--dry-run", is_flag=True, help="The same as `rollout plan`.")
def start(fleet: "Fleet", *, dry_run: bool, **options: object) -> Shown:
    """Start a rollout of RELEASE (MODEL@VERSION); a running server carries it out."""
    order = _order(options)
    return _planned(fleet.plan_rollout(order)) if dry_run else _shown(fleet.start_rollout(order))


@fleet_command(rollout)
@click.argument("number", type=int, required=False)
def status(fleet: "Fleet", number: int | None) -> Shown:
    """Show rollout NUMBER with its waves, failures and history; without it, list all."""
    if number is not None:
        return _shown(fleet.rollout(number))
    found = fleet.rollouts()
    rows = [
        (
            r.number,
            f"{r.model}@{r.version}",
            r.status,
            len(r.members),
            sum(wave.standings.get("succeeded", 0) for wave in r.waves),
            sum(wave.standings.get("failed", 0) for wave in r.waves),
            when(r.created_at_s),
            r.reason,
        )
        for r in found
    ]
    columns = (
        "rollout",
        "release",
        "status",
        "devices",
        "succeeded",
        "failed",
        "started",
        "reason",
    )
    return listed("rollouts", {"rollouts": found}, columns, rows)


@fleet_command(rollout)
@_number_and_reason
def pause(fleet: "Fleet", number: int, *, reason: str) -> Shown:
    """Give no further orders; devices that are updating go on."""
    return _shown(fleet.pause_rollout(number, reason=reason))


@fleet_command(rollout)
@click.argument("number", type=int)
def resume(fleet: "Fleet", number: int) -> Shown:
    """Let a paused rollout go on; its wave is judged again."""
    return _shown(fleet.resume_rollout(number))


@fleet_command(rollout)
@_number_and_reason
@click.option(
    "--return/--keep",
    "returns",
    default=None,
    help="Whether devices return to what they ran before; as ordered at the start when absent.",
)
def abort(fleet: "Fleet", number: int, *, reason: str, returns: bool | None) -> Shown:
    """End a rollout, a finished one too: with --return that is a rollback of its whole fleet."""
    return _shown(fleet.abort_rollout(number, returns=returns, reason=reason))


@fleet_command(rollout)
@_number_and_reason
def retry(fleet: "Fleet", number: int, *, reason: str) -> Shown:
    """Give the failed devices another try; their failures count no more."""
    return _shown(fleet.retry_rollout(number, reason=reason))


@fleet_command(rollout)
@_number_and_reason
def rollback(fleet: "Fleet", number: int, *, reason: str) -> Shown:
    """Return every device of a rollout to what it ran before, also of a finished one."""
    return _shown(fleet.abort_rollout(number, returns=True, reason=reason))


@fleet_command(rollout)
@click.argument("number", type=int)
def compare(fleet: "Fleet", number: int) -> Shown:
    """Compare the requests that fail on a rollout's release and on the model's other releases.

    What devices served since the rollout began is counted: champion and challenger side by side
    when it was started with --share.
    """
    found = fleet.compare_rollout(number)
    return Shown("rollout-comparison", found, lambda: _print_difference(found))


def _print_difference(found: "Difference") -> None:
    print_table(
        "",
        ("release", "requests", "failed", "%"),
        [
            ("others", found.old.requests, found.old.errors, found.old_error_percent),
            ("this one", found.new.requests, found.new.errors, found.new_error_percent),
        ],
    )
    if found.effect_points is not None:
        say(
            f"difference {found.effect_points:+g} points, {100 * found.confidence:g} % interval "
            f"{found.low_points:+g} to {found.high_points:+g}"
        )
    if found.latency_ratio is not None:
        say(
            f"p95 as {found.probes} devices measured it: {found.latency_ratio:.3g} times the other "
            f"release's, {100 * found.confidence:g} % interval {found.latency_ratio_low:.3g} to "
            f"{found.latency_ratio_high:.3g}"
        )
    say(found.recommendation)


def _order(options: dict[str, object]) -> "RolloutOrder":
    import msgspec

    from edgewright.errors import InputError
    from edgewright.fleet.rollout_plan import RolloutOrder

    raw = {
        "release": options["release"],
        "query": options["query"],
        "waves": options["waves"],
        "limits": {
            "success_percent": options["success"],
            "error_percent": options["errors"],
            "error_min_count": options["min_errors"],
            "min_reached_percent": options["reached"],
            "deadline_s": options["deadline"],
            "soak_s": options["soak"],
            "returns_on_abort": not options["keep"],
            "starts_per_min": options["rate"],
            "validated_min_count": options["validated"],
        },
        "options": {
            "window": options["window"],
            "share_percent": options["share"],
            "quality": {
                "worst_ratio": options["worst_ratio"],
                "error_percent": options["request_errors"],
                "latency_p95_ms": options["p95_ms"],
                "worst_latency_ratio": options["worst_latency"],
            },
            "report": _report(options["report"]),
        },
    }
    try:
        return msgspec.convert(raw, RolloutOrder)
    except msgspec.ValidationError as error:
        raise InputError(f"rollout: {error}", hint="see --help") from error


def _report(path: object) -> dict[str, object] | None:
    if not isinstance(path, Path):
        return None
    import msgspec

    from edgewright._fs import read_limited
    from edgewright.fleet.release_report import REPORT_LIMIT_BYTES, summary_of

    content = read_limited(path, limit_bytes=REPORT_LIMIT_BYTES)
    return msgspec.structs.asdict(summary_of(content, source=str(path)))


def _planned(plan: "RolloutPlan") -> Shown:
    return Shown("rollout-plan", plan, lambda: _print_plan(plan))


def _shown(found: "RolloutFacts") -> Shown:
    return Shown("rollout", found, lambda: _print_rollout(found))


def _print_plan(plan: "RolloutPlan") -> None:
    say(
        f"{plan.release.text}: {plan.bytes_per_device} bytes a device, {plan.bytes_total} in all; "
        f"{len(plan.running_it)} run it already, {len(plan.busy)} are in another rollout"
        + (f", {plan.left_out} are left out by --share" if plan.left_out else "")
    )
    say(f"takes {plan.least_s:.0f} s at least, by its start rate and soaks")
    print_table(
        "",
        ("wave", "devices", "names"),
        [
            (number, len(wave), ", ".join(wave[:5]) + (", ..." if len(wave) > 5 else ""))
            for number, wave in enumerate(plan.waves, start=1)
        ],
    )


def _print_rollout(found: "RolloutFacts") -> None:
    say(f"rollout {found.number} of {found.model}@{found.version}: {found.status} {found.reason}")
    if (report := found.options.report) is not None:
        names = ", ".join(report.scenarios)
        say(f"validated before: {report.outcome} ({names}) on {report.where}, {report.started}")
    print_table(
        "",
        ("wave", "open", *_STANDINGS, "validations"),
        [
            (
                wave.number,
                "yes" if wave.is_open else "no",
                *(wave.standings.get(standing, 0) for standing in _STANDINGS),
                wave.validations_text,
            )
            for wave in found.waves
        ],
    )
    failures = [m for m in found.members if m.standing == "failed"]
    for member in failures[:20]:
        say(f"failed: {member.device} (wave {member.wave}): {member.reason}")
    if len(failures) > 20:
        say(f"and {len(failures) - 20} more failed; --json shows all")
    for entry in found.history:
        say(f"{when(entry.at_s)} {entry.text}")

"""`edgewright rollout`: a release to devices, wave by wave."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from edgewright.cli._fleet import home_option, opened, operator, seconds, when
from edgewright.cli._output import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from edgewright.fleet.rollout_facts import RolloutFacts
    from edgewright.fleet.rollouts import RolloutOrder, RolloutPlan

F = TypeVar("F", bound=Callable[..., object])

_STANDINGS = ("succeeded", "failed", "updating", "ordered", "pending", "waiting", "left")


@click.group()
def rollout() -> None:
    """Plan and start rollouts, follow them, pause, resume and abort them."""


def _order_options(function: F) -> F:
    """What `plan` and `start` both take."""
    percent = click.FloatRange(0, 100)
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
        click.option("--keep", is_flag=True, help="An abort leaves devices on the new release."),
        click.option("--rate", type=float, help="Devices that start in a minute, at most."),
        click.option(
            "--window", default="", help="Like 22:00-04:00 or mon-fri 22:00-04:00, local to each."
        ),
        click.option(
            "--share", type=click.FloatRange(0, 100, min_open=True), help="Percent of the devices."
        ),
        click.option(
            "--worst-ratio",
            type=click.FloatRange(min=1),
            help="End it when requests fail more than so many times as often as on the others.",
        ),
        click.option(
            "--request-errors", type=float, help="Percent of failed requests that ends it."
        ),
        click.option("--p95-ms", type=float, help="A 95th percentile above this ends it."),
        home_option,
        json_option,
    )
    for option in reversed(options):
        function = option(function)
    return function


@rollout.command()
@_order_options
def plan(home: Path, *, as_json: bool, **options: object) -> None:
    """Show what starting a rollout of RELEASE (MODEL@VERSION) would do; changes nothing."""
    with opened(home) as office:
        found = office.rollouts.plan(_order(options))
    _print_plan(found, as_json=as_json)


@rollout.command()
@_order_options
@click.option("--dry-run", is_flag=True, help="The same as `rollout plan`.")
def start(home: Path, *, as_json: bool, dry_run: bool, **options: object) -> None:
    """Start a rollout of RELEASE (MODEL@VERSION); a running server carries it out."""
    order = _order(options)
    with opened(home) as office:
        if dry_run:
            _print_plan(office.rollouts.plan(order), as_json=as_json)
            return
        found = office.rollouts.start(order, by=operator())
    _print_rollout(found, as_json=as_json)


@rollout.command()
@click.argument("number", type=int, required=False)
@home_option
@json_option
def status(number: int | None, *, home: Path, as_json: bool) -> None:
    """Show rollout NUMBER with its waves, failures and history; without it, list all."""
    with opened(home) as office:
        if number is not None:
            _print_rollout(office.rollouts.status(number), as_json=as_json)
            return
        found = office.rollouts.list()
    if as_json:
        print_json("rollouts", {"rollouts": found})
        return
    print_table(
        "",
        ("rollout", "release", "status", "devices", "succeeded", "failed", "started", "reason"),
        [
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
        ],
    )


@rollout.command()
@click.argument("number", type=int)
@click.option("--reason", default="", help="Kept in the history.")
@home_option
@json_option
def pause(number: int, *, reason: str, home: Path, as_json: bool) -> None:
    """Give no further orders; devices that are updating go on."""
    with opened(home) as office:
        found = office.rollouts.pause(number, reason=reason, by=operator())
    _print_rollout(found, as_json=as_json)


@rollout.command()
@click.argument("number", type=int)
@home_option
@json_option
def resume(number: int, *, home: Path, as_json: bool) -> None:
    """Let a paused rollout go on; its wave is judged again."""
    with opened(home) as office:
        found = office.rollouts.resume(number, by=operator())
    _print_rollout(found, as_json=as_json)


@rollout.command()
@click.argument("number", type=int)
@click.option("--reason", default="", help="Kept in the history.")
@click.option(
    "--return/--keep",
    "returns",
    default=None,
    help="Whether devices return to what they ran before; as ordered at the start when absent.",
)
@home_option
@json_option
def abort(number: int, *, reason: str, returns: bool | None, home: Path, as_json: bool) -> None:
    """End a rollout, a finished one too: with --return that is a rollback of its whole fleet."""
    with opened(home) as office:
        found = office.rollouts.abort(number, returns=returns, reason=reason, by=operator())
    _print_rollout(found, as_json=as_json)


@rollout.command()
@click.argument("number", type=int)
@click.option("--reason", default="", help="Kept in the history.")
@home_option
@json_option
def retry(number: int, *, reason: str, home: Path, as_json: bool) -> None:
    """Give the failed devices another try; their failures count no more."""
    with opened(home) as office:
        found = office.rollouts.retry(number, reason=reason, by=operator())
    _print_rollout(found, as_json=as_json)


@rollout.command()
@click.argument("number", type=int)
@click.option("--reason", default="", help="Kept in the history.")
@home_option
@json_option
def rollback(number: int, *, reason: str, home: Path, as_json: bool) -> None:
    """Return every device of a rollout to what it ran before, also of a finished one."""
    with opened(home) as office:
        found = office.rollouts.abort(number, returns=True, reason=reason, by=operator())
    _print_rollout(found, as_json=as_json)


@rollout.command()
@click.argument("number", type=int)
@home_option
@json_option
def compare(number: int, *, home: Path, as_json: bool) -> None:
    """Compare the requests that fail on a rollout's release and on the model's other releases.

    What devices served since the rollout began is counted: champion and challenger side by side
    when it was started with --share.
    """
    with opened(home) as office:
        found = office.rollouts.compare(number)
    if as_json:
        print_json("rollout-comparison", found)
        return
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
    say(found.recommendation)


def _order(options: dict[str, object]) -> "RolloutOrder":
    import msgspec

    from edgewright.errors import InputError
    from edgewright.fleet.rollouts import RolloutOrder

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
        },
        "options": {
            "window": options["window"],
            "share_percent": options["share"],
            "quality": {
                "worst_ratio": options["worst_ratio"],
                "error_percent": options["request_errors"],
                "latency_p95_ms": options["p95_ms"],
            },
        },
    }
    try:
        return msgspec.convert(raw, RolloutOrder)
    except msgspec.ValidationError as error:
        raise InputError(f"rollout: {error}", hint="see --help") from error


def _print_plan(plan: "RolloutPlan", *, as_json: bool) -> None:
    if as_json:
        print_json("rollout-plan", plan)
        return
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


def _print_rollout(found: "RolloutFacts", *, as_json: bool) -> None:
    if as_json:
        print_json("rollout", found)
        return
    say(f"rollout {found.number} of {found.model}@{found.version}: {found.status} {found.reason}")
    print_table(
        "",
        ("wave", "open", *_STANDINGS),
        [
            (
                wave.number,
                "yes" if wave.is_open else "no",
                *(wave.standings.get(standing, 0) for standing in _STANDINGS),
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

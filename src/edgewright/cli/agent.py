"""`edgewright agent`: what runs on a device."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._agent_tpm import tpm as tpm_group
from edgewright.cli._fleet import seconds, seconds_or_none
from edgewright.cli._numbers import NumberRange
from edgewright.cli._output import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from edgewright.device.agent import AgentStatus, Progress

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, allow_dash=True)
_HOME = click.option("--home", type=_FOLDER, required=True, help="The agent's own folder.")


@click.group()
def agent() -> None:
    """Enrol a device, follow its fleet, apply bundles, go back."""


agent.add_command(tpm_group)


@agent.command()
@click.argument("url", required=False)
@click.option(
    "--token", help="One-time token from the fleet; other users of this machine may see it."
)
@click.option("--token-file", type=_FILE, help="The same in a file; - is stdin.")
@_HOME
@click.option("--device", help="The device's name; the machine's name if absent.")
@click.option("--label", "labels", multiple=True, help="KEY=VALUE, may be repeated.")
@click.option("--ca", type=_FILE, help="Authority of the fleet's certificate (PEM), if needed.")
@click.option("--image-root", type=_FILE, help="root.json of the image repository, as expected.")
@click.option("--director-root", type=_FILE, help="root.json of the director, without a fleet.")
@click.option("--key", "keys", type=_FILE, multiple=True,
              help="Public key, in a project without repositories.")  # fmt: skip
@click.option("--threshold", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--tpm", is_flag=True, help="Let this machine's TPM tell the fleet what was started.")
@json_option
def enroll(
    *,
    url: str | None,
    token: str | None,
    token_file: Path | None,
    home: Path,
    device: str | None,
    labels: tuple[str, ...],
    ca: Path | None,
    image_root: Path | None,
    director_root: Path | None,
    keys: tuple[Path, ...],
    threshold: int,
    tpm: bool,
    as_json: bool,
) -> None:
    """Give this device an identity, and plant the roots of whom it trusts.

    With URL and --token-file (or --token) by a fleet, which tells its roots; --image-root lets it
    tell no other one. Without a fleet: --image-root (and --director-root) for a device that takes
    air-gap files, --key for bundles that are carried by hand in a project without repositories.
    Over https the device makes a key and gets a certificate; it believes the fleet's name to the
    authority that the token tells, to --ca, or else to the system's.
    """
    import platform

    from edgewright.chain import enrolment as enrolments

    if token and token_file:
        raise click.UsageError("--token and --token-file are one too many")
    token = enrolments.read_token(token_file) if token_file else token
    name = device or platform.node()
    if url and token:
        enrolment = enrolments.enroll(
            url,
            token=token,
            home=home,
            device=name,
            labels=_labels(labels),
            authority=ca,
            image_root=image_root,
            tpm=tpm,
        )
    elif tpm:
        raise click.UsageError("--tpm answers a fleet: give URL and --token")
    elif image_root and not url:
        enrolment = enrolments.enroll_by_roots(
            home, device=name, image_root=image_root, director_root=director_root
        )
    elif keys and not url:
        enrolment = enrolments.enroll_offline(home, device=name, keys=keys, threshold=threshold)
    else:
        raise click.UsageError(
            "give URL and --token, or --image-root or --key for a device without a fleet"
        )
    if as_json:
        print_json("agent-enrolment", enrolment)
        return
    where = enrolment.fleet_url or "no fleet"
    what = "the root keys of the image repository" if enrolment.anchor == "repositories" else "keys"
    click.echo(
        f"{enrolment.device} is enrolled with {where}, trusting {what}, {enrolment.threshold} of:"
    )
    for key_id in enrolment.key_ids:
        click.echo(f"  {key_id}")


@agent.command()
@_HOME
@click.option("--once", is_flag=True, help="Ask the fleet once, and exit with what came of it.")
@json_option
@click.pass_context
def run(context: click.Context, *, home: Path, once: bool, as_json: bool) -> None:
    """Follow the fleet and look after the server, until SIGTERM."""
    if not once:
        from edgewright.chain.agent_process import become_agent

        become_agent(home, verbose=context.find_root().params["verbose"])
    from edgewright.chain import agent as chain

    results = chain.run_once(home)
    if as_json:
        print_json("agent-results", {"models": results})
    else:
        for progress in results:
            _say_progress(progress)
        if not results:
            say("the fleet asks for nothing new")


@agent.command()
@click.argument("url")
@click.option("--token", required=True, help="Enrolment token with as many uses as devices.")
@click.option("--count", type=click.IntRange(min=1), default=100, show_default=True)
@click.option("--prefix", default="sim", show_default=True, help="How their names begin.")
@click.option("--folder", type=_FOLDER, required=True,
              help="Where their homes lie; /dev/shm/NAME spares the disk.")  # fmt: skip
@click.option("--label", "labels", multiple=True, help="KEY=VALUE, may be repeated.")
@click.option("--fail-percent", type=NumberRange(0, 100), default=0.0, show_default=True,
              help="Share of the devices that refuse every later bundle.")  # fmt: skip
@click.option("--poll", "poll_s", callback=seconds, default="30s", show_default=True)
@click.option("--probe", "probe_s", callback=seconds, default="0s", show_default=True,
              help="How long a probe pretends to take.")  # fmt: skip
@click.option("--for", "for_s", callback=seconds_or_none, help="End after that time, like 10m.")
@json_option
def simulate(
    *,
    url: str,
    token: str,
    count: int,
    prefix: str,
    folder: Path,
    labels: tuple[str, ...],
    fail_percent: float,
    poll_s: float,
    probe_s: float,
    for_s: float | None,
    as_json: bool,
) -> None:
    """Let many devices live in this process, to try a fleet at URL before the real ones come.

    They are real agents up to the model: it is verified and staged, never run, and their reports
    say so.
    """
    import logging

    from edgewright.chain.simulation import SimulationOrder, run_simulation
    from edgewright.device.sim import Behaviour

    order = SimulationOrder(
        url=url,
        token=token,
        count=count,
        prefix=prefix,
        folder=folder.absolute(),
        labels=_labels(labels),
        behaviour=Behaviour(poll_s=poll_s, probe_s=probe_s, fails_percent=fail_percent),
        seconds=for_s,
    )
    # A refusal is the agent's warning; here it is one of thousands, and counted.
    logging.getLogger("edgewright.device.agent").setLevel(logging.ERROR)
    facts = run_simulation(order, say=say)
    if as_json:
        print_json("agent-simulation", facts)
    else:
        click.echo(
            f"{facts.devices} devices: {facts.commits} bundles committed, {facts.refused} refused, "
            f"{facts.twice} taken twice"
        )


@agent.command()
@click.argument("file", type=_FILE)
@_HOME
@json_option
def apply(*, file: Path, home: Path, as_json: bool) -> None:
    """Verify, probe and activate one FILE; `-` reads it from stdin. Needs no fleet.

    FILE is an air-gap file (.ewx, with the metadata that vouches for it) or a bundle (.ewb).
    """
    from edgewright.chain import agent as chain

    if str(file) == "-":
        progress = chain.apply_stream(sys.stdin.buffer, home=home)
    else:
        progress = chain.apply(file, home=home)
    _print_progress(progress, as_json=as_json)


@agent.command()
@_HOME
@click.option("--model", default="", help="Which model; needed when there are several.")
@click.option("--reason", default="ordered on the device", show_default=True)
@json_option
def rollback(*, home: Path, model: str, reason: str, as_json: bool) -> None:
    """Return a model to the bundle before. Needs no fleet."""
    from edgewright.chain import agent as chain

    _print_progress(chain.rollback(home, model=model, reason=reason), as_json=as_json)


@agent.command()
@_HOME
@click.option("--model", default="", help="Which model; needed when there are several.")
@click.option("--reason", default="cancelled on the device", show_default=True)
@json_option
def cancel(*, home: Path, model: str, reason: str, as_json: bool) -> None:
    """End a model's update, in whatever state it is; the model before stays or returns.

    A release that the fleet still wants is tried again later.
    """
    from edgewright.chain import agent as chain

    _print_progress(chain.cancel(home, model=model, reason=reason), as_json=as_json)


@agent.command()
@_HOME
@json_option
def recipient(*, home: Path, as_json: bool) -> None:
    """Show whom to encrypt bundles to for this device; its key is made when there is none.

    What is shown is public. A fleet that the device enrolled with since knows it already.
    """
    from edgewright.chain import agent as chain

    found = chain.recipient(home)
    if as_json:
        print_json("recipient", {"recipient": found.text, "key_id": found.key_id})
    else:
        click.echo(found.text)


@agent.command()
@_HOME
@json_option
def status(*, home: Path, as_json: bool) -> None:
    """Show slots, states, and the history with reasons; slots are verified now."""
    from edgewright.chain import agent as chain

    result = chain.status(home)
    if as_json:
        print_json("agent-status", result)
    else:
        _print_status(result)


@agent.command(name="support-bundle")
@_HOME
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("edgewright-support.tar.gz"),
    show_default=True,
    help="The file to write.",
)
@json_option
def support_bundle(*, home: Path, output: Path, as_json: bool) -> None:
    """Gather status, journal, ends of logs and machine facts in one file, without secrets."""
    from edgewright.chain import agent as chain

    parts = chain.support_bundle(home, output)
    if as_json:
        print_json("agent-support-bundle", {"path": str(output), "parts": list(parts)})
    else:
        click.echo(f"{output}: {', '.join(parts)}")


def _print_status(result: "AgentStatus") -> None:
    from edgewright.device.agent.expiry import warnings_of

    running = "running" if result.is_running else "not running"
    click.echo(f"{result.device}: agent {running}, fleet {result.fleet_url or 'none'}")
    facts, health = result.facts, result.facts.health
    what = "two repositories" if result.trust == "repositories" else "pinned keys"
    click.echo(
        f"{facts.board or facts.cpu}, {facts.cores} core(s), {facts.system}; "
        f"{health.memory_free_mb:.0f} MB memory and {health.disk_free_mb:.0f} MB disk free; "
        f"trusts {what}"
    )
    for warning in warnings_of(result.expiries):
        say(f"warning: {warning}")
    if result.is_read_only:
        click.echo(
            "The file system is read-only: what was committed goes on answering; no update, no "
            "rollback, no word to the fleet"
        )
    if result.maintenance:
        click.echo(f"A release of the fleet {result.maintenance}")
    print_table(
        "Models",
        ("model", "active", "state", "update", "since (UTC)", "reason"),
        [(m.model, m.version, m.state, m.update, _time(m.since), m.reason) for m in result.models],
    )
    print_table(
        "Slots",
        ("model", "bundle", "version", "roles", "damage"),
        [
            (model.model, slot.bundle_id[:12], slot.version, " ".join(slot.roles), slot.damage)
            for model in result.models
            for slot in model.slots
        ],
    )
    if result.expiries:
        print_table(
            "Trusted metadata, as last seen",
            ("repository", "role", "expires (UTC)"),
            [(e.repository, e.role, _time(e.expires)) for e in result.expiries],
        )
    if bad := [(model.model, one) for model in result.models for one in model.bad]:
        print_table(
            "Bad releases",
            ("model", "bundle", "version", "reason"),
            [(model, one.bundle_id[:12], one.version, one.reason) for model, one in bad],
        )
    print_table(
        "History",
        ("at (UTC)", "model", "state", "event", "version", "reason"),
        [(_time(s.at), s.model, s.state, s.event, s.version, s.reason) for s in result.history],
    )
    if result.lost_lines:
        say(f"{result.lost_lines} journal line(s) were damaged by the disk and are left out")


def _time(text: str) -> str:
    """UTC as a table shows it: in a narrow one it breaks between day and hour."""
    return text.replace("T", " ").removesuffix("Z")


def _print_progress(progress: "Progress", *, as_json: bool) -> None:
    if as_json:
        print_json("agent-progress", progress)
    else:
        _say_progress(progress)


def _say_progress(progress: "Progress") -> None:
    click.echo(f"{progress.model}: {progress.good[:12]} is active; {progress.reason}")


def _labels(texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if wrong := [text for text, pair in zip(texts, pairs, strict=True) if not pair[1]]:
        raise click.UsageError(f"label {wrong[0]!r}: expected KEY=VALUE")
    return {key: value for key, _, value in pairs}

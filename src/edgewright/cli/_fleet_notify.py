"""`edgewright fleet notify`: who is told of what happens in a fleet."""

from pathlib import Path

import click

from edgewright.cli._fleet import Place, opened, operator, place_options, when
from edgewright.cli._output import json_option, print_json, print_table, say

SECRET_LIMIT_BYTES = 4096


@click.group()
def notify() -> None:
    """Tell people and programs: signed webhooks, Slack, email, MQTT."""


@notify.command()
@click.argument("name")
@click.argument("url")
@click.option(
    "--of",
    "topics",
    multiple=True,
    default=("rollout,alert",),
    show_default=True,
    help="rollout, alert, audit (deeds of people), refused (traces of attacks).",
)
@click.option(
    "--secret-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Password of the mail server or broker, or a webhook's secret (whsec_...).",
)
@place_options
@json_option
def add(
    name: str,
    url: str,
    *,
    topics: tuple[str, ...],
    secret_file: Path | None,
    place: Place,
    as_json: bool,
) -> None:
    r"""Tell somebody from now on.

    \b
    https://host/path                             a webhook, signed (Standard Webhooks)
    slack+https://host/path                       Slack, Mattermost and others
    smtps://user@host?from=a@x.org&to=b@y.org     email (smtp:// uses STARTTLS)
    mqtts://user@host/topic                       messages below that topic

    A webhook's secret is made and printed once. Only public addresses are reached; for others see
    `edgewright fleet notify allow`.
    """
    from edgewright import _fs
    from edgewright.fleet.notify.notifiers import NotifierOrder, parse_topics

    secret = ""
    if secret_file is not None:
        content = _fs.read_limited(secret_file, limit_bytes=SECRET_LIMIT_BYTES)
        secret = content.decode(errors="replace").strip()
    order = NotifierOrder(name=name, url=url, topics=parse_topics(topics), secret=secret)
    with opened(place) as office:
        made = office.notifiers.add(order, by=operator(), hears_fleet=True)
    if as_json:
        print_json("notifier", made)
        return
    say(f"{name}: {made.notifier.destination}, of {', '.join(made.notifier.topics)}")
    if made.secret:
        say("the receiver checks signatures with this secret:")
        click.echo(made.secret)


@notify.command(name="list")
@place_options
@json_option
def list_notifiers(*, place: Place, as_json: bool) -> None:
    """List who is told of what, and whether it works."""
    with opened(place) as office:
        found = office.notifiers.list()
    if as_json:
        print_json("notifiers", {"notifiers": found})
        return
    print_table(
        "",
        ("name", "destination", "of", "waiting", "failures", "last error"),
        [
            (n.name, n.destination, ",".join(n.topics), n.waiting, n.failures, n.last_error)
            for n in found
        ],
    )


@notify.command()
@click.argument("name")
@place_options
def remove(name: str, *, place: Place) -> None:
    """Tell somebody no more; what waits for them goes."""
    with opened(place) as office:
        office.notifiers.remove(name, by=operator())
    say(f"{name} is told no more")


@notify.command()
@click.argument("name")
@place_options
def test(name: str, *, place: Place) -> None:
    """Send a notice now, from this process, and say whether it arrived."""
    from edgewright.chain.notifying import try_out

    with opened(place) as office:
        message_id = try_out(office, name, by=operator())
    say(f"{name} took {message_id}")


@notify.command()
@click.argument("name")
@click.option("--newest", type=click.IntRange(min=1, max=1000), default=50, show_default=True)
@place_options
@json_option
def deliveries(name: str, *, newest: int, place: Place, as_json: bool) -> None:
    """Show what was sent to somebody, or waits; newest first."""
    with opened(place) as office:
        found = office.notifiers.deliveries(name, newest=newest)
    if as_json:
        print_json("deliveries", {"deliveries": found})
        return
    print_table(
        "",
        ("when", "what", "standing", "tries", "error"),
        [(when(d.at_s), d.line, d.standing, d.attempts, d.error) for d in found],
    )


@notify.command()
@click.argument("hosts", nargs=-1)
@click.option("--none", "clears", is_flag=True, help="Name none: public addresses only.")
@place_options
@json_option
def allow(*, hosts: tuple[str, ...], clears: bool, place: Place, as_json: bool) -> None:
    """Name the HOSTS (HOST or HOST:PORT) that are reached although they are not public, or
    without TLS; instead of those named before. Without any: show them.

    Addresses of metadata services stay refused.
    """
    if clears and hosts:
        raise click.UsageError("--none and HOSTS exclude each other")
    with opened(place) as office:
        if hosts or clears:
            named = office.notifiers.name_hosts(hosts, by=operator())
        else:
            named = office.notifiers.named()
    if as_json:
        print_json("notify-allowed", {"hosts": named})
    else:
        click.echo("\n".join(named) if named else "public addresses only")

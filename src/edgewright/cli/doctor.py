"""`edgewright doctor`."""

import click

from edgewright.cli._output import json_option, print_json, print_table


@click.command()
@json_option
def doctor(*, as_json: bool) -> None:
    """Say what is installed, what can run here, and what is missing."""
    from edgewright.chain.doctor import examine

    health = examine()
    if as_json:
        print_json("doctor", health)
        return
    machine = [(key.replace("_", " "), value) for key, value in health.machine.items()]
    machine = [
        (key, ", ".join(map(str, value)) if isinstance(value, list | tuple) else value)
        for key, value in machine
    ]
    print_table(
        "This machine",
        ("what", "value"),
        [
            ("edgewright", health.version),
            *machine,
            ("disk free MB", health.disk_free_mb),
        ],
    )
    print_table(
        "Engines",
        ("engine", "runs here", "version", "formats", "to get it"),
        [
            (e.name, _yes(e.available), e.version, ", ".join(e.formats), e.install or e.reason)
            for e in health.engines
        ],
    )
    print_table(
        "Extras",
        ("extra", "complete", "missing", "to get it"),
        [
            (
                e.name,
                _yes(e.is_complete),
                ", ".join(e.missing),
                "" if e.is_complete else f"pip install 'edgewright[{e.name}]'",
            )
            for e in health.extras
        ],
    )
    print_table(
        "Programs that some commands use",
        ("program", "found", "to get it"),
        [(p.name, p.path or "no", "" if p.path else p.get_it) for p in health.programs],
    )


def _yes(claim: bool) -> str:  # noqa: FBT001 - a word for a claim
    return "yes" if claim else "no"

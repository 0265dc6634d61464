"""`edgewright demo`."""

from pathlib import Path

import click

from edgewright.cli._output import calm_threads, json_option, print_json, print_table
from edgewright.cli._progress import progress_bar
from edgewright.cli.project import show_stage


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-out"),
    show_default=True,
    help="Where everything is made; an earlier demo's folder is replaced.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs to train.  [6]")
@json_option
def demo(*, out: Path, epochs: int | None, as_json: bool) -> int:
    """Walk the whole chain on this machine, on real data.

    A public smartwatch data set (10 people, 7 exercises) becomes a signed bundle that a fleet rolls
    out to a device; then two bad releases follow. Exits with 7 when a claim did not hold.
    """
    calm_threads()
    from edgewright.chain.demo import DemoOrder, run_demo
    from edgewright.errors import GateError

    order = DemoOrder(folder=out) if epochs is None else DemoOrder(folder=out, epochs=epochs)
    with progress_bar() as bar:
        outcome = run_demo(order, watch=lambda event: show_stage(bar, event))
    if as_json:
        print_json("demo", outcome)
    else:
        print_table("Figures", ("what", "value"), [(f.name, f.value) for f in outcome.figures])
        print_table(
            "Time budgets of the first users",
            ("what", "seconds", "limit", "kept"),
            [
                (b.name, f"{b.seconds:.1f}", f"{b.limit_s:.0f}", "yes" if b.is_kept else "NO")
                for b in outcome.budgets
            ],
        )
        print_table(
            "Claims",
            ("claim", "measured", "held"),
            [(c.claim, c.measured, c.held) for c in outcome.claims],
        )
        click.echo(f"{outcome.seconds:.0f} s in all; the page: {outcome.page}")
    return 0 if outcome.is_good else GateError.exit_code

"""`edgewright motifs`: what recorded windows have in common, for EdgeInfer's sessions."""

from pathlib import Path

import click

from edgewright.cli._output import JSON_SCHEMA_VERSION, say

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("model", type=_FILE)
@click.argument("data", type=_FILE)
@click.option("--out", type=_FILE, required=True, help="Where the motifs go.")
@click.option(
    "--count", type=click.IntRange(min=1), default=12, show_default=True, help="How many motifs."
)
@click.option("--output", default="", help="The model's output that is its embedding.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print what was learnt as JSON.")
def motifs(
    *, model: Path, data: Path, out: Path, count: int, output: str, seed: int, as_json: bool
) -> None:
    """Learn the motifs of windows: prototypes in the embedding space of MODEL.

    DATA is an .npz of recorded windows under the name of the model's input. `serve --motifs` then
    tells of each new window which motif it is most like, or that it is like none.
    """
    import msgspec

    from edgewright.chain.motifs import learn_from_file

    learnt = learn_from_file(model, data, out, count=count, output=output, seed=seed)
    if as_json:
        document = {
            "schema_version": JSON_SCHEMA_VERSION,
            "kind": "motifs",
            "output": learnt.output,
            "identity": learnt.identity,
            "windows": learnt.windows.tolist(),
            "radius": learnt.radius.tolist(),
        }
        click.echo(msgspec.json.encode(document))
    say(f"{len(learnt)} motifs of {int(learnt.windows.sum())} windows in {out}")

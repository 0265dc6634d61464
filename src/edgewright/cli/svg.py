"""`edgewright svg`: trace logos well."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._output import calm_threads, json_option, print_json, print_table, say
from edgewright.cli._progress import progress_bar
from edgewright.cli._ray import ray_address_option

if TYPE_CHECKING:
    from edgewright.workbench.recipes.svg.recommending import Choice

_FILE = click.Path(path_type=Path)


@click.group()
def svg() -> None:
    """Measure how well logos are traced, and recommend settings for one."""


@svg.command()
@json_option
def parameters(*, as_json: bool) -> None:
    """List the tracer's parameters, their ranges and defaults."""
    from edgewright.workbench.recipes.svg.settings import DEFAULT, PARAMETERS

    if as_json:
        print_json("svg-parameters", {"parameters": PARAMETERS, "defaults": DEFAULT})
        return
    rows = [
        (p.name, f"{p.low:g}", f"{p.high:g}", getattr(DEFAULT, p.name), p.unit, p.meaning)
        for p in PARAMETERS
    ]
    print_table("", ("parameter", "low", "high", "default", "unit", "meaning"), rows)


@svg.command()
@click.argument("collection", type=_FILE)
@click.option("--out", type=_FILE, required=True, help="Folder for measured rows; it is resumed.")
@click.option("--settings", type=click.IntRange(2, 1000), default=8, show_default=True)
@click.option("--logos", type=click.IntRange(0), default=0, help="At most so many; 0: all.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--processes", type=click.IntRange(0), default=0, help="0: one for each core.")
@click.option(
    "--engine",
    type=click.Choice(["processes", "ray"]),
    default="processes",
    show_default=True,
    help="Who measures; ray: all machines of a cluster (extra ray).",
)
@ray_address_option
@json_option
def data(
    *,
    collection: Path,
    out: Path,
    settings: int,
    logos: int,
    seed: int,
    processes: int,
    engine: str,
    ray_address: str,
    as_json: bool,
) -> None:
    """Trace every logo of a folder or zip with drawn settings, and measure the outcome.

    The rows are the same whoever measures them. A stopped run goes on where it was.
    """
    from edgewright.chain.tracing import spread_for
    from edgewright.workbench.recipes.svg.factory import FactoryOrder, make_rows

    order = FactoryOrder(
        collection=collection,
        settings_each=settings,
        logos=logos,
        seed=seed,
        processes=processes,
    )
    with progress_bar() as bar:
        bar.begin("tracing")
        made = make_rows(order, out, tell=bar.move, spread=spread_for(engine, ray_address))
        bar.end(f"{len(made.logos)} logos")
    drawn = sum(len(logo.drawn) for logo in made.logos)
    if as_json:
        print_json("svg-data", {"logos": len(made.logos), "rows": drawn, "skipped": made.skipped})
        return
    rows: list[tuple[str, object]] = [
        ("logos", len(made.logos)),
        ("drawn rows", drawn),
        ("left out", len(made.skipped)),
    ]
    rows += [(name, why) for name, why in list(made.skipped.items())[:10]]
    print_table("", ("what", "value"), rows)


@svg.command()
@click.argument("picture", type=_FILE)
@click.option("--bundle", type=_FILE, required=True, help="A bundle of recipe svg-quality.")
@click.option("--features-file", type=_FILE, help="Weights, where its features need some.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@json_option
def recommend(
    *, picture: Path, bundle: Path, features_file: Path | None, seed: int, as_json: bool
) -> None:
    """Pick settings for PICTURE, and show their true SSIM beside the default's."""
    calm_threads()
    from edgewright.chain.svg import recommend_settings

    found = recommend_settings(picture, bundle, features_file=features_file, seed=seed)
    if as_json:
        print_json("svg-recommendation", {"is_better": found.is_better, **_plain(found)})
        return
    rows = [_row(name, getattr(found, name)) for name in ("pick", "default", "first")]
    print_table("", ("what", "predicted SSIM", "true SSIM", "SVG bytes", "settings"), rows)


@svg.command()
@click.option("--bundle", type=_FILE, required=True, help="A bundle of recipe svg-quality.")
@click.option("--http", default="127.0.0.1:8080", show_default=True, help="HOST:PORT.")
@click.option("--features-file", type=_FILE, help="Weights, where its features need some.")
def serve(*, bundle: Path, http: str, features_file: Path | None) -> None:
    """Answer pictures with predicted SSIM for settings, over HTTP, until SIGTERM.

    POST a picture to /v1/svg/predict?mode=polygon&filter_speckle=2, or JSON with a base64 "image"
    and "candidates", a list of settings by name. POST to /v1/svg/recommend picks, and traces for
    real.
    """
    calm_threads()
    from edgewright.chain.svg_service import serve_quality_model
    from edgewright.transports.address import parse_address

    host, port = parse_address(http, what="--http")
    serve_quality_model(
        bundle,
        host=host,
        port=port,
        features_file=features_file,
        on_ready=lambda where: say(f"ready: {where}"),
    )


def _plain(found: object) -> dict[str, object]:
    import msgspec

    plain: dict[str, object] = msgspec.to_builtins(found)
    return plain


def _row(name: str, choice: "Choice") -> tuple[str, ...]:
    import msgspec

    settings = msgspec.structs.asdict(choice.settings)
    told = {"pick": "recommended", "default": "the tracer's default", "first": "ranked first"}
    return (
        told[name],
        f"{choice.predicted_ssim:.4f}",
        f"{choice.true_ssim:.4f}",
        str(choice.svg_bytes),
        " ".join(f"{key}={value}" for key, value in settings.items()),
    )

"""The option of commands that can go to a Ray cluster."""

from collections.abc import Callable
from typing import TypeVar

import click

F = TypeVar("F", bound=Callable[..., object])


def ray_address_option(function: F) -> F:
    """`--ray-address`, which Ray's own variable stands for too."""
    return click.option(
        "--ray-address",
        envvar="RAY_ADDRESS",
        default="",
        metavar="HOST:PORT",
        help="With --engine ray: join this cluster; left out, Ray starts here.",
    )(function)

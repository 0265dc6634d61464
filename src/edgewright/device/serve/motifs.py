"""Motifs: which of the windows it was learnt from a new one is most like, by embedding. Pure.

Prototypes are the centres of k-means (k-means++ starts, the best of several) over embeddings of
recorded windows; each knows how far its own windows lay. A window farther away than that from its
nearest prototype is of no motif, and is said to be so.

    >>> rng = np.random.default_rng(0)
    >>> walk, sit = rng.normal(0, 0.1, (50, 2)), rng.normal(5, 0.1, (50, 2))
    >>> motifs = learn_motifs(np.concatenate([walk, sit]), Learning(count=2))
    >>> places, _ = nearest_motifs(motifs, np.array([[0.0, 0.1], [5.1, 5.0], [90.0, 90.0]]))
    >>> bool(places[0] != places[1]), int(places[2])
    (True, -1)
"""

import msgspec
import numpy as np

from edgewright._npz import decode_npz, encode_npz
from edgewright.device.serve.ports import Array
from edgewright.errors import InputError

_ROUNDS = 100
_STARTS = 8
_REACH = 0.99
"""Share of a prototype's own windows that lie within its radius."""


class Learning(msgspec.Struct, frozen=True, kw_only=True):
    """How motifs are learnt. `identity` says whose embeddings they are, `output` which of them."""

    count: int = 12
    seed: int = 0
    output: str = "embedding"
    identity: str = ""


class Motifs(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Prototypes [count, size], the radius of each, and how many windows it was learnt from."""

    prototypes: Array
    radius: Array
    windows: Array
    output: str
    identity: str

    def __len__(self) -> int:
        return len(self.prototypes)


def learn_motifs(embeddings: Array, learning: Learning) -> Motifs:
    """The prototypes of some embeddings [windows, size].

    Raises:
        InputError: there are fewer different windows than motifs, or a number is not finite.
    """
    points = np.asarray(embeddings, np.float64)
    if points.ndim != 2 or not np.isfinite(points).all():
        raise InputError(f"embeddings {list(points.shape)} are not finite rows of numbers")
    different = len(np.unique(points, axis=0))
    if not 1 <= learning.count <= different:
        raise InputError(
            f"{learning.count} motifs of {different} different windows", hint="give more data"
        )
    rng = np.random.default_rng(learning.seed)
    runs = [_k_means(points, learning.count, rng) for _ in range(_STARTS)]
    centres, place = min(runs, key=lambda run: float(((points - run[0][run[1]]) ** 2).sum()))
    away = np.linalg.norm(points - centres[place], axis=1)
    radius = [float(np.quantile(away[place == each], _REACH)) for each in range(len(centres))]
    return Motifs(
        prototypes=centres,
        radius=np.array(radius),
        windows=np.bincount(place, minlength=len(centres)),
        output=learning.output,
        identity=learning.identity,
    )


def nearest_motifs(motifs: Motifs, embeddings: Array) -> tuple[Array, Array]:
    """The motif of each row (-1: of none) and its distance from the nearest prototype."""
    away = _distances(np.asarray(embeddings, np.float64), motifs.prototypes)
    place = away.argmin(axis=1)
    nearest = away[np.arange(len(away)), place]
    return np.where(nearest <= motifs.radius[place], place, -1), nearest


def encode_motifs(motifs: Motifs) -> bytes:
    """The bytes of a motif file."""
    texts = np.array([motifs.output, motifs.identity])
    return encode_npz(
        {
            "prototypes": motifs.prototypes,
            "radius": motifs.radius,
            "windows": motifs.windows,
            "about": np.frombuffer("\n".join(texts).encode(), np.uint8),
        }
    )


def decode_motifs(content: bytes, *, source: str) -> Motifs:
    """A motif file.

    Raises:
        InputError: it is none.
    """
    arrays = decode_npz(content, source=source)
    try:
        output, identity = arrays["about"].tobytes().decode().split("\n")
        motifs = Motifs(
            prototypes=arrays["prototypes"],
            radius=arrays["radius"],
            windows=arrays["windows"],
            output=output,
            identity=identity,
        )
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{source}: not a file of motifs", hint="make one: edgewright motifs"
        ) from error
    count = len(motifs.prototypes)
    if motifs.prototypes.ndim != 2 or motifs.radius.shape != (count,) or not count:
        raise InputError(f"{source}: its prototypes and radii do not belong together")
    return motifs


def _k_means(points: Array, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    centres = _spread(points, count, rng)
    place = _distances(points, centres).argmin(axis=1)
    for _ in range(_ROUNDS):
        for each in range(count):
            members = points[place == each]
            # A prototype that lost all its windows starts again where the fit is worst.
            worst = int(np.linalg.norm(points - centres[place], axis=1).argmax())
            centres[each] = members.mean(axis=0) if len(members) else points[worst]
        moved = _distances(points, centres).argmin(axis=1)
        if (moved == place).all():
            break
        place = moved
    return centres, place


def _spread(points: Array, count: int, rng: np.random.Generator) -> Array:
    """Starts that lie apart: each is drawn by its squared distance from those before it."""
    centres = [points[rng.integers(len(points))]]
    for _ in range(count - 1):
        away = _distances(points, np.array(centres)).min(axis=1) ** 2
        centres.append(points[rng.choice(len(points), p=away / away.sum())])
    return np.array(centres)


def _distances(points: Array, centres: Array) -> Array:
    squares = (points**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)[None]
    return np.asarray(np.sqrt(np.maximum(squares - 2.0 * points @ centres.T, 0.0)))

"""Provenance inside a bundle, and what a device's policy makes of it."""

from pathlib import Path

import msgspec
import pytest

from edgewright.bundle import open_bundle
from edgewright.bundle.build import extend_bundle
from edgewright.bundle.openssf import MEMBER as MODEL_SIGNATURE
from edgewright.bundle.openssf import public_pem, sign_files
from edgewright.bundle.policy import InstallPolicy, Rule
from edgewright.bundle.provenance import MEMBER, Measurement, attest, measurements_of
from edgewright.contract import Evidence, decode_toml
from edgewright.errors import InputError, TrustError
from edgewright.keys.elliptic import EllipticSigner
from edgewright.testing import MemorySigner
from edgewright.testing.bundles import build_tiny
from edgewright.trust import TrustedKeys

MAKER, STRANGER = MemorySigner.from_seed(5), MemorySigner.from_seed(6)
BOARD = "Raspberry Pi 5 Model B Rev 1.0"


def figure(name: str, value: float, unit: str = "ms", **more: object) -> Evidence:
    facts = {"how": "400 requests", "where": BOARD, "when": "2026-11-25T10:00:00Z", "on": "tiny"}
    return Evidence(name=name, value=value, unit=unit, **{**facts, **more})  # type: ignore[arg-type]


P95 = Measurement(figure=figure("latency p95", 31.0, low=30.0, high=33.0), board=BOARD)
DROP = Measurement(figure=figure("accuracy drop", 0.2, "points", high=0.4))


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    build_tiny(tmp_path / "plain.ewb")
    return tmp_path / "plain.ewb"


def attested(path: Path, *measurements: Measurement, signer: MemorySigner = MAKER) -> Path:
    out = path.with_name("attested.ewb")
    content = attest(open_bundle(path).manifest, measurements, signer, when="2026-11-25T10:00:00Z")
    extend_bundle(path, out, [("evidence", MEMBER, content)], signers=[signer])
    return out


def policy(*rules: Rule, **more: object) -> InstallPolicy:
    return InstallPolicy(schema_version=1, rules=rules, **more)  # type: ignore[arg-type]


FAST = Rule(figure="latency p95", below=50.0, on_this_board=True)
CLOSE = Rule(figure="accuracy drop", at_most=0.5)


def test_figures_come_back_as_they_were_signed(plain: Path) -> None:
    bundle = open_bundle(attested(plain, P95, DROP))
    keys = TrustedKeys(threshold=1, keys=(MAKER.public,))
    assert measurements_of(bundle, keys) == measurements_of(bundle, None) == (P95, DROP)


def test_a_bundle_that_keeps_the_policy_is_let_in(plain: Path) -> None:
    bundle = open_bundle(attested(plain, P95, DROP))
    policy(FAST, CLOSE, keys=(MAKER.public.public_hex,)).require(bundle, board=BOARD)
    policy(FAST, CLOSE, board="Raspberry Pi 5").require(bundle, board="anything")


@pytest.mark.parametrize(
    ("measurements", "board", "match"),
    [
        ((P95,), BOARD, "no measured 'accuracy drop'"),
        ((P95, DROP), "Jetson Orin Nano", "no measured 'latency p95' on board 'Jetson Orin Nano'"),
        ((P95, DROP), "", "on board 'of an unknown class'"),
        (
            (Measurement(figure=figure("latency p95", 49.0, high=52.0), board=BOARD), DROP),
            BOARD,
            "latency p95 is 52 ms, expected below 50",
        ),
        (
            (P95, Measurement(figure=figure("accuracy drop", 0.6, "points"))),
            BOARD,
            "accuracy drop is 0.6 points, expected at most 0.5",
        ),
        (
            (P95, DROP, Measurement(figure=figure("latency p95", 61.0), board=BOARD)),
            BOARD,
            "latency p95 is 61 ms",
        ),
        (
            (
                Measurement(figure=figure("latency p95", 1.0, method="estimated"), board=BOARD),
                DROP,
            ),
            BOARD,
            "no measured 'latency p95'",
        ),
        ((Measurement(figure=figure("latency p95", 50.0), board=BOARD), DROP), BOARD, "below 50"),
    ],
)
def test_a_figure_that_misses_its_limit_is_named(
    plain: Path, measurements: tuple[Measurement, ...], board: str, match: str
) -> None:
    bundle = open_bundle(attested(plain, *measurements))
    with pytest.raises(TrustError, match=match):
        policy(FAST, CLOSE).require(bundle, board=board)


def test_every_missed_limit_is_named_at_once(plain: Path) -> None:
    bundle = open_bundle(attested(plain))
    with pytest.raises(TrustError, match=r"latency p95.*; no measured 'accuracy drop'"):
        policy(FAST, CLOSE).require(bundle, board=BOARD)


@pytest.mark.parametrize(
    ("rule", "kept", "missed"),
    [
        (Rule(figure="f", at_least=2.0), 2.0, 1.9),
        (Rule(figure="f", above=2.0), 2.1, 2.0),
        (Rule(figure="f", at_most=2.0), 2.0, 2.1),
        (Rule(figure="f", below=2.0), 1.9, float("nan")),
    ],
)
def test_limits_hold_at_their_edges(rule: Rule, kept: float, missed: float) -> None:
    assert rule.why_missed([Measurement(figure=figure("f", kept))], board="") == ""
    assert rule.why_missed([Measurement(figure=figure("f", missed))], board="") != ""


def test_the_lower_end_counts_for_a_lower_limit() -> None:
    rule = Rule(figure="accuracy", at_least=0.9)
    wide = Measurement(figure=figure("accuracy", 0.93, "1", low=0.89, high=0.95))
    assert "accuracy is 0.89" in rule.why_missed([wide], board="")


def test_a_statement_of_a_stranger_does_not_count(plain: Path) -> None:
    bundle = open_bundle(attested(plain, P95, DROP, signer=STRANGER))
    with pytest.raises(TrustError, match="signed by 0 trusted key"):
        policy(FAST, keys=(MAKER.public.public_hex,)).require(bundle, board=BOARD)


def test_a_statement_about_another_model_does_not_count(plain: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.ewb"
    build_tiny(other, seed=9)
    statement = open_bundle(attested(plain, P95, DROP))
    content = statement.read(next(b for b in statement.manifest.blobs if b.name == MEMBER))
    extend_bundle(other, other, [("evidence", MEMBER, content)])
    with pytest.raises(TrustError, match="about another model"):
        policy(FAST).require(open_bundle(other), board=BOARD)


def test_a_bundle_without_provenance_is_refused_with_a_way_out(plain: Path) -> None:
    with pytest.raises(TrustError, match=r"carries no provenance.*bundle attest"):
        policy(FAST).require(open_bundle(plain), board=BOARD)


def test_an_empty_policy_asks_for_nothing(plain: Path) -> None:
    policy().require(open_bundle(plain), board="")


@pytest.mark.parametrize(
    "content", [b"hello", b"{}", b'{"payload":"e30=","payloadType":"x","signatures":[]}']
)
def test_what_is_no_statement_is_refused(plain: Path, content: bytes) -> None:
    extend_bundle(plain, plain, [("evidence", MEMBER, content)])
    with pytest.raises(TrustError):
        policy(FAST).require(open_bundle(plain), board=BOARD)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("schema_version = 2", "schema_version is 2"),
        ("schema_version = 1\nrulez = 1", "rulez"),
        ('schema_version = 1\n[[rules]]\nfigure = "f"', "exactly one of"),
        ('schema_version = 1\n[[rules]]\nfigure = "f"\nbelow = 1\nabove = 0', "exactly one of"),
        ('schema_version = 1\nkeys = ["zz"]', "64 lower-case hex"),
        ('schema_version = 1\nopenssf_keys = ["zz"]', "not a public key"),
        ('schema_version = 1\nthreshold = 2\nkeys = ["%s"]' % ("0" * 64), "threshold is 2"),
    ],
)
def test_a_policy_file_with_a_mistake_says_which(text: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        decode_toml(text.encode(), InstallPolicy, source="policy.toml")


def test_a_policy_file_reads_as_people_write_it() -> None:
    text = """
    schema_version = 1
    board = "Raspberry Pi 5"

    [[rules]]
    figure = "latency p95"
    below = 50
    on_this_board = true

    [[rules]]
    figure = "accuracy drop"
    at_most = 0.5
    """
    read = decode_toml(text.encode(), InstallPolicy, source="policy.toml")
    assert read == policy(FAST, CLOSE, board="Raspberry Pi 5")
    assert msgspec.to_builtins(read)["rules"][0]["below"] == 50


def signed_files(bundle: Path, folder: Path) -> tuple[Path, str]:
    """The bundle with an OpenSSF signature, and its key as a policy holds it."""
    signer = EllipticSigner.create(folder / "maker.pem")
    content = sign_files("tiny", open_bundle(bundle).manifest.blobs, signer)
    out = bundle.with_name("openssf.ewb")
    extend_bundle(bundle, out, [("file", MODEL_SIGNATURE, content)])
    return out, public_pem(signer.public).decode()


def test_a_policy_may_ask_for_an_openssf_signature(plain: Path, tmp_path: Path) -> None:
    signed, key = signed_files(plain, tmp_path)
    other = public_pem(EllipticSigner.create(tmp_path / "other.pem").public).decode()
    InstallPolicy(schema_version=1, openssf_keys=(other, key)).require(
        open_bundle(signed), board=BOARD
    )
    with pytest.raises(TrustError, match="carries no OpenSSF signature"):
        InstallPolicy(schema_version=1, openssf_keys=(key,)).require(
            open_bundle(plain), board=BOARD
        )
    with pytest.raises(TrustError, match="this device's policy: OpenSSF signature by key"):
        InstallPolicy(schema_version=1, openssf_keys=(other,)).require(
            open_bundle(signed), board=BOARD
        )

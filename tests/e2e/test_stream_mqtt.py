"""Stream files against a real broker: plain, over TLS, away and back, and killed in between."""

import asyncio
import datetime as dt
import ipaddress
import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.brokers import Mosquitto, running_mosquitto
from tests.streams import stop, streaming, updown_bundle, wait_for

from edgewright.chain.processes import free_port

aiomqtt = pytest.importorskip("aiomqtt", reason="absent: aiomqtt (extra mqtt)")


def hold_session(port: int, name: str, topic: str) -> None:
    """From now on the broker keeps messages for this session, connected or not."""

    async def subscribe() -> None:
        async with aiomqtt.Client(
            "127.0.0.1", port, identifier=name, clean_session=False
        ) as client:
            await client.subscribe(topic, qos=1)

    asyncio.run(asyncio.wait_for(subscribe(), 30))


def publish(port: int, messages: list[tuple[str, str]]) -> None:
    async def send() -> None:
        async with aiomqtt.Client("127.0.0.1", port) as client:
            for topic, payload in messages:
                await client.publish(topic, payload, qos=1)

    asyncio.run(asyncio.wait_for(send(), 30))


def collect(
    broker: Mosquitto,
    topic: str,
    is_enough: Callable[[list[tuple[str, str]]], bool],
    *,
    act: Callable[[], None] = lambda: None,
) -> list[tuple[str, str]]:
    """Messages of a topic until there are enough; `act` runs once they are listened to."""

    async def listen() -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        async with aiomqtt.Client("127.0.0.1", broker.port) as client:
            await client.subscribe(topic, qos=1)
            await asyncio.to_thread(act)
            async for message in client.messages:
                found.append((str(message.topic), bytes(message.payload).decode()))
                if is_enough(found):
                    return found
        raise AssertionError("unreachable")

    return asyncio.run(asyncio.wait_for(listen(), 60))


def samples(
    who: str, level_ms2: float, *, first: int = 0, count: int = 20
) -> list[tuple[str, str]]:
    return [
        (f"gym/{who}/imu", json.dumps({"t": n * 50, "acc": {"x": level_ms2}}))
        for n in range(first, first + count)
    ]


def stream_file(folder: Path, bundle: Path, broker: Mosquitto, sinks: str) -> Path:
    hold_session(broker.port, folder.name, "gym/+/imu")
    path = folder / "stream.toml"
    path.write_text(f"""
patience_s = 60

[[stream]]
model = "{bundle}"
hop = 10
rule = {{confirm = 1}}

[stream.source]
kind = "mqtt"
broker = "{broker.url}"
topics = ["gym/+/imu"]
session = "{folder.name}"
key_part = 1
columns = {{ax = "acc.x"}}
units = {{ax = "m/s2"}}
time = "t"
time_unit = "ms"

{sinks}
""")
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return updown_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with running_mosquitto(tmp_path_factory.mktemp("broker")) as started:
        yield started


def test_messages_of_two_sensors_become_results_of_each(
    bundle: Path, broker: Mosquitto, tmp_path: Path
) -> None:
    sink = f"""
[[stream.sinks]]
kind = "mqtt"
broker = "{broker.url}"
topic = "gym/{{key}}/activity"
"""
    mixed = [
        each
        for pair in zip(samples("ann", 9.8), samples("bob", -9.8), strict=True)
        for each in pair
    ]
    file, port = stream_file(tmp_path, bundle, broker, sink), free_port()
    file.write_text(f'metrics = "127.0.0.1:{port}"\n' + file.read_text())
    with streaming(file, "--json") as process:
        found = collect(
            broker,
            "gym/+/activity",
            lambda found: len(found) >= 4,
            act=lambda: publish(broker.port, [("gym/ann/imu", "not a sample"), *mixed]),
        )
        page = metrics_page(port)
        stdout, stderr = stop(process)
    labels = 'stream="0",model="updown"'
    for line in (
        f'edgewright_stream_messages_total{{{labels},source="mqtt"}} 41',
        f'edgewright_stream_unreadable_total{{{labels},source="mqtt"}} 1',
        f'edgewright_stream_reconnects_total{{{labels},source="mqtt"}} 0',
        f"edgewright_stream_samples_total{{{labels}}} 40",
        f"edgewright_stream_windows_total{{{labels}}} 4",
        f"edgewright_stream_sensors{{{labels}}} 2",
    ):
        assert f"{line}\n" in page
    assert process.returncode == 0, stderr
    states = {(topic, json.loads(payload)["state"]) for topic, payload in found}
    assert states == {("gym/ann/activity", "up"), ("gym/bob/activity", "down")}
    assert json.loads(found[0][1])["end_s"] == pytest.approx(0.45)
    summary = json.loads(stdout)["streams"][0]
    assert (summary["samples"]["samples"], summary["windows"]) == (40, 4)
    assert "a message of gym/ann/imu is left out: no column 'acc.x'" in stderr


def metrics_page(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        page: bytes = answer.read()
    return page.decode()


def queue_sink(cloud: Mosquitto) -> str:
    return f"""
[[stream.sinks]]
kind = "mqtt"
broker = "{cloud.url}"
topic = "results"
queue = {{folder = "queue", key_file = "queue.key", limit_mb = 1}}
"""


def test_nothing_is_lost_while_the_cloud_is_away_and_the_gateway_is_killed(
    bundle: Path, broker: Mosquitto, tmp_path: Path
) -> None:
    file_sink = '\n[[stream.sinks]]\nkind = "file"\npath = "results.jsonl"\n'
    with running_mosquitto(tmp_path) as cloud:
        cloud.stop()
        file = stream_file(tmp_path, bundle, broker, queue_sink(cloud) + file_sink)
        results = tmp_path / "results.jsonl"

        def written() -> int:
            return len(results.read_bytes().splitlines()) if results.is_file() else 0

        with streaming(file) as process:
            publish(broker.port, samples("eve", 9.8, count=200))
            wait_for(lambda: written() == 20, "twenty results")
            os.kill(process.pid, signal.SIGKILL)
        assert b"updown" not in b"".join(p.read_bytes() for p in (tmp_path / "queue").iterdir())
        cloud.start()

        def start_again() -> None:
            with streaming(file) as process:
                _, stderr = stop(process)
                assert process.returncode == 0, stderr

        # What was not acknowledged before the kill comes again and may be a window more.
        found = collect(cloud, "results", lambda found: len(found) == written(), act=start_again)
    kept = [json.loads(line) for line in results.read_bytes().splitlines()]
    assert len(kept) >= 20
    assert [json.loads(payload) for _, payload in found] == kept


def test_results_wait_in_order_for_a_broker_that_comes_back(
    bundle: Path, broker: Mosquitto, tmp_path: Path
) -> None:
    with (
        running_mosquitto(tmp_path) as cloud,
        streaming(stream_file(tmp_path, bundle, broker, queue_sink(cloud))) as process,
    ):
        first = collect(
            cloud,
            "results",
            lambda found: len(found) >= 2,
            act=lambda: publish(broker.port, samples("kim", 9.8)),
        )
        cloud.stop()
        publish(broker.port, samples("kim", -9.8, first=20, count=40))
        assert process.stderr is not None
        assert "trying again" in process.stderr.readline()
        cloud.start()
        _, stderr = stop(process)
    assert process.returncode == 0, stderr
    assert len(first) == 2
    assert "it is back" in stderr
    assert "stay in the queue" not in stderr


def test_a_bound_is_kept_and_what_was_dropped_is_counted(tmp_path: Path) -> None:
    with running_mosquitto(tmp_path) as near, running_mosquitto(tmp_path) as far:
        far.stop()
        hold_session(near.port, "bridge", "gym/#")
        file, port = tmp_path / "bridge.toml", free_port()
        file.write_text(f"""
patience_s = 0.2
metrics = "127.0.0.1:{port}"

[[bridge]]
source = "{near.url}"
topics = ["gym/#"]
target = "{far.url}"
session = "bridge"
queue = {{folder = "queue", key_file = "queue.key", limit_mb = 0.015625}}
""")
        with streaming(file, "--json") as process:
            publish(near.port, [("gym/x", f"{n:0100d}") for n in range(400)])
            came = 'edgewright_bridge_messages_total{bridge="0"} 400\n'
            wait_for(lambda: came in metrics_page(port), "four hundred messages")
            stdout, stderr = stop(process)
    summary = json.loads(stdout)["bridges"][0]
    left = int(stderr.split(" messages stay in the queue")[0].rsplit(" ", 1)[-1])
    assert summary["received"] == 400
    assert left + summary["dropped"] == 400
    assert summary["dropped"] > 0
    segments = (tmp_path / "queue").glob("*.seg")
    assert sum(path.stat().st_size for path in segments) <= 16 << 10


def certificates(folder: Path) -> None:
    """An authority of our own, with a certificate for the broker and one for a client."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
    now = dt.datetime.now(dt.UTC)

    def certificate(name: str, key: ec.EllipticCurvePrivateKey, *, is_ca: bool) -> bytes:
        subject = (
            ca_name if is_ca else x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )
        if not is_ca:
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        signed = builder.sign(ca_key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)

    (folder / "ca.pem").write_bytes(certificate("ca", ca_key, is_ca=True))
    for name in ("broker", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        (folder / f"{name}.pem").write_bytes(certificate(name, key, is_ca=False))
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (folder / f"{name}.key").write_bytes(pem)


def test_a_bridge_goes_over_tls_with_client_certificates(tmp_path: Path) -> None:
    certificates(tmp_path)
    lines = f"""allow_anonymous true
cafile {tmp_path}/ca.pem
certfile {tmp_path}/broker.pem
keyfile {tmp_path}/broker.key
require_certificate true
listener 0 {tmp_path}/cloud.sock"""
    with (
        running_mosquitto(tmp_path) as near,
        running_mosquitto(tmp_path, lines=lines) as cloud,
    ):
        hold_session(near.port, "bridge", "gym/#")
        file = tmp_path / "bridge.toml"
        secure = cloud.url.replace("mqtt://", "mqtts://")
        file.write_text(f"""
patience_s = 0.5
[[bridge]]
source = "{near.url}"
topics = ["gym/#"]
target = "{secure}"
prefix = "site1/"
session = "bridge"
target_login = {{cert = "client.pem", key = "client.key", ca = "ca.pem"}}
""")
        tls = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        tls.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key")

        async def received() -> tuple[str, bytes]:
            async with aiomqtt.Client("127.0.0.1", cloud.port, tls_context=tls) as client:
                await client.subscribe("site1/#", qos=1)
                with streaming(file) as process:
                    await asyncio.to_thread(publish, near.port, [("gym/ann", "42")])
                    async for message in client.messages:
                        stop(process)
                        return str(message.topic), bytes(message.payload)
            raise AssertionError("unreachable")

        assert asyncio.run(asyncio.wait_for(received(), 60)) == ("site1/gym/ann", b"42")

        file.write_text(file.read_text().replace('cert = "client.pem", key = "client.key", ', ""))
        publish(near.port, [("gym/ann", "43")])
        with streaming(file) as process:
            assert process.stderr is not None
            assert "trying again" in process.stderr.readline()
            _, stderr = stop(process)
        assert process.returncode == 4
        assert "1 of 1 messages were not delivered" in stderr


def test_an_actuator_is_told_what_holds_and_is_safe_when_the_gateway_dies(
    bundle: Path, broker: Mosquitto, tmp_path: Path
) -> None:
    sink = f"""
[[stream.sinks]]
kind = "command"
broker = "{broker.url}"
topic = "fan/set"
values = {{up = 2.5}}
safe = 0
low = 0
high = 5
sensor = "ann"
stale_s = 30
"""
    file = stream_file(tmp_path, bundle, broker, sink)
    with streaming(file) as process:
        told = collect(
            broker,
            "fan/set",
            lambda found: found[-1][1] == "2.5",
            act=lambda: publish(broker.port, samples("ann", 9.8)),
        )
        assert told[0] == ("fan/set", "0.0")
        killed = collect(
            broker,
            "fan/set",
            lambda found: found[-1][1] == "0.0",
            act=lambda: os.kill(process.pid, signal.SIGKILL),
        )
    assert [payload for _, payload in killed] == ["2.5", "0.0"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('units = {ax = "m/s2"}', 'units = {ax = "deg/s"}'), "measure different things"),
        (("columns = {ax", "columns = {ay"), "the model has no channel 'ay'; did you mean 'ax'"),
        (('kind = "mqtt"', 'kind = "mqt"'), "mqt"),
        (("hop = 10", "hopp = 10"), "unknown key 'stream[0].hopp'; did you mean 'hop'"),
        (("mqtt://", "http://user:hunter2@"), "the address of the broker is not understood"),
    ],
)
def test_a_wrong_stream_file_is_one_line_and_exit_2(
    bundle: Path, broker: Mosquitto, tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    file = stream_file(tmp_path, bundle, broker, "")
    file.write_text(file.read_text().replace(*change, 1))
    done = subprocess.run(
        [sys.executable, "-m", "edgewright", "stream", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr

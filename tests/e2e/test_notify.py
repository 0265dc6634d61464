"""A fleet process that tells real receivers on this machine, named by its operator."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.brokers import running_mosquitto
from tests.fleet_process import fleet_serving

from edgewright.chain.fleet import open_fleet, trust
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.rollouts import RolloutOrder
from edgewright.testing.fleet import SIGNER, release_file

pytestmark = pytest.mark.timeout(120)

Got = list[tuple[dict[str, str], bytes]]


@contextmanager
def web_receiver(got: Got, *, failing: int = 0) -> Iterator[int]:
    """Answers 503 so many times first."""
    left = [failing]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            left[0] -= 1
            self.send_response(503 if left[0] >= 0 else 204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "key.pub").write_text(SIGNER.public.public_hex)
    trust(tmp_path / "home", [tmp_path / "key.pub"], threshold=1, by="test")
    with open_fleet(tmp_path / "home") as office:
        release_file(tmp_path / "1.ewb", version="1")
        office.registry.publish(tmp_path / "1.ewb", by="test")
        token = office.devices.create_token(TokenOrder(), by="test").token
        office.devices.enrol(token, "d1", {})
    return tmp_path / "home"


def edgewright(home: Path, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "edgewright", *arguments, "--home", str(home)],
        capture_output=True, check=False, timeout=60, text=True,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_a_rollout_is_told_to_a_webhook_and_to_a_broker(home: Path, tmp_path: Path) -> None:
    standard = pytest.importorskip(
        "standardwebhooks.webhooks", reason="absent: standardwebhooks (extra oracles)"
    )
    aiomqtt = pytest.importorskip("aiomqtt", reason="absent: aiomqtt (extra mqtt)")
    got: Got = []
    heard: list[dict[str, Any]] = []

    async def story(port: int) -> None:
        async with aiomqtt.Client("127.0.0.1", port) as client:
            await client.subscribe("news/#", qos=1)
            with fleet_serving(home), open_fleet(home) as office:
                office.rollouts.start(RolloutOrder(release="tiny@1", waves="100%"), by="test")
                heard.append(json.loads((await anext(client.messages)).payload))
                async with asyncio.timeout(30):
                    while not told(home, "web"):  # noqa: ASYNC110
                        await asyncio.sleep(0.1)

    with web_receiver(got, failing=1) as web, running_mosquitto(tmp_path) as broker:
        refused = edgewright(home, "fleet", "notify", "add", "web",
                             f"http://127.0.0.1:{web}/hook", code=5)  # fmt: skip
        assert "edgewright fleet notify allow" in refused
        edgewright(home, "fleet", "notify", "allow", f"127.0.0.1:{web}", f"127.0.0.1:{broker.port}")
        url = f"http://127.0.0.1:{web}/hook"
        secret = edgewright(home, "fleet", "notify", "add", "web", url).strip()
        edgewright(home, "fleet", "notify", "add", "mq", f"mqtt://127.0.0.1:{broker.port}/news")
        asyncio.run(story(broker.port))
    assert heard[0]["subject"] == "rollout 1 of tiny"
    assert len(got) == 2, "once refused, then taken"
    assert got[0][0]["webhook-id"] == got[1][0]["webhook-id"] == heard[0]["id"]
    for headers, body in got:
        assert standard.Webhook(secret).verify(body, headers)["text"] == heard[0]["text"]


def told(home: Path, name: str) -> bool:
    with open_fleet(home) as office:
        found = office.notifiers.deliveries(name)
    return bool(found) and all(each.standing == "delivered" for each in found)


def test_a_notifier_is_tried_from_the_command_line(home: Path) -> None:
    got: Got = []
    with web_receiver(got) as port:
        edgewright(home, "fleet", "notify", "allow", "127.0.0.1")
        url = f"slack+http://127.0.0.1:{port}/x"
        edgewright(home, "fleet", "notify", "add", "chat", url)
        edgewright(home, "fleet", "notify", "test", "chat")
    assert json.loads(got[0][1])["text"] == "[test] this fleet: can tell you what happens"
    assert "chat" in edgewright(home, "fleet", "notify", "list")
    assert "connection refused" in edgewright(home, "fleet", "notify", "test", "chat", code=4)
    assert "no notifier 'chat'" in (
        edgewright(home, "fleet", "notify", "remove", "chat")
        or edgewright(home, "fleet", "notify", "test", "chat", code=2)
    )

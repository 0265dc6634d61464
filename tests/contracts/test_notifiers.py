"""What every way of telling somebody keeps, each against a real receiver."""

import asyncio
import json
import socket
import ssl
import subprocess
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from tests.brokers import running_mosquitto

from edgewright.clock import SystemClock
from edgewright.errors import InputError, TransportError
from edgewright.fleet.notify.base import Notice, Notifier, Parcel
from edgewright.fleet.notify.destination import parse_destination
from edgewright.fleet.notify.signing import new_secret
from edgewright.fleet.notify.web import SlackNotifier, WebhookNotifier
from edgewright.transports.http1 import Request, Response, start_server

SECRET = new_secret(b"a secret of thirty-two bytes ...")
NOTICE = Notice(
    id="f1-history-7",
    topic="rollout",
    at="2026-01-31T06:10:00Z",
    subject="rollout 3 of tiny",
    text="aborted: <2> of 20 failed & more\nBcc: evil@x.org",
)
AT_S = 1_769_839_800.0

Got = list[dict[str, Any]]


def run(case: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await case()

    asyncio.run(bounded())


def parcel(url: str, *, secret: str = SECRET, plain: bool = True) -> Parcel:
    return Parcel(
        notice=NOTICE,
        destination=parse_destination(url),
        address="127.0.0.1",
        secret=secret,
        may_be_plain=plain,
    )


@asynccontextmanager
async def web_receiver(
    got: Got, *, status: int = 200, tls: ssl.SSLContext | None = None, **headers: str
) -> AsyncIterator[int]:
    async def take(request: Request) -> Response:
        got.append({"path": request.path, "headers": request.headers, "body": request.body})
        return Response(status=status, headers=headers)

    server = await start_server(take, clock=SystemClock(), tls=tls)
    try:
        yield int(server.address.rpartition(":")[2])
    finally:
        await server.close(drain_s=0)


class _Sink:
    """A mail server's handler that keeps what comes."""

    def __init__(self, got: Got, answer: str) -> None:
        self._got, self._answer = got, answer

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self._got.append(
            {"message": envelope.content, "to": envelope.rcpt_tos, "tls": bool(session.ssl)}
        )
        return self._answer


@asynccontextmanager
async def mail_receiver(got: Got, *, answer: str = "250 OK", **options: Any) -> AsyncIterator[int]:
    smtp = pytest.importorskip("aiosmtpd.smtp", reason="absent: aiosmtpd (extra oracles)")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: smtp.SMTP(_Sink(got, answer), hostname="sink", **options), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def mail_notifier() -> Notifier:
    module = pytest.importorskip(
        "edgewright.fleet.notify.mail", reason="absent: aiosmtplib (extra email)"
    )
    made: Notifier = module.MailNotifier()
    return made


def mqtt_notifier() -> Notifier:
    module = pytest.importorskip(
        "edgewright.fleet.notify.broker", reason="absent: aiomqtt (extra mqtt)"
    )
    made: Notifier = module.MqttNotifier()
    return made


@pytest.fixture
def identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's certificate for hook.test, which this process trusts."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=hook.test", "-addext",
         "subjectAltName=DNS:hook.test", "-keyout", tmp_path / "k.pem", "-out", tmp_path / "c.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "c.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")
    return context


def test_a_webhook_is_signed_as_the_standard_says() -> None:
    standard = pytest.importorskip(
        "standardwebhooks.webhooks", reason="absent: standardwebhooks (extra oracles)"
    )
    got: Got = []

    async def case() -> None:
        import time

        async with web_receiver(got) as port:
            url = f"http://hook.test:{port}/in/a?b=c"
            await WebhookNotifier().deliver(parcel(url), at_s=time.time())

    run(case)
    (request,) = got
    assert (request["path"], request["headers"]["host"].partition(":")[0]) == (
        "/in/a", "hook.test",
    )  # fmt: skip
    told = standard.Webhook(SECRET).verify(request["body"], request["headers"])
    assert (told["id"], told["text"]) == (NOTICE.id, NOTICE.text)
    with pytest.raises(standard.WebhookVerificationError):
        standard.Webhook(SECRET).verify(request["body"] + b" ", request["headers"])


def test_the_certificate_of_the_name_is_asked_for_and_no_other(identity: ssl.SSLContext) -> None:
    got: Got = []

    async def case() -> None:
        async with web_receiver(got, tls=identity) as port:
            notifier = WebhookNotifier()
            await notifier.deliver(parcel(f"https://hook.test:{port}/"), at_s=AT_S)
            with pytest.raises(TransportError, match=r"[Hh]ostname mismatch|certificate"):
                await notifier.deliver(parcel(f"https://other.test:{port}/"), at_s=AT_S)

    run(case)
    assert len(got) == 1


def test_a_webhook_that_is_away_keeps_its_path_secret() -> None:
    async def case() -> None:
        with pytest.raises(TransportError, match=r"hook\.test:9") as away:
            await WebhookNotifier().deliver(parcel("http://hook.test:9/in/s3cret?k=v"), at_s=AT_S)
        assert "s3cret" not in str(away.value)

    run(case)


def test_no_redirect_is_followed() -> None:
    elsewhere: Got = []

    async def case() -> None:
        async with web_receiver(elsewhere) as other:
            place = f"http://127.0.0.1:{other}/latest/meta-data"
            for status in (301, 302, 303, 307, 308):
                async with web_receiver([], status=status, location=place) as port:
                    with pytest.raises(TransportError, match="not followed"):
                        await WebhookNotifier().deliver(
                            parcel(f"http://hook.test:{port}/"), at_s=AT_S
                        )

    run(case)
    assert elsewhere == []


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, TransportError), (503, TransportError), (429, TransportError), (404, TransportError),
     (400, InputError), (413, InputError), (422, InputError)],
)  # fmt: skip
def test_an_answer_says_whether_again_or_never(status: int, error: type[Exception]) -> None:
    async def case() -> None:
        async with web_receiver([], status=status) as port:
            with pytest.raises(error, match=str(status)):
                await WebhookNotifier().deliver(parcel(f"http://hook.test:{port}/"), at_s=AT_S)

    run(case)


def test_slack_gets_one_line_that_nothing_in_it_can_break() -> None:
    got: Got = []

    async def case() -> None:
        async with web_receiver(got) as port:
            url = f"slack+http://hook.test:{port}/services/T/B/x"
            await SlackNotifier().deliver(parcel(url), at_s=AT_S)

    run(case)
    text = json.loads(got[0]["body"])["text"]
    assert text == (
        "[rollout] rollout 3 of tiny: aborted: &lt;2&gt; of 20 failed &amp; more Bcc: evil@x.org"
    )


def mail_url(port: int, scheme: str = "smtp", user: str = "") -> str:
    return f"{scheme}://{user}hook.test:{port}?from=fleet@x.org&to=ada@x.org,bo@x.org"


def read_mail(got: Got) -> Message:
    return message_from_bytes(got[0]["message"])


def test_a_mail_reaches_its_recipients_and_nobody_else() -> None:
    got: Got = []

    async def case() -> None:
        async with mail_receiver(got) as port:
            await mail_notifier().deliver(parcel(mail_url(port), secret=""), at_s=AT_S)

    run(case)
    message = read_mail(got)
    assert got[0]["to"] == ["ada@x.org", "bo@x.org"]
    assert message["bcc"] is None
    assert message["subject"].startswith("edgewright [rollout] rollout 3 of tiny: aborted")
    assert message["message-id"] == "<f1-history-7@x.org>"


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_mail_goes_encrypted_with_a_password(identity: ssl.SSLContext, scheme: str) -> None:
    got: Got = []
    tried: list[bytes] = []

    def knows(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> Any:
        from aiosmtpd.smtp import AuthResult

        tried.append(data.password)
        return AuthResult(success=data.password == b"pass", handled=False)

    options: dict[str, Any] = {"authenticator": knows, "auth_required": True}
    if scheme == "smtp":
        options |= {"tls_context": identity, "require_starttls": True}

    async def case() -> None:
        async with _mail_with(scheme, identity, got, options) as port:
            url = mail_url(port, scheme, "fleet@")
            notifier = mail_notifier()
            await notifier.deliver(parcel(url, secret="pass", plain=False), at_s=AT_S)
            with pytest.raises(TransportError, match="535"):
                await notifier.deliver(parcel(url, secret="wrong", plain=False), at_s=AT_S)

    run(case)
    assert len(got) == 1
    assert tried[0] == b"pass"
    assert set(tried[1:]) == {b"wrong"}


@asynccontextmanager
async def _mail_with(
    scheme: str, identity: ssl.SSLContext, got: Got, options: dict[str, Any]
) -> AsyncIterator[int]:
    if scheme == "smtp":
        async with mail_receiver(got, **options) as port:
            yield port
        return
    smtp = pytest.importorskip("aiosmtpd.smtp", reason="absent: aiosmtpd (extra oracles)")

    def protocol() -> Any:
        with warnings.catch_warnings():  # it knows TLS by STARTTLS only, and warns of our AUTH
            warnings.simplefilter("ignore")
            return smtp.SMTP(
                _Sink(got, "250 OK"), hostname="sink", auth_require_tls=False, **options
            )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=identity)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def test_no_mail_goes_in_the_clear_to_a_host_that_nobody_named() -> None:
    got: Got = []

    async def case() -> None:
        async with mail_receiver(got) as port:
            with pytest.raises(TransportError):
                await mail_notifier().deliver(
                    parcel(mail_url(port), secret="", plain=False), at_s=AT_S
                )

    run(case)
    assert got == []


@pytest.mark.parametrize(
    ("answer", "error"), [("451 later", TransportError), ("554 never", InputError)]
)
def test_a_mail_servers_answer_says_whether_again_or_never(
    answer: str, error: type[Exception]
) -> None:
    async def case() -> None:
        async with mail_receiver([], answer=answer) as port:
            with pytest.raises(error, match=answer[:3]):
                await mail_notifier().deliver(parcel(mail_url(port), secret=""), at_s=AT_S)

    run(case)


def test_a_broker_gets_the_notice_under_its_kind(tmp_path: Path) -> None:
    notifier = mqtt_notifier()
    import aiomqtt

    async def case(port: int) -> None:
        async with aiomqtt.Client("127.0.0.1", port) as client:
            await client.subscribe("fleet/news/#", qos=1)
            url = f"mqtt://hook.test:{port}/fleet/news"
            await notifier.deliver(parcel(url, secret=""), at_s=AT_S)
            message = await anext(client.messages)
        assert str(message.topic) == "fleet/news/rollout"
        assert json.loads(message.payload)["id"] == NOTICE.id

    with running_mosquitto(tmp_path) as broker:
        run(lambda: case(broker.port))


AWAY: list[tuple[str, Callable[[], Notifier]]] = [
    ("http://hook.test:{}/", WebhookNotifier),
    ("slack+http://hook.test:{}/", SlackNotifier),
    ("smtp://hook.test:{}?from=a@x.org&to=b@x.org", mail_notifier),
    ("mqtt://hook.test:{}/news", mqtt_notifier),
]


@pytest.mark.parametrize(("url", "make"), AWAY, ids=["webhook", "slack", "email", "mqtt"])
def test_a_receiver_that_is_away_is_tried_later(url: str, make: Callable[[], Notifier]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        order = parcel(url.format(taken.getsockname()[1]), secret=SECRET)

        async def case() -> None:
            with pytest.raises(TransportError):
                await make().deliver(order, at_s=AT_S)

        run(case)

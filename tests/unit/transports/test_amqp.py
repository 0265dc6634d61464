"""What is said of a RabbitMQ that refuses us; the rest needs a broker (tests/long)."""

import pytest

aio_pika = pytest.importorskip("aio_pika", reason="absent: aio-pika (extra amqp)")

from edgewright.transports.amqp import parse_host, said_by  # noqa: E402 - needs the extra


def test_a_refusal_is_told_in_words_that_stay_the_same() -> None:
    host = parse_host("amqp://edge@rabbit.example/plant")
    frame = "Expected one of ['Connection.OpenOk'], got <Connection.Close object at 0x7f61>"
    refused = aio_pika.exceptions.AMQPError(frame)
    assert said_by(refused, host) == "it does not open the virtual host 'plant' for 'edge'"
    closed = RuntimeError("<aio_pika.channel.Channel object at 0x7f21> closed")
    assert said_by(closed, host) == "<aio_pika.channel.Channel> closed"
    assert said_by(TimeoutError(), host) == "TimeoutError"

import asyncio

import pytest

aiomqtt = pytest.importorskip("aiomqtt", reason="absent: aiomqtt (extra mqtt)")

from edgewright.errors import InputError  # noqa: E402
from edgewright.transports import mqtt  # noqa: E402


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ("", "empty"),
        ("gym/C++", "holds '+'"),
        ("a#b", "holds '#'"),
        ("a\0b", "holds"),
        ("x" * 70_000, "longer than 65535 bytes"),
    ],
)
def test_a_topic_that_mqtt_cannot_carry_is_the_fault_of_the_message(topic: str, words: str) -> None:
    async def case() -> None:
        client = aiomqtt.Client("127.0.0.1", 1)
        await mqtt.publish_all(client, [("fine", b"x"), (topic, b"x")])

    with pytest.raises(InputError) as caught:
        asyncio.run(case())
    assert words in str(caught.value)

"""What a sensor says, as lines: `python -m edgewright.chain.capture_child FILE SECONDS`.

FILE names the source as a stream file does (`[source]` with `kind = "mqtt"`, "serial", "coap" or
"amqp"). Each message is printed as it came, a JSON object with `tst`, `topic` and `payload`, which
is what `edgewright data import` reads; nothing is converted here. The process ends when the seconds
are over, when the sensor is gone, and with its parent.
"""

import asyncio
import contextlib
import sys
import time
from pathlib import Path
from typing import BinaryIO

import msgspec

from edgewright._fs import read_limited
from edgewright.chain.child import die_with_parent
from edgewright.chain.stream_parts import feed_of
from edgewright.chain.stream_tools import Tools
from edgewright.clock import SystemClock
from edgewright.contract import decode_toml
from edgewright.device.streams import config
from edgewright.device.streams.live import Feed
from edgewright.errors import EdgewrightError, UnavailableError

FILE_LIMIT_BYTES = 64 << 10


class SensorFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which sensor is read."""

    source: config.FeedOrder


def sensor(path: Path) -> Feed:
    """The sensor that a file names.

    Raises:
        InputError: the file is absent, or says what cannot be.
        UnavailableError: the kind of source needs an extra.
    """
    content = read_limited(path, limit_bytes=FILE_LIMIT_BYTES)
    order = decode_toml(content, SensorFile, source=str(path)).source
    if isinstance(order, config.MqttSource):  # a session would take messages from who else has it
        order = msgspec.structs.replace(order, session="")
    try:
        return feed_of(order, Tools(path.parent, clock=SystemClock(), patience_s=0.0))
    except ModuleNotFoundError as error:
        kind = type(order).__struct_config__.tag
        raise UnavailableError(
            f"a source of kind {kind} needs {error.name}, which is not installed here",
            hint=f"pip install 'edgewright[{kind}]'",
        ) from error


async def write_down(feed: Feed, file: BinaryIO, *, seconds: float) -> None:
    """Print what comes until the time is over.

    Raises:
        TransportError: the sensor is gone.
    """
    encoder = msgspec.json.Encoder()
    began_wall_s, began_s = time.time(), time.monotonic()  # a clock that is set makes no hole
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds), contextlib.aclosing(feed.batches()) as batches:
            async for batch in batches:
                tst = began_wall_s + time.monotonic() - began_s
                for message in batch:
                    payload = message.payload.decode(errors="replace")
                    line = {"tst": round(tst, 6), "topic": message.topic, "payload": payload}
                    file.write(encoder.encode(line) + b"\n")
                file.flush()


def main() -> None:
    """Print what the sensor says that the command line names."""
    die_with_parent()
    path, seconds = sys.argv[1:]
    try:
        feed = sensor(Path(path))
        asyncio.run(write_down(feed, sys.stdout.buffer, seconds=float(seconds)))
    except EdgewrightError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()

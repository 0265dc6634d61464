import pytest

from edgewright.errors import InputError
from edgewright.workbench.convert.xxh3 import xxh3_64

PATTERN = bytes(range(256)) * 40


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (241, 0x02E8CD95421C6D02),
        (256, 0x9408A4433B952D71),
        (1023, 0x26A0A01D1C925C06),
        (1024, 0xA870F92984398D22),
        (1025, 0x78C86E91EE939852),
        (2048, 0xDD420471FF96BD00),
        (2049, 0x62DFF343E7DBAC9B),
        (10240, 0xC03D2231AB9348F3),
    ],
)
def test_hash_equals_the_published_implementation(length: int, expected: int) -> None:
    assert xxh3_64(PATTERN[:length]) == expected


def test_short_input_is_refused() -> None:
    with pytest.raises(InputError, match="241 bytes or more"):
        xxh3_64(bytes(240))

import msgspec
import pytest

from edgewright.errors import TrustError
from edgewright.trust.agreement import agreed_target
from edgewright.trust.target import Target

IMAGE = Target(name="har/1.ewb", length_bytes=3, hashes={"sha256": "ab", "sha512": "cd"})


def test_the_directors_words_come_with_the_released_file() -> None:
    director = Target(
        name="har/1.ewb", length_bytes=3, hashes={"sha256": "ab"}, custom=b'{"key": "..."}'
    )
    agreed = agreed_target(image=IMAGE, director=director)
    assert agreed == msgspec.structs.replace(IMAGE, custom=director.custom)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "har/2.ewb"}, "name: released har/1.ewb, ordered har/2.ewb"),
        ({"length_bytes": 4}, "length_bytes: released 3, ordered 4"),
        ({"hashes": {"sha256": "ff", "sha512": "cd"}}, "orders another.*sha256"),
        ({"hashes": {"sha384": "ab"}}, "no hash in common"),
        ({"hashes": {}}, "no hash in common"),
    ],
)
def test_a_director_that_orders_something_else_is_refused(
    change: dict[str, object], reason: str
) -> None:
    with pytest.raises(TrustError, match=reason):
        agreed_target(image=IMAGE, director=msgspec.structs.replace(IMAGE, **change))

import numpy as np
import pytest

from edgewright.device.streams.reading import Reading, reader_of
from edgewright.errors import InputError

UNITS = {"ax": "g", "wz": "rad/s"}


def read(payload: str, **fields: object) -> tuple[list[float], list[list[float]]]:
    reader = reader_of(Reading(**fields), UNITS)  # type: ignore[arg-type]  # fields of each case
    samples = reader.read(payload, arrived_s=100.0)
    return samples.time_s.round(9).tolist(), samples.values.round(6).tolist()


@pytest.mark.parametrize(
    ("payload", "fields", "expected"),
    [
        ('{"ax": 1, "wz": 2, "other": 9}', {}, ([100.0], [[1, 2]])),
        ("0.5\t-2", {"columns": {"ax": "0", "wz": "1"}}, ([100.0], [[0.5, -2]])),
        (
            '{"acc": {"x": 9.80665}, "gyro": 180, "t": 2500}',
            {
                "columns": {"ax": "acc.x", "wz": "gyro"},
                "units": {"ax": "m/s2", "wz": "deg/s"},
                "time": "t",
                "time_unit": "ms",
            },
            ([2.5], [[1, 3.141593]]),
        ),
        (
            "[[1, 2], [3, 4], [5, 6]]",
            {"columns": {"ax": "0", "wz": "1"}, "rate_hz": 10.0},
            ([99.8, 99.9, 100.0], [[1, 2], [3, 4], [5, 6]]),
        ),
    ],
)
def test_messages_become_samples_in_the_models_units(
    payload: str, fields: dict[str, object], expected: object
) -> None:
    assert read(payload, **fields) == expected


def test_an_empty_cell_was_not_measured() -> None:
    _, values = read('{"ax": null, "wz": 1}')
    assert np.isnan(values[0][0])


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ('{"ax": 1}', "no column 'wz'"),
        ('{"ax": "fast", "wz": 1}', "column 'ax' holds 'fast'"),
        ('{"ax": true, "wz": 1}', "column 'ax' holds 'True'"),
        ('[{"ax": 1, "wz": 1}, {"ax": 1, "wz": 1}]', "nobody says when each was taken"),
        ("{", "no column 'ax'"),
    ],
)
def test_a_message_that_is_no_sample_is_refused(payload: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(payload)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"columns": {"az": "z"}}, "no channel 'az'; did you mean"),
        ({"units": {"ax": "deg/s"}}, "sent in 'deg/s', the model takes 'g'"),
        ({"units": {"ax": "furlong"}}, "unit 'furlong' is not known"),
    ],
)
def test_a_reading_that_does_not_fit_the_model_is_refused(
    fields: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        read("{}", **fields)

import math

from edgewright.device.streams.base import Result
from edgewright.device.streams.line_protocol import line_of


def test_signs_with_a_meaning_are_escaped() -> None:
    result = Result(
        model="a b,c=d", key="x\\y", start_s=0.0, end_s=1.0, label='say "hi"', state="two\nlines"
    )
    assert line_of(result) == (
        b"edgewright,model=a\\ b\\,c\\=d,key=x\\\\y "
        b'label="say \\"hi\\"",state="two\\nlines",changed=false 1000000000'
    )


def test_outputs_are_fields_and_what_is_no_number_is_left_out() -> None:
    outputs = {"speed": [1.5], "pose": [0.0, math.nan, 2], "flag": True, "grid": [[1]]}
    line = line_of(Result(model="m", start_s=0.0, end_s=1e-9, outputs=outputs, refused="no"))
    assert (
        line == b'edgewright,model=m refused="no",changed=false,speed=1.5,pose_0=0.0,pose_2=2.0 1'
    )

r"""Results as InfluxDB line protocol, which time-series databases take (InfluxDB, VictoriaMetrics,
QuestDB, Telegraf). Pure.

    >>> result = Result(model="har", key="ann", start_s=1.0, end_s=2.5, label="walk", score=0.75)
    >>> line_of(result)
    b'edgewright,model=har,key=ann label="walk",score=0.75,changed=false 2500000000'
"""

import math

from edgewright.device.streams.base import Result

MEASUREMENT = "edgewright"
_NANOSECONDS = 1_000_000_000


def line_of(result: Result) -> bytes:
    """One result at the time of its last sample; numbers of the outputs are fields by name."""
    tags = [MEASUREMENT, f"model={_tag(result.model)}"]
    if result.key:
        tags.append(f"key={_tag(result.key)}")
    fields = {}
    if result.label:
        fields["label"] = _text(result.label)
    if result.state:
        fields["state"] = _text(result.state)
    if result.score is not None:
        fields["score"] = repr(result.score)
    if result.refused:
        fields["refused"] = _text(result.refused)
    fields["changed"] = str(result.changed).lower()
    fields |= dict(_numbers(result.outputs))
    pairs = ",".join(f"{_tag(name)}={value}" for name, value in fields.items())
    return f"{','.join(tags)} {pairs} {round(result.end_s * _NANOSECONDS)}".encode()


def _numbers(outputs: dict[str, object]) -> list[tuple[str, str]]:
    """Scalars by name, lists by name and place."""
    found: list[tuple[str, str]] = []
    for name, value in outputs.items():
        values = value if isinstance(value, list) else [value]
        names = [name] if len(values) == 1 else [f"{name}_{at}" for at in range(len(values))]
        for each_name, each in zip(names, values, strict=True):
            is_number = isinstance(each, int | float) and not isinstance(each, bool)
            if is_number and math.isfinite(float(each)):
                found.append((each_name, repr(float(each))))
    return found


def _tag(text: str) -> str:
    for sign in ("\\", ",", "=", " "):
        text = text.replace(sign, "\\" + sign)
    return text.replace("\n", "\\n")


def _text(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'

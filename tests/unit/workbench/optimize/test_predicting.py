import math
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from edgewright.errors import InputError, UnavailableError
from edgewright.evidence import Interval
from edgewright.measure import describe_machine
from edgewright.runtimes.onnxruntime import OnnxRuntime
from edgewright.workbench.optimize.made_up import made_up_networks, yardstick
from edgewright.workbench.optimize.measuring import (
    Bench,
    calibrate,
    check,
    keep_measurements,
    left_out_here,
    measure,
    of_this_machine,
    read_measurements,
)
from edgewright.workbench.optimize.predicting import EDITION, Measured, Work, predict, prices
from edgewright.workbench.optimize.recommending import HERE, Needs, advise_here
from edgewright.workbench.optimize.work import work_of


def seen(rng: np.random.Generator, name: str, *, spread: float) -> Measured:
    """A model whose time and memory follow the work, up to a factor drawn around 1."""
    work = Work(
        over_time=int(10 ** rng.uniform(4, 7)),
        matrix=int(10 ** rng.uniform(3, 6)),
        launches=int(rng.integers(2, 20)),
        file_bytes=int(10 ** rng.uniform(4, 7)),
    )
    ratio = 0.2 + 1e-6 * work.over_time + 2e-6 * work.matrix + 0.01 * work.launches
    return Measured(
        name=name,
        machine="m",
        engine="e",
        precision="fp32",
        work=work,
        ratio=ratio * math.exp(rng.normal(0, spread)),
        yardstick_ms=0.5,
        peak_bytes=round((60e6 + 1.5 * work.file_bytes) * math.exp(rng.normal(0, spread / 5))),
    )


def holds(interval: Interval, value: float) -> bool:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low <= value <= interval.high


@pytest.mark.long
def test_nine_of_ten_new_models_fall_into_the_interval() -> None:
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(6):
        known = [seen(rng, str(at), spread=0.1) for at in range(30)]
        for new in (seen(rng, "new", spread=0.1) for _ in range(12)):
            told = predict(new.work, known)
            inside.append(holds(told.latency_ms, new.ratio * new.yardstick_ms))
            assert told.latency_ms.high is not None
            assert told.latency_ms.low is not None
            assert told.latency_ms.high / told.latency_ms.low < 1.8
    assert np.mean(inside) > 0.84


def test_exact_measurements_give_exact_predictions() -> None:
    rng = np.random.default_rng(1)
    known = [seen(rng, str(at), spread=0.0) for at in range(20)]
    new = seen(rng, "new", spread=0.0)

    told = predict(new.work, known)

    assert told.latency_ms.value == pytest.approx(new.ratio * 0.5, rel=0.02)
    assert told.memory_mb is not None
    assert told.memory_mb.value == pytest.approx(new.peak_bytes / 2**20, rel=0.02)


def test_few_measurements_are_not_enough() -> None:
    rng = np.random.default_rng(2)
    with pytest.raises(UnavailableError, match="targets calibrate"):
        predict(Work(launches=3), [seen(rng, str(at), spread=0.1) for at in range(11)])


def test_no_price_is_negative() -> None:
    rng = np.random.default_rng(3)
    table = rng.uniform(0, 1, (30, 5))
    found = prices(table, table @ np.array([1.0, 0.0, 2.0, 0.0, 0.5]) + rng.uniform(0, 0.3, 30))
    assert (found >= 0).all()


_OTHERS = ("attention", "statistics")


def test_what_a_graph_asks_is_counted_by_kind(conv_net: onnx.ModelProto) -> None:
    work = work_of(conv_net, file_bytes=7)

    assert work.over_time == 32 * 16 * 6 * 5 + 32 * 16 * 16 * 3
    assert (work.time_convolutions, work.area_convolutions) == (2, 0)
    assert work.matrix == 16 * 4
    assert (work.nodes, work.file_bytes) == (7, 7)
    assert work.unrolled == 32 * (6 * 5 + 16 * 3)


def test_what_is_done_in_the_pass_of_a_layer_costs_nothing_of_its_own(
    conv_net: onnx.ModelProto,
) -> None:
    alone = work_of(conv_net)
    conv_net.graph.output.append(
        onnx.helper.make_tensor_value_info("c1", onnx.TensorProto.FLOAT, None)
    )
    conv_net.graph.node.append(onnx.helper.make_node("Abs", ["c1"], ["more"]))
    read_twice = work_of(conv_net)

    assert alone.launches == 3
    assert alone.activations == 0
    assert read_twice.launches == alone.launches + 2


def test_every_kind_of_work_is_in_two_families_at_least() -> None:
    """Else leaving a family out of the fit would ask for the price of what nobody sold."""
    families: dict[str, set[str]] = {}
    for name, network in made_up_networks().items():
        for kind, amount in msgspec.to_builtins(work_of(network)).items():
            if amount:
                families.setdefault(kind, set()).add(name.rpartition(" ")[0])

    assert set(families) == set(Work.__struct_fields__) - {"file_bytes"}
    assert {kind for kind, where in families.items() if len(where) < 2} == set()


def test_a_prediction_follows_the_yardstick_of_the_moment() -> None:
    rng = np.random.default_rng(7)
    known = [seen(rng, str(at), spread=0.1) for at in range(20)]

    then, now = (predict(known[0].work, known, yardstick_ms=ms) for ms in (None, 1.0))

    assert now.latency_ms.value == pytest.approx(2 * then.latency_ms.value)


def test_products_and_what_only_moves_are_counted_apart() -> None:
    networks = made_up_networks()
    attention, statistics = (work_of(networks[f"made-up {name} 0"]) for name in _OTHERS)
    dense = work_of(networks["made-up dense 0"])

    assert dense.products == dense.functions == dense.rearranged == 0
    assert attention.products > 10 * attention.matrix
    assert min(attention.functions, attention.rearranged) > 0
    assert statistics.rearranged > statistics.functions > 0


def test_made_up_networks_are_the_same_every_time_and_real() -> None:
    first, again = made_up_networks(), made_up_networks()

    assert len(first) == 96
    assert all(first[name].SerializeToString() == again[name].SerializeToString() for name in first)
    for model in first.values():
        onnx.checker.check_model(model)
    assert len({work_of(model) for model in first.values()}) == 96


def test_measurements_are_kept_one_for_each_model(tmp_path: Path) -> None:
    path = tmp_path / "measurements.jsonl"
    rng = np.random.default_rng(4)
    first, second = seen(rng, "a", spread=0.1), seen(rng, "b", spread=0.1)
    newer = msgspec.structs.replace(first, ratio=9.0)

    keep_measurements(path, [first, second])
    keep_measurements(path, [newer])

    assert {one.name: one.ratio for one in read_measurements(path)} == {
        "a": 9.0,
        "b": second.ratio,
    }
    assert of_this_machine(read_measurements(path), "e") == []
    path.write_text('{"name": 3}\n')
    with pytest.raises(InputError, match="calibrate again"):
        read_measurements(path)


def test_measurements_of_an_earlier_edition_are_left_out_and_said_so(tmp_path: Path) -> None:
    path = tmp_path / "measurements.jsonl"
    here = describe_machine().cpu
    rng = np.random.default_rng(5)
    kept = [
        msgspec.structs.replace(seen(rng, str(at), spread=0.1), machine=here, edition=edition)
        for at, edition in enumerate([EDITION] * 11 + [EDITION - 1] * 4)
    ]
    keep_measurements(path, kept)
    measured = read_measurements(path)

    assert of_this_machine(measured, "e") == kept[:11]
    assert left_out_here(measured, "e") == 4
    with pytest.raises(UnavailableError, match="4 of an earlier edition are left out"):
        predict(Work(launches=3), of_this_machine(measured, "e"), left_out=4)


def test_a_line_without_an_edition_is_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "measurements.jsonl"
    line = msgspec.to_builtins(seen(np.random.default_rng(6), "old", spread=0.1))
    del line["edition"]
    path.write_bytes(msgspec.json.encode(line) + b"\n")

    (old,) = read_measurements(path)
    assert old.edition == 1
    assert old.edition < EDITION


def test_a_network_is_measured_as_a_multiple_of_the_yardstick() -> None:
    bench = Bench(runtime=OnnxRuntime())
    (found,) = measure({"itself": yardstick()}, bench)

    assert found.edition == EDITION
    assert found.engine == "onnxruntime"
    assert 0.5 < found.ratio < 2.0
    assert found.yardstick_ms > 0


@pytest.mark.long
def test_a_prediction_is_checked_by_measuring(conv_net: onnx.ModelProto, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(conv_net, path)
    bench = Bench(runtime=OnnxRuntime())

    checked, kept = check(path, calibrate(bench), bench)

    assert kept.name == "net.onnx"
    assert checked.latency_held == holds(checked.prediction.latency_ms, checked.latency_ms)
    assert checked.memory_mb is None


def test_this_machine_is_judged_like_a_target() -> None:
    rng = np.random.default_rng(5)
    told = predict(
        Work(over_time=10**7, launches=5), [seen(rng, str(n), spread=0.1) for n in range(20)]
    )

    slow = advise_here(told, Needs(p95_ms=1.0))
    fine = advise_here(told, Needs(p95_ms=100.0, memory_mb=500.0))

    assert (slow.target, slow.suits, slow.method) == (HERE, False, "predicted")
    assert "1 ms are allowed" in slow.reasons[0]
    assert fine.suits

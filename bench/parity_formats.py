"""Thirty planted faults in ONNX, OpenVINO and LiteRT files, a list fixed before the checker was
changed for it: all caught, the right node named; fifty clean conversions: no alarm.

    make prove SUITE=parity_formats

About four minutes; needs the extras openvino, litert and litert-convert.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import onnx

from _parity_faults import (
    NETS,
    attention_net,
    check_pair,
    inputs_of,
    picture_net,
    plant,
    sensor_net,
)
from _parity_faults_formats import LITERT_FAULTS, ONNX_FAULTS, OPENVINO_FAULTS, FileFault, IrFile
from _results import Recording
from edgewright._npz import encode_npz
from edgewright.chain.engines import engine_for_format
from edgewright.chain.parity import ParityRequest, verify_files
from edgewright.workbench.convert import convert
from edgewright.workbench.convert.lite_file import LiteModel
from edgewright.workbench.verify import ParityReport

NAMED_AT_LEAST = 27
MAKERS = {"sensor": sensor_net, "picture": picture_net, "attention": attention_net}
CLEAN_SEEDS, CLEAN_LITERT = 15, (("sensor", 1), ("sensor", 2), ("picture", 1), ("attention", 1),
                                ("attention", 2))  # fmt: skip

Row = tuple[str, str, str, str, bool]


def main() -> None:
    """Both lists."""
    with tempfile.TemporaryDirectory() as name, Recording("parity_formats") as recording:
        folder = Path(name)
        clean = prepare(folder)
        rows = in_onnx(folder) + in_openvino(folder, clean)
        rows += in_litert(folder, clean, against="litert")
        crossed = in_litert(folder, clean, against="onnx")
        alarms, checked = clean_conversions(folder)
        figures = recording.figures
        figures["faults"] = len(rows)
        figures["caught"] = sum(row[-1] for row in rows)
        figures["node_named"] = sum(row[2] == row[3] for row in rows)
        figures["litert_against_onnx"] = len(crossed)
        figures["litert_against_onnx_caught"] = sum(row[-1] for row in crossed)
        figures["litert_against_onnx_named"] = sum(row[2] == row[3] for row in crossed)
        figures["clean"] = checked
        figures["false_alarms"] = len(alarms)
        recording.raw["faults"] = rows
        recording.raw["litert_against_onnx"] = crossed
        recording.raw["alarms"] = alarms
        print(dict(figures))
    ok = figures["caught"] == figures["faults"] and not alarms
    sys.exit(0 if ok and figures["node_named"] >= NAMED_AT_LEAST else 1)


def prepare(folder: Path) -> Path:
    """The three networks, clean, in every format, and their golden inputs."""
    for net, make in MAKERS.items():
        path = folder / f"{net}.onnx"
        onnx.save(make(), path)
        convert(path, ["openvino", "litert"], folder / "clean", open_engine=engine_for_format)
        (folder / f"{net}.npz").write_bytes(encode_npz(inputs_of(NETS[net]())))
    return folder / "clean"


def in_onnx(folder: Path) -> list[Row]:
    return [
        shown("onnx", fault.name, fault.node, check_pair(*plant(fault), folder))
        for fault in ONNX_FAULTS
    ]


def in_openvino(folder: Path, clean: Path) -> list[Row]:
    rows = []
    for fault in OPENVINO_FAULTS:
        for ending in ("xml", "bin"):
            shutil.copyfile(clean / f"{fault.net}.{ending}", folder / f"faulty.{ending}")
        file = IrFile(folder / "faulty.xml")
        node = fault.edit(file)
        file.save()
        report = compared(folder, fault, folder / f"{fault.net}.onnx", file.path)
        rows.append(shown("openvino", fault.name, node, report))
    return rows


def in_litert(folder: Path, clean: Path, *, against: str) -> list[Row]:
    rows = []
    for fault in LITERT_FAULTS:
        lite = LiteModel((clean / f"{fault.net}.tflite").read_bytes())
        node = fault.edit(lite)
        faulty = folder / "faulty.tflite"
        faulty.write_bytes(lite.content())
        reference = {
            "litert": clean / f"{fault.net}.tflite",
            "onnx": folder / f"{fault.net}.onnx",
        }[against]
        report = compared(folder, fault, reference, faulty)
        rows.append(shown(f"litert against {against}", fault.name, node, report))
    return rows


def compared(folder: Path, fault: FileFault, reference: Path, candidate: Path) -> ParityReport:
    data = folder / f"{fault.net}.npz"
    return verify_files(ParityRequest(reference=reference, candidate=candidate, data=data))


def shown(kind: str, name: str, node: str, report: ParityReport) -> Row:
    found = report.divergence.node if report.divergence else ""
    mark = "" if found == node else f"   <- expected {node}"
    print(
        f"{'caught' if not report.ok else 'MISSED':7} {kind:22} {name:32} {found}{mark}", flush=True
    )
    return kind, name, node, found, not report.ok


def clean_conversions(folder: Path) -> tuple[list[tuple[str, str]], int]:
    """Forty-five OpenVINO files and five LiteRT files of networks with other weights."""
    wanted = [(net, seed, "openvino") for net in MAKERS for seed in range(CLEAN_SEEDS)]
    wanted += [(net, seed, "litert") for net, seed in CLEAN_LITERT]
    alarms = []
    for net, seed, kind in wanted:
        source = folder / f"{net}_{seed}.onnx"
        onnx.save(MAKERS[net](seed), source)
        (made,) = convert(source, [kind], folder / "more", open_engine=engine_for_format)
        data = folder / f"{net}.npz"
        report = verify_files(ParityRequest(reference=source, candidate=Path(made.path), data=data))
        if not report.ok:
            alarms.append((f"{net} {seed} {kind}", report.reasons[0]))
            print(f"ALARM   {net} {seed} {kind}: {report.reasons[0]}")
    return alarms, len(wanted)


if __name__ == "__main__":
    main()

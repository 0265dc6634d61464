import pytest

from edgewright.cli._extras import absence_of


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("onnx", "onnx", "workbench"),
        ("torch.nn", "torch", "workbench"),
        ("google.protobuf", "protobuf", "workbench"),
        ("sqlalchemy", "sqlalchemy", "fleet"),
        ("litestar", "litestar", "fleet"),
        ("PIL", "pillow", "vision"),
    ],
)
def test_an_absent_module_is_told_by_the_extra_that_brings_it(
    module: str, package: str, extra: str
) -> None:
    absence = absence_of(ModuleNotFoundError("x", name=module))
    assert absence.exit_code == 3
    assert package in absence.message
    assert absence.hint == f"pip install 'edgewright[{extra}]'"


@pytest.mark.parametrize("module", ["edgewright.nowhere", "some_typo", None])
def test_a_module_that_no_extra_brings_is_a_defect_not_an_absence(module: str | None) -> None:
    with pytest.raises(ModuleNotFoundError):
        absence_of(ModuleNotFoundError("x", name=module))

import pytest

import setup_plan
from setup_plan import Torch, Way

CPU = Torch("2.13.0+cpu", needs_gpu=False)
GPU = Torch("2.13.0", needs_gpu=True)
PLAIN_FITS = Torch("2.13.0", needs_gpu=False)

UV_DRY_RUN = """\
Resolved 3 packages in 325ms
Would install 3 packages
 + jinja2==3.1.6
 - setuptools==65.5.0
 + torch==2.13.0
 + nvidia-cublas==13.1.1.3
"""


def chosen_way(results: dict[str, Torch | None], *, has_gpu: bool) -> setup_plan.Choice:
    ways = setup_plan.uv_ways(find_links="/wheels", has_gpu=has_gpu)
    return setup_plan.choose(ways, lambda way: results.get(way.name), has_gpu=has_gpu)


def test_ways_stand_in_order() -> None:
    names = [way.name for way in setup_plan.uv_ways(find_links="/wheels", has_gpu=False)]
    assert names == ["find-links", "your configuration", "--torch-backend cpu"]


def test_find_links_is_no_way_when_none_is_configured() -> None:
    names = [way.name for way in setup_plan.uv_ways(find_links="", has_gpu=True)]
    assert names == ["your configuration", "--torch-backend auto"]
    assert setup_plan.pip_ways(find_links="") == ()


def test_wheel_in_find_links_is_taken_first() -> None:
    choice = chosen_way({"find-links": CPU, "your configuration": CPU}, has_gpu=False)
    assert (choice.way, choice.requirement) == ("find-links", "torch==2.13.0+cpu")


@pytest.mark.parametrize("torch", [CPU, PLAIN_FITS])
def test_configuration_is_taken_when_its_build_needs_no_gpu(torch: Torch) -> None:
    choice = chosen_way({"your configuration": torch}, has_gpu=False)
    assert choice.way == "your configuration"
    assert choice.requirement == f"torch=={torch.version}"


def test_configuration_is_taken_when_a_gpu_is_here() -> None:
    assert chosen_way({"your configuration": GPU}, has_gpu=True).way == "your configuration"


def test_backend_of_uv_is_taken_when_configuration_has_a_gpu_build_only() -> None:
    results = {"your configuration": GPU, "--torch-backend cpu": CPU}
    choice = chosen_way(results, has_gpu=False)
    assert choice.install == ("--torch-backend", "cpu")
    assert choice.note == ""


def test_plain_install_says_size_and_reasons() -> None:
    choice = chosen_way({"your configuration": GPU}, has_gpu=False)
    assert choice.way == "plain"
    assert choice.requirement == "torch"
    assert "3 GB" in choice.note
    assert "your configuration: only a GPU build" in choice.note
    assert "\n" not in choice.note


def test_later_ways_are_not_tried_when_one_fits() -> None:
    tried = []

    def trial(way: Way) -> Torch:
        tried.append(way.name)
        return CPU

    ways = setup_plan.uv_ways(find_links="/wheels", has_gpu=False)
    setup_plan.choose(ways, trial, has_gpu=False)
    assert tried == ["find-links"]


def test_dry_run_of_uv_tells_version_and_gpu_need() -> None:
    assert setup_plan.resolved_torch(UV_DRY_RUN) == GPU
    cpu_run = UV_DRY_RUN.replace("+ nvidia", "- nvidia").replace("2.13.0", "2.13.0+cpu")
    assert setup_plan.resolved_torch(cpu_run) == CPU


def test_dry_run_of_pip_tells_version_and_gpu_need() -> None:
    assert setup_plan.resolved_torch("Would install sympy-1.14.0 torch-2.13.0+cpu\n") == CPU
    assert setup_plan.resolved_torch("Would install nvidia-cublas-13.1 torch-2.13.0\n") == GPU


def test_dry_run_without_torch_tells_nothing() -> None:
    assert setup_plan.resolved_torch("Would make no changes\n") is None


def test_asked_extras_come_on_top_of_the_everyday_ones() -> None:
    assert setup_plan.extras_of("mqtt, openvino  dev") == (
        "dev",
        "fleet",
        "mqtt",
        "openvino",
        "workbench",
    )
    assert setup_plan.extras_of("") == ("dev", "fleet", "workbench")


def test_unknown_extras_are_named() -> None:
    assert setup_plan.unknown_extras(["dev", "nope"], ["dev"]) == ("nope",)


def test_fingerprint_changes_with_each_file_and_the_interpreter() -> None:
    base = setup_plan.fingerprint([b"a", b"b"], "3.11")
    assert base == setup_plan.fingerprint([b"a", b"b"], "3.11")
    others = {
        setup_plan.fingerprint([b"ab", b""], "3.11"),
        setup_plan.fingerprint([b"a", b"c"], "3.11"),
        setup_plan.fingerprint([b"a", b"b"], "3.12"),
    }
    assert len(others | {base}) == 4


@pytest.mark.parametrize(
    ("stamp", "done"),
    [
        ({"fingerprint": "x", "extras": ["a", "b"]}, True),
        ({"fingerprint": "x", "extras": ["b"]}, False),
        ({"fingerprint": "y", "extras": ["a", "b"]}, False),
        ({"fingerprint": "x", "extras": None}, False),
        ({}, False),
    ],
)
def test_stamp_covers_same_inputs_and_fewer_extras(stamp: dict[str, object], *, done: bool) -> None:
    assert setup_plan.is_done(stamp, wanted="x", extras=["a"]) is done


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ("error: failed to write\n cause: No space left on device (os error 28)", "disk is full"),
        ("The virtual environment was not created ... ensurepip is not available", "python3-venv"),
        ("cause: error sending request\ncause: dns error", "no package index answered"),
        ("cause: invalid peer certificate: UnknownIssuer\nerror sending request", "`cert`"),
        ("PermissionError: [Errno 13] Permission denied: '.venv'", "fix the owner"),
        ("error: No solution found when resolving dependencies", "Python 3.11 to 3.13"),
        ("something else", "run the command again"),
    ],
)
def test_failure_says_what_to_do(output: str, advice: str) -> None:
    assert advice in setup_plan.meaning(output)

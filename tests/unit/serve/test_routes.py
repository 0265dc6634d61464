import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.device.serve.routes import find_route


@pytest.mark.parametrize(
    ("path", "action", "model", "version"),
    [
        ("/v2", "server_metadata", "", None),
        ("/v2/", "server_metadata", "", None),
        ("/v2/health/live", "live", "", None),
        ("/v2/health/ready", "ready", "", None),
        ("/v2/models/m", "model_metadata", "m", None),
        ("/v2/models/m/ready", "model_ready", "m", None),
        ("/v2/models/m/config", "model_config", "m", None),
        ("/v2/models/m/stats", "model_statistics", "m", None),
        ("/v2/models/m/infer", "infer", "m", None),
        ("/v2/models/m/versions/7", "model_metadata", "m", "7"),
        ("/v2/models/m/versions/7/infer", "infer", "m", "7"),
        ("/v2/models/versions/infer", "infer", "versions", None),
        ("/metrics", "metrics", "", None),
        ("/readyz", "ready", "", None),
    ],
)
def test_path_means_an_action(path: str, action: str, model: str, version: str | None) -> None:
    route = find_route(path)
    assert route is not None
    assert (route.action, route.model, route.version) == (action, model, version)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "*",
        "/v3",
        "/v2/models",
        "/v2/models/",
        "/v2/models//infer",
        "/v2/models/m/nope",
        "/v2/models/m/infer/x",
        "/v2/models/m/versions//infer",
        "/v2/models/m/versions/1/a/b",
    ],
)
def test_other_paths_mean_nothing(path: str) -> None:
    assert find_route(path) is None


@given(st.text(max_size=40).map("/v2/models/".__add__) | st.text(max_size=40))
def test_any_path_means_something_or_nothing(path: str) -> None:
    find_route(path)

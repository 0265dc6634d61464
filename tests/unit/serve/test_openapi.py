import re
from typing import Any

import pytest

from edgewright.device.serve.openapi import describe
from edgewright.device.serve.routes import find_route


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if "$ref" in node else set()
        return own.union(*(references(value) for value in node.values()))
    if isinstance(node, list | tuple):
        return set().union(*(references(value) for value in node))
    return set()


@pytest.mark.parametrize("path", sorted(describe()["paths"]))
def test_every_described_path_is_a_route_for_its_methods(path: str) -> None:
    route = find_route(re.sub(r"{\w+}", "a", path))
    assert route is not None
    assert {method.upper() for method in describe()["paths"][path]} <= set(route.methods)


def test_every_reference_leads_somewhere() -> None:
    document = describe()
    schemas = document["components"]["schemas"]
    found = references(document)
    assert found == {f"#/components/schemas/{name}" for name in schemas}
    assert "#/components/schemas/InferRequest" in found

"""The committed models of the services are those of botocore (G125)."""

from __future__ import annotations

import importlib.util
import inspect
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastiam.aws_data.service_constraints import Constraint, violations
from fastiam.aws_data.service_models import SERVICES, Shape, service, snake
from fastiam.aws_data.service_patterns import compile_pattern
from fastiam.server.protocols.aws.model_calls import arguments
from fastiam.server.protocols.aws.operations import operations
from fastiam.server.protocols.aws.roles_anywhere import RENAMED

TOOL = Path(__file__).parents[4] / "tools/aws_models.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("aws_models", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", SERVICES)
def test_model_is_rebuilt_from_botocore(tool, name):
    """Another release of botocore may differ: that is a finding about the models, and no failure."""
    found = tool.differences(name)
    if tool.stored(name)["botocore"] == tool.botocore.__version__:
        assert found == []
    elif found:
        warnings.warn("\n".join(found), stacklevel=1)


@pytest.mark.parametrize("name", SERVICES)
def test_model_contains_no_prose(tool, name):
    assert "documentation" not in {key for shape in tool.stored(name)["shapes"].values() for key in shape}


@pytest.mark.parametrize("name", SERVICES)
def test_patterns_of_model_compile(name):
    shapes = [shape for shape in service(name).shapes.values() if shape.pattern]
    assert all(shape.compiled is not None for shape in shapes)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "Größe 1_é-٣", True),
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "a&b", False),
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "a\nb", False),
        (r"[\w+=,.@-]+", "é", False),
        (r"[\p{L}\p{M}\p{S}\p{N}\p{P}]+", "a€¡", True),
        (r"[\p{L}\p{M}\p{S}\p{N}\p{P}]+", "a b", False),
        (r"[\p{L}\p{M}\p{S}\p{N}\p{P}\s]+", "a b", True),
        (r"[\p{L}\p{M}\p{S}\p{N}\p{P}]+", "a\x00", False),
        (r"[\p{L}\p{M}\p{S}\p{N}\p{P}]+", "a\ufff9", False),
        (r"[\p{L}\p{M}\p{S}\p{N}\p{P}]+", "a\U000e0041", False),
        (r"[\p{L}\p{M}\p{S}\p{N}\p{P}\s]+", "a\u00a0", False),
        (r"[^_\p{Z}]+", "a b", False),
    ],
)
def test_pattern_of_java_matches_the_same_texts(pattern, text, matches):
    assert (compile_pattern(pattern).fullmatch(text) is not None) == matches


@pytest.mark.parametrize("size", [10, 5_000])
def test_pattern_without_maximum_holds_for_long_texts(size):
    shape = Shape("x", "string", pattern="[a-z]+")
    assert not list(violations(shape, "a" * size))
    assert [each.constraint for each in violations(shape, "a" * size + "!")] == [Constraint.PATTERN]


@pytest.mark.parametrize("name", ["iam", "sts"])
def test_every_served_operation_is_in_the_model(name):
    assert operations(name).keys() <= service(name).operations.keys()


def library_of(world, name: str):
    services = world.protocol.services_of(world.sts)
    return services.identity_pools if name == "cognito-identity" else services.roles_anywhere.objects


@pytest.mark.parametrize(
    ("name", "operation"),
    [("cognito-identity", each) for each in operations("cognito-identity")]
    + [("rolesanywhere", each) for each in operations("rolesanywhere") if each.startswith(("Create", "Update", "Import", "Put"))],
)
def test_library_takes_each_parameter_of_the_model(world, name, operation):
    """They are handed over by name: one that the library does not take would be a failure of the server."""
    method = getattr(library_of(world, name), snake(operation))
    taken = inspect.signature(method).parameters.keys()
    call = SimpleNamespace(parameters=dict.fromkeys(service(name).operations[operation].input.members))
    read = {each: lambda *_: {} for each in RENAMED}
    assert arguments(call, read if name == "rolesanywhere" else {}).keys() <= taken

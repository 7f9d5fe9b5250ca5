"""Errors of the library have codes of AWS, and name nothing that a client must not know (G137)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import fastiam
from fastiam.aws_data.service_models import JSON, QUERY, REST_JSON, service
from fastiam.credentials.sts_errors import AuthenticationError
from fastiam.errors import DirectoryError, StoreError
from fastiam.server.protocols.aws.aws_errors import DIRECTORY, ApiError, api_error, wire_error

DIRECTORY_PACKAGE = Path(fastiam.__file__).parent / "directory"


def rules() -> set[str]:
    """The rules of the errors that the directory raises: `rule=` of an error, and the second argument of `_refuse`."""
    found = {""}
    for path in DIRECTORY_PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                texts = [keyword.value for keyword in node.keywords if keyword.arg == "rule"]
                if getattr(node.func, "attr", "") in ("_refuse", "_check_managed"):
                    texts += node.args
                found |= {text.value for text in texts if isinstance(text, ast.Constant) and is_rule(text.value)}
    return found


def is_rule(text: object) -> bool:
    return isinstance(text, str) and text.replace("-", "").replace(".", "").isalnum() and text.upper() == text


def test_every_rule_of_the_directory_has_a_code():
    assert rules() == DIRECTORY.keys()


def test_codes_of_rules_are_modelled_by_iam():
    errors = service("iam").errors
    assert {code for code in DIRECTORY.values() if code not in errors} == {"ValidationError"}


@pytest.mark.parametrize(
    ("code", "protocol", "status", "name"),
    [
        ("AccessDenied", QUERY, 403, "AccessDenied"),
        ("AccessDenied", JSON, 400, "AccessDeniedException"),
        ("AccessDenied", REST_JSON, 403, "AccessDeniedException"),
        ("InvalidClientTokenId", QUERY, 403, "InvalidClientTokenId"),
        ("InvalidClientTokenId", JSON, 400, "UnrecognizedClientException"),
        ("IncompleteSignature", REST_JSON, 403, "IncompleteSignatureException"),
        ("ValidationError", JSON, 400, "ValidationException"),
        ("NotImplemented", JSON, 501, "NotImplementedException"),
        ("ServiceUnavailable", QUERY, 503, "ServiceUnavailable"),
        ("NoSuchEntity", QUERY, 404, "NoSuchEntity"),
        ("EntityAlreadyExists", QUERY, 409, "EntityAlreadyExists"),
    ],
)
def test_code_has_status_and_name_of_its_protocol(code, protocol, status, name):
    known = service("iam") if protocol == QUERY else None
    assert wire_error(ApiError(code, ""), known, protocol) == (status, name)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreError("`/srv/secret.db` is locked", source="/srv/secret.db", reason="busy"), "ServiceUnavailable"),
        (StoreError("no space in `/srv/secret.db`", source="/srv/secret.db", reason="full"), "ServiceFailure"),
        (KeyError("/srv/secret.db"), "ServiceFailure"),
    ],
)
def test_failure_does_not_name_files(error, code):
    """GC205."""
    found = api_error(error)
    assert found.code == code and "secret" not in found.message


def test_error_of_a_rule_keeps_its_message():
    found = api_error(DirectoryError("`x` still has the member `y`", rule="DIR-IN-USE", hint="remove it first"))
    assert (found.code, found.message) == ("DeleteConflict", "`x` still has the member `y`")


def test_authentication_error_keeps_the_code_of_aws():
    assert api_error(AuthenticationError("no", reason="unknown_key")).code == "InvalidClientTokenId"

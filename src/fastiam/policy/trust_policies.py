"""Problems of trust policies: actions that a provider cannot call (V36), Roles Anywhere (V37, RW52, RW57), issuers with
many customers (S42, IP51)."""

from __future__ import annotations

from fastiam.model.key_registry import fold
from fastiam.model.policy import ConditionEntry, Effect, PolicyKind, PrincipalEntry, Statement
from fastiam.model.source_map import Path
from fastiam.policy.conditions.operators import BASE_OPERATORS
from fastiam.policy.findings import Reading, quote
from fastiam.policy.principal_entries import WEB_PROVIDERS
from fastiam.policy.wildcards import glob

_EXTRA_PERMISSIONS = ("sts:tagsession", "sts:setsourceidentity")
_SAML = frozenset(("sts:assumerolewithsaml", *_EXTRA_PERMISSIONS))
_WEB = frozenset(("sts:assumerolewithwebidentity", *_EXTRA_PERMISSIONS))
_OF_SUBJECT = (
    "vstoken.actions.githubusercontent.com oidc-configuration.audit-log.githubusercontent.com gitlab.com app.terraform.io"
    " agent.buildkite.com oidc.codefresh.io scalr.io studio.datachain.ai/api proidc.upbound.io tokens.cloud.shisho.dev"
)
_OF_AUDIENCE = "cognito-identity.amazonaws.com api.pulumi.com/oidc sandboxes.cloud oidc.vercel.com"
_CLAIMS_OF_SHARED: dict[str, tuple[str, ...]] = {  # IP52: a condition must compare one of these
    "token.actions.githubusercontent.com": ("sub", "job_workflow_ref"),
    **dict.fromkeys(_OF_SUBJECT.split(), ("sub",)),
    **dict.fromkeys(_OF_AUDIENCE.split(), ("aud",)),
    "sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d": ("sts:RoleSessionName",),
}
_CLAIMS_OF_WARNED: dict[str, tuple[str, ...]] = {  # IAM only advises a condition on these
    "oidc.circleci.com": ("sub",),
    "accounts.google.com": ("aud",),
    "www.amazon.com": ("app_id",),
    "graph.facebook.com": ("app_id",),
}
_ROLES_ANYWHERE = PrincipalEntry("Service", "rolesanywhere.amazonaws.com")
_TAGS = ("aws:principaltag/x509", "aws:requesttag/x509")
_ROLES_ANYWHERE_CALLS = ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")


def check_trust(reading: Reading, statements: list[tuple[Path, Statement]]) -> None:
    """Record the problems of a trust policy and of each of its statements."""
    if reading.kind is not PolicyKind.TRUST:
        return
    for path, statement in statements:
        _check_providers(reading, path, statement)
        _check_shared_issuers(reading, path, statement)
    _check_roles_anywhere(reading, statements)


def _check_providers(reading: Reading, path: Path, statement: Statement) -> None:
    """An action that no principal of the statement can call (V36)."""
    kinds = {_calls_of(entry) for entry in statement.principals or ()}
    if statement.actions is None or statement.not_action or None in kinds or not kinds:
        return
    callable_ = frozenset().union(*(calls for calls in kinds if calls))
    for action in statement.actions:
        if action.lower() not in callable_:
            names = " or ".join(quote(entry.value) for entry in statement.principals or ())
            hint = "providers call `sts:AssumeRoleWithSAML` or `sts:AssumeRoleWithWebIdentity`, with `sts:TagSession`"
            reading.add("V36", (*path, "Action"), f"{quote(action)} is not what {names} can call", hint)


def _calls_of(entry: PrincipalEntry) -> frozenset[str] | None:
    """The actions that an identity provider can call; None for any other principal."""
    if entry.type != "Federated":
        return None
    if ":saml-provider/" in entry.value:
        return _SAML
    return _WEB if entry.value in WEB_PROVIDERS or ":oidc-provider/" in entry.value else None


def _check_shared_issuers(reading: Reading, path: Path, statement: Statement) -> None:
    """Without a condition on its claims, all customers of an issuer can assume the role (IP51, S42)."""
    if statement.effect is not Effect.ALLOW or not _names(statement, "sts:AssumeRoleWithWebIdentity"):
        return
    compared = {fold(entry.key) for entry in statement.conditions if _can_fail(entry)}
    for entry in statement.principals or ():
        url = entry.value.rpartition(":oidc-provider/")[2]
        issuer = url.rstrip("/").lower()
        claims = _CLAIMS_OF_SHARED.get(issuer) or _CLAIMS_OF_WARNED.get(issuer)
        if entry.type != "Federated" or claims is None:
            continue
        keys = [claim if ":" in claim else f"{url}:{claim}" for claim in claims]
        if compared.isdisjoint(map(fold, keys)):
            message = f"every token of {quote(url)} is accepted"
            hint = f"compare {' or '.join(map(quote, keys))} with fixed text in a condition"
            reading.add("IP51" if issuer in _CLAIMS_OF_SHARED else "S42", (*path, "Principal"), message, hint)


def _can_fail(entry: ConditionEntry) -> bool:
    """Whether a condition can fail for a token of another customer: it compares, and is false for an absent key (IP51)."""
    operator = BASE_OPERATORS.get(entry.operator)
    if operator is None or not operator.restricts or operator.family != "string":
        return False
    return entry.qualifier != "ForAllValues" and not entry.if_exists and all(value.strip("*?") for value in entry.values)


def _check_roles_anywhere(reading: Reading, statements: list[tuple[Path, Statement]]) -> None:
    """The three calls of Roles Anywhere, which different statements can allow (V37)."""
    trusting = [
        (path, statement)
        for path, statement in statements
        if statement.effect is Effect.ALLOW and _ROLES_ANYWHERE in (statement.principals or ())
    ]
    if not trusting:
        return
    missing = [call for call in _ROLES_ANYWHERE_CALLS if not any(_names(statement, call) for _, statement in trusting)]
    if missing:
        message = f"`{_ROLES_ANYWHERE.value}` needs {' and '.join(map(quote, missing))} too"
        reading.add("V37", trusting[0][0], message, "without all three the call is denied")
    _check_certificates(reading, trusting)
    _check_negated_tags(reading, statements)


def _check_certificates(reading: Reading, trusting: list[tuple[Path, Statement]]) -> None:
    """RW57: without a condition on trust anchor or certificate, every certificate of every anchor of the account is accepted."""
    for path, statement in trusting:
        keys = [fold(entry.key) for entry in statement.conditions]
        if _names(statement, "sts:AssumeRole") and not any(key.startswith(("aws:sourcearn", *_TAGS)) for key in keys):
            message = "every certificate of every trust anchor of the account is accepted"
            hint = "compare `aws:SourceArn` or a tag such as `aws:PrincipalTag/x509Subject/CN` in a condition"
            reading.add("RW57", (*path, "Principal"), message, hint)


def _check_negated_tags(reading: Reading, statements: list[tuple[Path, Statement]]) -> None:
    """RW52: an attribute that cannot be a tag value gives no tag, so that a negated test of it passes."""
    tests = [
        (path, statement, entry)
        for path, statement in statements
        for entry in statement.conditions
        if fold(entry.key).startswith(_TAGS)
    ]
    if tests and all(_passes_without(statement, entry) for _, statement, entry in tests):
        path, _, entry = tests[0]
        message = f"a certificate without {quote(entry.key.partition('/')[2])} passes each test of its attributes"
        hint = "an attribute with characters that tags do not have gives no tag; test one with `StringEquals` in an Allow"
        reading.add("RW52", (*path, "Condition"), message, hint)


def _passes_without(statement: Statement, entry: ConditionEntry) -> bool:
    """Whether a request without the key is not refused by a condition: an Allow that still applies, a Deny that does not."""
    if entry.operator == "Null":
        holds = all(value.lower() == "true" for value in entry.values)
    else:
        holds = entry.if_exists or "Not" in entry.operator or entry.qualifier == "ForAllValues"
    return holds if statement.effect is Effect.ALLOW else not holds


def _names(statement: Statement, call: str) -> bool:
    """Whether the actions of a statement include a call."""
    if statement.actions is None:
        return False
    return any(glob(action).fullmatch(call) for action in statement.actions) is not statement.not_action

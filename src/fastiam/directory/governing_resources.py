"""The governing resources of a request ARN: the resources whose policies apply to it. The table of spec 6.10 (D60 to D62).

The spec calls a governing resource the `holder`. A row is a function for one service: it returns the governing resources in
order, each as a tuple of ARNs. The first ARN of a tuple that has a policy governs ("exact, else H"). A service without a row has
the exact ARN. Resources below a governing resource (objects, versions, paths) share the start of their ARNs; a row returns it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from fastiam.model.arn import Arn, split_arn

ALWAYS, TRUST, SERVICE = "always", "trust", "service"  # `ResourceFacts.governs`


@dataclass(frozen=True, slots=True)
class GoverningResources:
    """The governing resources of a request ARN. Without a group, no resource has a policy for it. The rest: `ResourceFacts`."""

    groups: tuple[tuple[str, ...], ...]
    governs: str = ALWAYS
    start: str = ""


def governing_resources_of(text: str) -> GoverningResources:
    """The governing resources of a request ARN in stored spelling (`stored_arn`)."""
    arn = split_arn(text)
    row = ROWS.get(arn.service) if arn is not None else None
    if arn is None or row is None:
        return GoverningResources(((text,),))
    return row(arn) or GoverningResources(((text,),), start=_start_of_type(arn))


def stored_arn(text: str) -> str:
    """The stored spelling of an ARN that has two spellings: of a log group, of an API (spec 6.10)."""
    arn = split_arn(text)
    if arn is None:
        return text
    if arn.service == "logs" and _LOG_GROUP_ALL.fullmatch(arn.rest):
        return text.removesuffix(":*")
    if arn.service == "execute-api" and "/" not in arn.rest and arn.rest:
        return _api(arn, arn.rest)
    return text


def _at(arn: Arn, rest: str) -> str:
    return str(arn._replace(rest=rest))


def _one(*arns: str, start: str = "") -> GoverningResources:
    return GoverningResources((arns,), start=start)


def _below(arn: Arn, start: str, governing: str) -> GoverningResources:
    """One governing resource of all ARNs with this start."""
    return _one(_at(arn, governing), start=_at(arn, start))


_NONE = GoverningResources(())
_LOG_GROUP = re.compile(r"(log-group:[^:]+)(?::\*|(:log-stream:).*)?", re.DOTALL)
_LOG_GROUP_ALL = re.compile(r"log-group:[^:]+:\*")
_REST_API = re.compile(r"/restapis/([^/]+)(/.*)?", re.DOTALL)


def _s3(arn: Arn) -> GoverningResources | None:
    if arn.region or arn.account:
        point = re.match(r"(accesspoint/[^/]+)/object/", arn.rest)
        return _below(arn, point[0], point[1]) if point else None
    return _one(_at(arn, arn.rest.partition("/")[0]))


def _lambda(arn: Arn) -> GoverningResources | None:
    function = re.match(r"(function:[^:]+):", arn.rest)
    return _one(str(arn), _at(arn, function[1]), start=_at(arn, function[0])) if function else None


def _dynamodb(arn: Arn) -> GoverningResources | None:
    part = re.match(r"(table/[^/]+)/([^/]+)/", arn.rest)
    if part is None:
        return None
    if part[2] in ("index", "export"):
        return _below(arn, part[0], part[1])
    return GoverningResources(() if part[2] in ("backup", "import") else ((str(arn),),), start=_at(arn, part[0]))


def _kms(arn: Arn) -> GoverningResources | None:
    return _NONE if arn.rest.startswith("alias/") else None


def _sns(arn: Arn) -> GoverningResources | None:
    topic, colon, _ = arn.rest.partition(":")
    return _below(arn, topic + colon, topic) if colon else None


def _logs(arn: Arn) -> GoverningResources | None:
    group = _LOG_GROUP.fullmatch(arn.rest)
    if group is None:
        return None
    start = _at(arn, group[1] + group[2]) if group[2] else ""
    return GoverningResources(((_at(arn, group[1]),), (_at(arn, "*"),)), SERVICE, start)


def _kinesis(arn: Arn) -> GoverningResources | None:
    stream = re.match(r"(stream/[^/]+)/consumer/", arn.rest)
    return _one(str(arn), _at(arn, stream[1]), start=_at(arn, stream[0])) if stream else None


def _apigateway(arn: Arn) -> GoverningResources | None:
    api = _REST_API.fullmatch(arn.rest)
    if api is None or arn.account:
        return None
    return _one(_api(arn, api[1]), start=_at(arn, f"/restapis/{api[1]}/") if api[2] else "")


def _execute_api(arn: Arn) -> GoverningResources:
    id_, slash, _ = arn.rest.partition("/")
    return _one(_api(arn, id_), start=_at(arn, id_ + slash) if slash else "")


def _api(arn: Arn, id_: str) -> str:
    return str(Arn(arn.partition, "apigateway", arn.region, "", f"/restapis/{id_}"))


def _es(arn: Arn) -> GoverningResources | None:
    domain = re.match(r"(domain/[^/]+)/", arn.rest)
    return _below(arn, domain[0], domain[1]) if domain else None


def _iam(arn: Arn) -> GoverningResources | None:
    return GoverningResources(((str(arn),),), TRUST) if arn.rest.startswith("role/") else None


def _backup(arn: Arn) -> GoverningResources | None:
    return _NONE if arn.rest.startswith("recovery-point:") else None


def _codeartifact(arn: Arn) -> GoverningResources | None:
    package = re.match(r"package/([^/]+)/([^/]+)/", arn.rest)
    if package:
        repository, domain = f"repository/{package[1]}/{package[2]}", f"domain/{package[1]}"
        return GoverningResources(((_at(arn, repository),), (_at(arn, domain),)), start=_at(arn, package[0]))
    group = re.match(r"package-group/([^/]+)/", arn.rest)
    return _below(arn, group[0], f"domain/{group[1]}") if group else None


def _elasticfilesystem(arn: Arn) -> GoverningResources | None:
    return _NONE if arn.rest.startswith("access-point/") else None


def _acm_pca(arn: Arn) -> GoverningResources | None:
    authority = re.match(r"(certificate-authority/[^/]+)/certificate/", arn.rest)
    return _below(arn, authority[0], authority[1]) if authority else None


def _glue(arn: Arn) -> GoverningResources | None:
    type_, slash, _ = arn.rest.partition("/")
    return _below(arn, type_ + slash, "catalog") if type_ + slash in _TYPES_WITH_RULES["glue"] else None


# The resource types that the row of a service examines further. A resource of another type governs only itself.
_TYPES_WITH_RULES = {
    "lambda": ("function:",),
    "dynamodb": ("table/",),
    "logs": ("log-group:",),
    "kinesis": ("stream/",),
    "apigateway": ("/restapis/",),
    "es": ("domain/",),
    "codeartifact": ("package/", "package-group/"),
    "acm-pca": ("certificate-authority/",),
    "glue": ("database/", "table/", "userDefinedFunction/", "connection/"),
}


def _start_of_type(arn: Arn) -> str:
    """The start of ARNs whose type implies that each resource governs only itself."""
    type_ = re.match("/?[^/:]+[/:]", arn.rest)
    types = _TYPES_WITH_RULES.get(arn.service)
    return "" if type_ is None or types is None or type_[0] in types else _at(arn, type_[0])


ROWS: dict[str, Callable[[Arn], GoverningResources | None]] = {
    "s3": _s3,
    "lambda": _lambda,
    "dynamodb": _dynamodb,
    "kms": _kms,
    "sns": _sns,
    "logs": _logs,
    "kinesis": _kinesis,
    "apigateway": _apigateway,
    "execute-api": _execute_api,
    "es": _es,
    "iam": _iam,
    "backup": _backup,
    "codeartifact": _codeartifact,
    "elasticfilesystem": _elasticfilesystem,
    "acm-pca": _acm_pca,
    "glue": _glue,
}


def is_full_secret(rest: str) -> bool:
    """Whether the last field of a secret's ARN ends like that of a full ARN: in `-` and six characters."""
    return len(rest) > 7 and rest[-7] == "-"


def partial_secret(text: str) -> str | None:
    """The partial ARN of a full secret ARN (`secret:n` of `secret:n-xxxxxx`), None for every other ARN."""
    arn = split_arn(text)
    if arn is None or arn.service != "secretsmanager" or not arn.rest.startswith("secret:"):
        return None
    return text[:-7] if is_full_secret(arn.rest) else None

"""Forms and limits of the parameters of identity pools (5.1). Wrong ones are refused, never dropped (FD3)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from fastiam.cognito.cognito_errors import CognitoError
from fastiam.credentials.secret import Secret
from fastiam.credentials.sts_errors import ValidationError
from fastiam.directory.identity_pool_records import CognitoIdentityProvider, MappingRule, PrincipalTagMap, RoleMapping
from fastiam.directory.principal_refs import parse_principal
from fastiam.errors import RequestValueError
from fastiam.model.arn import split_arn
from fastiam.model.profile import PrincipalKind
from fastiam.model.request import shorten
from fastiam.sts.parameter_limits import read_session_tags

T = TypeVar("T")

AUTHENTICATED, UNAUTHENTICATED = "authenticated", "unauthenticated"
GOOGLE, APPLE, FACEBOOK, AMAZON = "accounts.google.com", "appleid.apple.com", "graph.facebook.com", "www.amazon.com"
OWN = "cognito-identity.amazonaws.com"
SOCIAL = (GOOGLE, APPLE, FACEBOOK, AMAZON)
MAX_LOGINS, MAX_SOCIAL, MAX_MAPPINGS, MAX_RULES, MAX_TAGS, MAX_DELETED, MAX_PAGE = 10, 10, 10, 25, 50, 60, 60
MAX_TOKEN = 86_400  # seconds, of a developer token
TOKEN_SECONDS, DEVELOPER_SECONDS = 600, 900  # by default
MATCH_TYPES = ("Equals", "Contains", "StartsWith", "NotEqual")
RESOLUTIONS = ("AuthenticatedRole", "Deny")
TOKEN, RULES = "Token", "Rules"

_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]")
_ID = re.compile(r"[\w-]{1,18}:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_NAME = re.compile(r"[\w\s+=,.@-]{1,128}")
_DEVELOPER = re.compile(r"[\w._-]{1,128}", re.ASCII)
_APPLICATION = re.compile(r"[\w.;_/-]{1,128}", re.ASCII)
_CLIENT = re.compile(r"\w{1,128}", re.ASCII)
_USER_POOL = re.compile(r"cognito-idp\.([a-z0-9-]+)\.amazonaws\.com/\1_[0-9A-Za-z]{1,55}", re.ASCII)
_RESERVED = frozenset((*SOCIAL, OWN, AUTHENTICATED, UNAUTHENTICATED))
_WORD = re.compile("(?<=[a-z])([A-Z])")
_ACCOUNT = re.compile("[0-9]{12}")


def wrong(message: str, rule: str = "ID66", hint: str = "") -> NoReturn:
    """Refuse a parameter."""
    raise CognitoError(message, rule=rule, hint=hint)


def read_id(text: object) -> str:
    """The id of a pool or identity, `<region>:<uuid>`."""
    if not isinstance(text, str) or _ID.fullmatch(text) is None:
        wrong(f"`{shorten(str(text))}` is not an id of an identity pool or identity", hint="use `<region>:<uuid>`")
    return text


def read_scope(account: object, region: object) -> None:
    """Check the account and region of a new pool."""
    if not isinstance(account, str) or not _ACCOUNT.fullmatch(account):
        wrong(f"`{shorten(str(account))}` is not an account id")
    if not isinstance(region, str) or not _REGION.fullmatch(region):
        wrong(f"`{shorten(str(region))}` is not a region", hint="use a region such as `eu-west-1`")


def read_text(text: object, what: str, longest: int) -> str:
    """A text of 1 to `longest` characters."""
    if not isinstance(text, str) or not 1 <= len(text) <= longest or any("\ud800" <= c <= "\udfff" for c in text):
        wrong(f"the {what} must be text of 1 to {longest:,} characters")
    return text


def read_flag(value: object, name: str) -> bool:
    """True or False; nothing else is taken for one of them."""
    if not isinstance(value, bool):
        wrong(f"`{name}` must be True or False, not `{type(value).__name__}`")
    return value


def read_number(value: object, name: str, lowest: int, highest: int) -> int:
    """An integer of a range."""
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        wrong(f"`{name}` must be an integer of {lowest} to {highest:,}")
    return value


def read_list(values: object, name: str) -> tuple[Any, ...]:
    """A sequence that is not one text."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        wrong(f"`{name}` must be a list")
    return tuple(values)


def read_mapping(values: object, name: str, most: int) -> dict[str, Any]:
    """A mapping with text keys."""
    if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
        wrong(f"`{name}` must be a mapping with text as keys")
    if len(values) > most:
        wrong(f"`{name}` has {len(values)} entries, the limit is {most}")
    return dict(values)


def read_logins(logins: object) -> dict[str, Secret]:
    """`Logins`: provider to token. The tokens do not show in representations."""
    read = {}
    for name, token in read_mapping({} if logins is None else logins, "logins", MAX_LOGINS).items():
        if not isinstance(token, str) or not 1 <= len(token) <= 50_000:
            del token, logins  # not into a traceback
            wrong(f"the login for `{shorten(name)}` must be text of 1 to 50,000 characters")
        read[name] = Secret(token)
    return read


# -- pools ------------------------------------------------------------------------------------------------------------------


def read_pool_name(text: object) -> str:
    """The name of a pool."""
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        wrong(f"`{shorten(str(text))}` is not the name of an identity pool", "ID10", "use 1 to 128 letters, digits, ` +=,.@-_`")
    return text


def read_developer_name(text: object) -> str:
    """The name of a developer provider. The names of other providers and of `amr` values are reserved."""
    if not isinstance(text, str) or not _DEVELOPER.fullmatch(text):
        wrong(f"`{shorten(str(text))}` is not the name of a developer provider", "ID10", "use 1 to 128 of `A-Za-z0-9._-`")
    if text in _RESERVED:
        wrong(f"`{text}` cannot be the name of a developer provider", "ID10")
    return text


def read_login_providers(providers: object) -> dict[str, str]:
    """`SupportedLoginProviders`: name to application ids."""
    read = read_mapping(providers, "supported_login_providers", MAX_SOCIAL)
    for name, application in read.items():
        if name not in SOCIAL:
            wrong(f"`{shorten(name)}` is not a supported login provider", "ID10", f"use {', '.join(SOCIAL)}")
        if not isinstance(application, str) or not _APPLICATION.fullmatch(application):
            wrong(f"the application id of `{name}` has another form", "ID10", "use 1 to 128 of `A-Za-z0-9_.;/-`")
    return read


def read_providers(arns: object, name: str, kind: str, account: str) -> tuple[str, ...]:
    """ARNs of providers of one kind, in the account of the pool."""
    read = read_list(arns, name)
    for arn in read:
        parts = split_arn(arn) if isinstance(arn, str) else None
        if parts is None or parts.service != "iam" or not parts.rest.startswith(f"{kind}/"):
            wrong(f"`{shorten(str(arn))}` is not the ARN of a provider `{kind}`", "ID10")
        if parts.account != account:
            wrong(f"`{shorten(arn)}` is not in account `{account}` of the pool", "ID10")
    return _distinct(read, name)


def read_user_pools(providers: object) -> tuple[CognitoIdentityProvider, ...]:
    """`CognitoIdentityProviders`, each as a record or with the members of the API in snake case."""
    name = "cognito_identity_providers"
    read = [_member(each, CognitoIdentityProvider, name) for each in read_list(providers, name)]
    for each in read:
        if not isinstance(each.provider_name, str) or not _USER_POOL.fullmatch(each.provider_name):
            hint = "use `cognito-idp.<region>.amazonaws.com/<user pool id>`"
            wrong(f"`{shorten(str(each.provider_name))}` is not the provider name of a user pool", "ID10", hint)
        if not isinstance(each.client_id, str) or not _CLIENT.fullmatch(each.client_id):
            wrong(f"`{shorten(str(each.client_id))}` is not the id of an app client", "ID10")
        read_flag(each.server_side_token_check, "server_side_token_check")
    _distinct([(each.provider_name, each.client_id) for each in read], name)
    return tuple(read)


def is_user_pool(provider: str) -> bool:
    """Whether a key of `Logins` has the form of a user pool."""
    return _USER_POOL.fullmatch(provider) is not None


def _distinct(values: Sequence[T], name: str) -> tuple[T, ...]:
    if len(set(values)) != len(values):
        wrong(f"`{name}` has an entry twice", "ID10")
    return tuple(values)


def _members(value: object, name: str) -> dict[str, Any]:
    """The members of a structure by their names in snake case; those of the API are converted."""
    given = read_mapping(value, name, 10)
    members = {_WORD.sub(r"_\1", key).lower() if key[:1].isupper() else key: each for key, each in given.items()}
    if len(members) != len(given):
        wrong(f"an entry of `{name}` has a member twice")
    return members


def _member(value: object, kind: Callable[..., T], name: str) -> T:
    """A structure of a request."""
    if isinstance(value, kind):  # type: ignore[arg-type]
        return value  # type: ignore[return-value]
    try:
        return kind(**_members(value, name))
    except TypeError:
        wrong(f"an entry of `{name}` has an unknown member, or lacks a required one")


def read_tags(tags: object, name: str) -> dict[str, str]:
    """Tags of a pool."""
    read = read_mapping(tags, name, MAX_TAGS)
    try:
        read_session_tags(read, (), {})
    except ValidationError as error:
        wrong(error.message, error.rule, error.hint)
    return read


# -- roles and principal tags -----------------------------------------------------------------------------------------------


def read_role(arn: object) -> str:
    """The ARN of a role, existing or not."""
    try:
        is_role = isinstance(arn, str) and 20 <= len(arn) <= 2_048 and parse_principal(arn).kind is PrincipalKind.ROLE
    except RequestValueError:
        is_role = False
    if not isinstance(arn, str) or not is_role or ":sts:" in arn:
        wrong(f"`{shorten(str(arn))}` is not a role", "5.6", "use `arn:aws:iam::111111111111:role/Name`")
    return arn


def read_roles(roles: object) -> dict[str, str]:
    """`Roles`: of authenticated and of unauthenticated identities."""
    read = read_mapping(roles, "roles", 2)
    for kind, arn in read.items():
        if kind not in (AUTHENTICATED, UNAUTHENTICATED):
            wrong(f"`{shorten(kind)}` is not a kind of identity", "5.6", f"use `{AUTHENTICATED}` or `{UNAUTHENTICATED}`")
        read_role(arn)
    return read


def read_mappings(mappings: object, user_pools: Sequence[CognitoIdentityProvider]) -> dict[str, RoleMapping]:
    """`RoleMappings`: key of a provider to its mapping. `user_pools` are those of the pool."""
    read = {}
    clients = {f"{each.provider_name}:{each.client_id}" for each in user_pools}
    for provider, given in read_mapping(mappings, "role_mappings", MAX_MAPPINGS).items():
        read_text(provider, "name of a provider", 128)
        mapping = _mapping(given)
        if mapping.type == TOKEN and provider not in clients:
            hint = "use `cognito-idp.<region>.amazonaws.com/<user pool id>:<client id>` of a user pool of this identity pool"
            wrong(f"`{shorten(provider)}` cannot choose roles by its tokens", "5.6", hint)
        read[provider] = mapping
    return read


def _mapping(given: object) -> RoleMapping:
    if isinstance(given, RoleMapping):
        type_, resolution, rules = given.type, given.ambiguous_role_resolution, given.rules
    else:
        members = _members(given, "role_mappings")
        type_, resolution = members.pop("type", None), members.pop("ambiguous_role_resolution", None)
        configuration = members.pop("rules_configuration", None)
        rules = () if configuration is None else _members(configuration, "rules_configuration").get("rules", ())
        if members:
            wrong(f"a role mapping has no member `{shorten(min(members))}`", "5.6")
    if type_ not in (TOKEN, RULES):
        wrong(f"`{shorten(str(type_))}` is not a type of role mapping", "5.6", f"use `{TOKEN}` or `{RULES}`")
    if resolution not in RESOLUTIONS:
        wrong("a role mapping needs `ambiguous_role_resolution`", "5.6", f"use {' or '.join(RESOLUTIONS)}")
    read = tuple(map(_rule, read_list(rules, "rules")))
    if bool(read) != (type_ == RULES) or len(read) > MAX_RULES:
        wrong(f"a mapping of type `{RULES}` has 1 to {MAX_RULES} rules, one of type `{TOKEN}` none", "ID52")
    return RoleMapping(type_, resolution, read)


def _rule(given: object) -> MappingRule:
    rule = _member(given, MappingRule, "rules")
    claim = read_text(rule.claim, "claim of a rule", 64)
    if any(unicodedata.category(c)[0] not in "LMSNP" for c in claim):
        wrong(f"`{shorten(claim)}` is not the name of a claim", "ID52")
    read_text(rule.value, "value of a rule", 128)
    if rule.match_type not in MATCH_TYPES:
        wrong(f"`{shorten(str(rule.match_type))}` is not a match type", "ID52", f"use {', '.join(MATCH_TYPES)}")
    read_role(rule.role_arn)
    return rule


def read_tag_map(use_defaults: object, principal_tags: object) -> PrincipalTagMap:
    """The principal tags of a provider."""
    defaults = read_flag(use_defaults, "use_defaults")
    tags = read_mapping(principal_tags, "principal_tags", MAX_TAGS)
    if defaults and tags:
        wrong("principal tags are the defaults or those given, not both", "ID60", "leave one of them out")
    for claim in tags.values():
        read_text(claim, "claim of a principal tag", 256)
    read_tags(dict.fromkeys(tags, ""), "principal_tags")
    return PrincipalTagMap(defaults, tags)

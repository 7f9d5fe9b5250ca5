"""The registry of condition keys (spec section 5): type, cardinality and who sets them.

Names are folded (`fold`). A key that is not here is single-valued unless its caller passes a list (C5).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class KeyType(StrEnum):
    """The type that AWS documents for a key; it never changes how an operator compares (C24)."""

    STRING = "String"
    ARN = "ARN"
    BOOL = "Bool"
    DATE = "Date"
    NUMERIC = "Numeric"
    IP = "IPAddress"


class SetBy(StrEnum):
    """Who sets a key (K1 to K3): the engine, the request, or the session when it was issued."""

    DERIVED = "D"
    REQUEST = "R"
    SESSION = "S"


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What is known of a condition key. `sensitive` keys take no wildcards in policy values (K10)."""

    name: str
    type: KeyType
    multi: bool
    set_by: SetBy
    sensitive: bool = False


def fold_char(char: str) -> str:
    """Simple case folding of one character: always one character again (spec 4.2, O14)."""
    folded = char.casefold()
    if len(folded) == 1:
        return folded
    lowered = char.lower()
    return lowered if len(lowered) == 1 else char


def fold(text: str) -> str:
    """Simple per-character case folding, no locale, length-preserving."""
    return text.lower() if text.isascii() else "".join(map(fold_char, text))


_S, _A, _B, _D, _N, _I = KeyType.STRING, KeyType.ARN, KeyType.BOOL, KeyType.DATE, KeyType.NUMERIC, KeyType.IP

# (names, type, multi, set by); spec 5.2 to 5.5 and 7.7
_TABLE: tuple[tuple[str, KeyType, bool, SetBy], ...] = (
    ("aws:PrincipalArn", _A, False, SetBy.DERIVED),
    (
        "aws:PrincipalAccount aws:PrincipalType aws:userid aws:username aws:PrincipalOrgID aws:PrincipalOrgMasterAccountId"
        " aws:PrincipalServiceName",
        _S,
        False,
        SetBy.DERIVED,
    ),
    ("aws:PrincipalOrgPaths aws:PrincipalServiceNamesList", _S, True, SetBy.DERIVED),
    ("aws:PrincipalIsAWSService", _B, False, SetBy.DERIVED),
    ("aws:TokenIssueTime", _D, False, SetBy.SESSION),
    ("aws:MultiFactorAuthPresent aws:AssumedRoot", _B, False, SetBy.SESSION),
    ("aws:MultiFactorAuthAge", _N, False, SetBy.SESSION),
    ("aws:SourceIdentity aws:FederatedProvider aws:Ec2InstanceSourceVpc", _S, False, SetBy.SESSION),
    ("aws:SignInSessionArn aws:ChatbotSourceArn", _A, False, SetBy.SESSION),
    ("aws:Ec2InstanceSourcePrivateIPv4", _I, False, SetBy.SESSION),
    ("ec2:RoleDelivery", _N, False, SetBy.SESSION),
    (
        "ec2:SourceInstanceArn lambda:SourceFunctionArn ssm:SourceInstanceArn codebuild:BuildArn codebuild:ProjectArn",
        _A,
        False,
        SetBy.SESSION,
    ),
    ("glue:RoleAssumedBy glue:CredentialIssuingService identitystore:UserId", _S, False, SetBy.SESSION),
    ("aws:SourceIp aws:VpcSourceIp", _I, False, SetBy.REQUEST),
    ("aws:SourceVpc aws:SourceVpce aws:RequestedRegion aws:UserAgent aws:referer", _S, False, SetBy.REQUEST),
    ("aws:SourceVpcArn aws:SourceArn", _A, False, SetBy.REQUEST),
    ("aws:SourceAccount aws:SourceOwner", _S, False, SetBy.REQUEST),
    ("aws:VpceAccount aws:VpceOrgID aws:ResourceAccount aws:ResourceOrgID aws:SourceOrgID", _S, False, SetBy.DERIVED),
    ("aws:VpceOrgPaths aws:ResourceOrgPaths aws:SourceOrgPaths aws:TagKeys", _S, True, SetBy.DERIVED),
    ("aws:CurrentTime aws:EpochTime", _D, False, SetBy.DERIVED),
    ("aws:SecureTransport", _B, False, SetBy.REQUEST),
    ("aws:ViaAWSService", _B, False, SetBy.DERIVED),
    ("aws:CalledVia", _S, True, SetBy.REQUEST),
    ("aws:CalledViaFirst aws:CalledViaLast", _S, False, SetBy.DERIVED),
    ("aws:ViaAWSMCPService aws:IsMcpServiceAction", _B, False, SetBy.REQUEST),
    ("aws:CalledViaAWSMCP", _S, False, SetBy.REQUEST),
    ("sts:ExternalId sts:RoleSessionName sts:SourceIdentity sts:AWSServiceName", _S, False, SetBy.REQUEST),
    ("sts:TransitiveTagKeys", _S, True, SetBy.REQUEST),
    ("sts:DurationSeconds", _N, False, SetBy.REQUEST),
    ("iam:PassedToService iam:AWSServiceName iam:OrganizationsPolicyId", _S, False, SetBy.REQUEST),
    ("iam:AssociatedResourceArn iam:PermissionsBoundary iam:PolicyARN", _A, False, SetBy.REQUEST),
    ("accounts.google.com:aud accounts.google.com:sub cognito-identity.amazonaws.com:aud", _S, False, SetBy.SESSION),
    ("cognito-identity.amazonaws.com:sub graph.facebook.com:id", _S, False, SetBy.SESSION),
    ("cognito-identity.amazonaws.com:amr", _S, True, SetBy.SESSION),
    ("accounts.google.com:oaud graph.facebook.com:app_id", _S, False, SetBy.REQUEST),
    ("www.amazon.com:app_id www.amazon.com:user_id", _S, False, SetBy.REQUEST),
    ("saml:aud saml:iss saml:doc", _S, False, SetBy.REQUEST),
    ("saml:namequalifier saml:sub saml:sub_type", _S, False, SetBy.SESSION),
    (
        " ".join(
            f"saml:{name}"
            for name in (
                "cn commonName edupersonaffiliation edupersonassurance edupersonentitlement edupersonnickname edupersonorgunitdn"
                " edupersonscopedaffiliation edupersontargetedid eduorghomepageuri eduorgidentityauthnpolicyuri eduorglegalname"
                " eduorgsuperioruri eduorgwhitepagesuri givenName mail name organizationStatus primaryGroupSID surname uid"
                " x500UniqueIdentifier"
            ).split()
        ),
        _S,
        True,
        SetBy.REQUEST,
    ),
    ("saml:edupersonorgdn saml:edupersonprimaryaffiliation", _S, False, SetBy.REQUEST),
    ("saml:edupersonprimaryorgunitdn saml:edupersonprincipalname", _S, False, SetBy.REQUEST),
)

_SENSITIVE = frozenset(
    fold(name)
    for name in (
        "aws:PrincipalAccount aws:PrincipalOrgID aws:ResourceAccount aws:ResourceOrgID aws:SourceAccount aws:SourceOrgID"
        " aws:SourceVpc aws:SourceVpce aws:VpceAccount aws:VpceOrgID"
    ).split()
)

KEYS: dict[str, KeyInfo] = {
    fold(name): KeyInfo(name, type_, multi, set_by, fold(name) in _SENSITIVE)
    for names, type_, multi, set_by in _TABLE
    for name in names.split()
}

# Keys with a free part after the slash: one key per tag (K4), or per context entry.
PREFIXES: dict[str, KeyInfo] = {
    "aws:principaltag/": KeyInfo("aws:PrincipalTag/", _S, False, SetBy.DERIVED),
    "aws:resourcetag/": KeyInfo("aws:ResourceTag/", _S, False, SetBy.REQUEST),
    "aws:requesttag/": KeyInfo("aws:RequestTag/", _S, False, SetBy.REQUEST),
    "iam:resourcetag/": KeyInfo("iam:ResourceTag/", _S, False, SetBy.REQUEST),
    "aws:originidentity/": KeyInfo("aws:OriginIdentity/", _S, False, SetBy.SESSION),
    "aws:transactioncontext/": KeyInfo("aws:TransactionContext/", _S, False, SetBy.SESSION),
}


def key_info(folded: str) -> KeyInfo | None:
    """What the registry knows of a folded key name, or None."""
    found = KEYS.get(folded)
    if found is not None:
        return found
    slash = folded.find("/")
    if slash > 0 and slash + 1 < len(folded):
        found = PREFIXES.get(folded[: slash + 1])
        if found is not None:
            return found
    issuer, _, claim = folded.rpartition(":")
    return _CLAIMS.get(claim) if "." in issuer or claim == "amr" else None


# Claims of web identity providers (spec 5.3, 7.7), whose names alone have a dot. Of `aud` the provider says whether it is a list.
_CLAIMS = {
    "amr": KeyInfo("<issuer>:amr", _S, True, SetBy.SESSION),
    "sub": KeyInfo("<issuer>:sub", _S, False, SetBy.SESSION),
    "id": KeyInfo("<issuer>:id", _S, False, SetBy.SESSION),
}


def set_by(folded: str) -> SetBy | None:
    """Who sets a key, by its folded name; None if the registry does not have the key.

    The `aud` claim of a web identity provider is a session key (5.3), of which the registry does not know how many values it has.
    """
    info = key_info(folded)
    if info is not None:
        return info.set_by
    issuer, _, claim = folded.rpartition(":")
    return SetBy.SESSION if claim == "aud" and "." in issuer else None


_written: dict[str, str] = {}  # folded keys that the registry does not have, as policies write them; neutral if they differ
_MAX_WRITTEN = 1 << 16  # a server reads policies for months


def note_spelling(key: str) -> None:
    """Record how a policy writes a key, for `spelled`. Decisions never depend on it."""
    folded = fold(key)
    if folded in KEYS:
        return
    known = _written.get(folded)
    if known is None and len(_written) < _MAX_WRITTEN:
        _written[folded] = key
    elif known is not None and known != key:
        _written[folded] = _neutral(folded)


def spelled(folded: str) -> str:
    """A folded key for people: as the registry writes it, else as all policies do that this process read.

    Where they differ, it is folded, except a prefix that the registry has (`aws:RequestTag/`).
    """
    info = KEYS.get(folded)
    return info.name if info is not None else _written.get(folded) or _neutral(folded)


def _neutral(folded: str) -> str:
    slash = folded.find("/") + 1
    prefix = PREFIXES.get(folded[:slash])
    return folded if prefix is None else prefix.name + folded[slash:]

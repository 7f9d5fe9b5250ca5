"""Roles Anywhere: trust anchors, profiles, revocation lists, their tags, and the subjects that have had sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from fastiam.aws_data.service_models import snake
from fastiam.directory.account_records import (
    NotificationSetting,
    RevocationList,
    RolesAnywhereProfile,
    RolesAnywhereRecord,
    TrustAnchor,
)
from fastiam.errors import DirectoryError
from fastiam.model.request import shorten
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.documents import without_nones
from fastiam.server.protocols.aws.model_calls import arguments
from fastiam.server.protocols.aws.operations import NOTHING, Handler, Operation
from fastiam.server.protocols.aws.pages import token_page
from fastiam.sts import signed_calls as p
from fastiam.sts.signed_calls import Permission

if TYPE_CHECKING:
    from fastiam.rolesanywhere import RolesAnywhereObjects, Subject

_ANCHOR, _PROFILE, _CRL, _SUBJECT = "trust-anchor", "profile", "crl", "subject"
_MAX_TAGS = 50
_TABLES = {_ANCHOR: "trust_anchors", _PROFILE: "roles_anywhere_profiles", _CRL: "revocation_lists"}


# -- what a call names ----------------------------------------------------------------------------------------------------


def _objects(call: Call) -> RolesAnywhereObjects:
    return call.services.roles_anywhere.objects


def _place(call: Call) -> str:
    return f"arn:{call.partition}:rolesanywhere:{call.region}:{call.account}:"


def _named(type_: str, parameter: str) -> p.Resource:
    """What a parameter names by its id or ARN."""

    def resource(call: Call) -> str:
        given: str = call.parameters[parameter]
        return given if given.startswith("arn:") else f"{_place(call)}{type_}/{given}"

    return resource


_anchor, _profile, _crl = _named(_ANCHOR, "trustAnchorId"), _named(_PROFILE, "profileId"), _named(_CRL, "crlId")
_subject, _tagged = _named(_SUBJECT, "subjectId"), p.given("resourceArn")


def _own(call: Call, arn: str) -> str:
    """An ARN of the caller's account and of the Region of the call: no other objects exist for it.

    Raises
    ------
    ApiError
        `ResourceNotFoundException`.
    """
    if not arn.startswith(_place(call)):
        raise ApiError("ResourceNotFoundException", f"There is no {shorten(arn)}.")
    return arn


def _record(call: Call, arn: str) -> RolesAnywhereRecord:
    return _objects(call).get(_own(call, arn))


def _records(call: Call, type_: str) -> list[Any]:
    """The objects of a type in the account and Region."""
    table: Mapping[str, RolesAnywhereRecord] = getattr(call.tables, _TABLES[type_])
    return [record for arn, record in table.items() if arn.startswith(_place(call))]


# -- condition keys ---------------------------------------------------------------------------------------------------------


def _tags(call: Call) -> dict[str, str]:
    """The tags that a call sends.

    Raises
    ------
    ApiError
        `ValidationException`: a key is given twice.
    """
    sent = call.parameters.get("tags", ())
    tags = {tag["key"]: tag["value"] for tag in sent}
    if len(tags) < len(sent):
        raise ApiError("ValidationException", "A tag key is given more than once.")
    return tags


def _request_tags(call: Call, _: str) -> Mapping[str, Any]:
    return p.sent_tag_keys(_tags(call), call.parameters.get("tagKeys", ()))


def _stored_tags(call: Call, resource: str) -> Mapping[str, Any]:
    for table in _TABLES.values():
        record = getattr(call.tables, table).get(resource)
        if record is not None:
            return p.stored_tag_keys(record.tags)
    return {}


# -- parameters of the library ------------------------------------------------------------------------------------------------


def _source(_: Call, source: Mapping[str, Any]) -> dict[str, Any]:
    """Certificates and private authority of `source`."""
    data = source.get("sourceData", {})
    kind = {"CERTIFICATE_BUNDLE": "x509CertificateData", "AWS_ACM_PCA": "acmPcaArn"}.get(source.get("sourceType", ""))
    if kind is None or kind not in data:
        raise ApiError("ValidationException", "The source data are not those of the source type.")
    names = {"x509CertificateData": "certificates", "acmPcaArn": "acm_pca_arn"}
    return {names[kind]: data[kind]}


def _settings(_: Call, settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    read = [NotificationSetting(each["event"], each["enabled"], each.get("threshold"), each.get("channel")) for each in settings]
    return {"notification_settings": read}


RENAMED: Final[Mapping[str, Callable[[Call, Any], Mapping[str, Any]]]] = {
    "tags": lambda call, _: {"tags": _tags(call)},
    "source": _source,
    "notificationSettings": _settings,
    "certificateField": lambda _, name: {"field": name},
    "mappingRules": lambda _, rules: {"specifiers": [rule["specifier"] for rule in rules]},
    "crlData": lambda _, data: {"data": data},
    "trustAnchorArn": lambda call, arn: {"trust_anchor": _own(call, arn)},
    "trustAnchorId": lambda *_: {},
    "profileId": lambda *_: {},
    "crlId": lambda *_: {},
}


# -- calls ------------------------------------------------------------------------------------------------------------------


def _run(call: Call, *place: str) -> Result:
    """Run a call by the method of its name. `place` is what it begins with: account and Region, or an ARN."""
    given = arguments(call, RENAMED)
    arns = (_own(call, each) if each.startswith("arn:") else each for each in place)
    return _shown(getattr(_objects(call), snake(call.operation.name))(*arns, **given))


def create(call: Call) -> Result:
    """CreateTrustAnchor and CreateProfile."""
    return _run(call, call.account, call.region)


def import_crl(call: Call) -> Result:
    """ImportCrl, for a trust anchor of the account and Region."""
    return _run(call)


def _changing(resource: p.Resource) -> Handler:
    return lambda call: _run(call, resource(call))


def _listing(member: str, type_: str, render: Callable[[Any], dict[str, Any]]) -> Handler:
    return lambda call: token_page(call, member, _records(call, type_), lambda each: each.arn, render)


# -- tags and subjects ------------------------------------------------------------------------------------------------------


def tag_resource(call: Call) -> Result:
    """TagResource; subjects have no tags here."""
    record, tags = _record(call, _tagged(call)), _tags(call)
    if len({**record.tags, **tags}) > _MAX_TAGS:
        raise ApiError("TooManyTagsException", f"An object has {_MAX_TAGS} tags at most.")
    try:
        call.directory.tag(record.arn, tags)
    except DirectoryError as error:
        raise ApiError("ValidationException", error.message) from None
    return NOTHING


def untag_resource(call: Call) -> Result:
    """UntagResource."""
    call.directory.untag(_record(call, _tagged(call)).arn, call.parameters["tagKeys"])
    return NOTHING


def list_tags_for_resource(call: Call) -> Result:
    """ListTagsForResource."""
    tags = _record(call, _tagged(call)).tags
    return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}


def get_subject(call: Call) -> Result:
    """GetSubject."""
    arn = _own(call, _subject(call))
    for each in _objects(call).subjects(call.account):
        if each.arn == arn:
            return {"subject": _subject_of(each)}
    raise ApiError("ResourceNotFoundException", f"There is no {shorten(arn)}.")


def list_subjects(call: Call) -> Result:
    """ListSubjects."""
    found = [each for each in _objects(call).subjects(call.account) if each.arn.startswith(_place(call))]
    return token_page(call, "subjects", found, lambda each: each.arn, _subject_of)


# -- members of the output shapes -------------------------------------------------------------------------------------------


def _shown(record: RolesAnywhereRecord) -> Result:
    """An object as the member of an answer."""
    match record:
        case TrustAnchor():
            return {"trustAnchor": _anchor_of(record)}
        case RolesAnywhereProfile():
            return {"profile": _profile_of(record)}
        case _:
            return {"crl": _crl_of(record)}


def _id(arn: str) -> str:
    return arn.rpartition("/")[2]


def _common(record: RolesAnywhereRecord) -> dict[str, Any]:
    return {"name": record.name, "enabled": record.enabled, "createdAt": record.created, "updatedAt": record.updated}


def _anchor_of(anchor: TrustAnchor) -> dict[str, Any]:
    is_private = bool(anchor.acm_pca_arn)
    data = {"acmPcaArn": anchor.acm_pca_arn} if is_private else {"x509CertificateData": anchor.certificates}
    settings = [
        {"event": each.event, "enabled": each.enabled, "threshold": each.threshold, "channel": each.channel}
        for each in anchor.notification_settings
    ]
    return _common(anchor) | {
        "trustAnchorId": _id(anchor.arn),
        "trustAnchorArn": anchor.arn,
        "source": {"sourceType": "AWS_ACM_PCA" if is_private else "CERTIFICATE_BUNDLE", "sourceData": data},
        "crlDpRevocationEnabled": False,
        "notificationSettings": settings,
    }


def _profile_of(profile: RolesAnywhereProfile) -> dict[str, Any]:
    mappings = [
        {"certificateField": name, "mappingRules": [{"specifier": rule} for rule in rules]}
        for name, rules in profile.attribute_mappings.items()
    ]
    return _common(profile) | without_nones(
        {
            "profileId": _id(profile.arn),
            "profileArn": profile.arn,
            "requireInstanceProperties": profile.require_instance_properties,
            "sessionPolicy": profile.session_policy or None,
            "roleArns": profile.role_arns,
            "managedPolicyArns": profile.managed_policy_arns,
            "durationSeconds": profile.duration_seconds,
            "acceptRoleSessionName": profile.accept_role_session_name,
            "attributeMappings": mappings,
        }
    )


def _crl_of(crl: RevocationList) -> dict[str, Any]:
    return _common(crl) | {
        "crlId": _id(crl.arn),
        "crlArn": crl.arn,
        "crlData": crl.data.encode(),
        "trustAnchorArn": crl.trust_anchor,
    }


def _subject_of(subject: Subject) -> dict[str, Any]:
    credentials = [
        {
            "seenAt": each.seen,
            "serialNumber": each.serial,
            "issuer": each.issuer,
            "enabled": True,
            "x509CertificateData": each.certificate,
            "failed": each.failed,
        }
        for each in subject.credentials
    ]
    properties = [
        {"seenAt": each.seen, "properties": each.properties, "failed": each.failed} for each in subject.instance_properties
    ]
    return {
        "subjectArn": subject.arn,
        "subjectId": _id(subject.arn),
        "enabled": True,
        "x509Subject": subject.name,
        "lastSeenAt": subject.last_seen,
        "createdAt": subject.created,
        "updatedAt": subject.last_seen,
        "credentials": credentials,
        "instanceProperties": properties,
    }


# -- the table --------------------------------------------------------------------------------------------------------------


def _on(resource: p.Resource) -> tuple[Permission, ...]:
    return (Permission(resource, (_stored_tags,)),)


def _life(type_: str, resource: p.Resource) -> dict[str, Operation]:
    """The operations that all objects have."""

    def acting(verb: str) -> Handler:
        def handler(call: Call) -> Result:
            record = _record(call, resource(call))
            return _shown(record if verb == "get" else getattr(_objects(call), verb)(record.arn))

        return handler

    verbs = ("get", "enable", "disable", "delete")
    return {f"{verb.title()}{type_}": Operation(acting(verb), _on(resource), writes=verb != "get") for verb in verbs}


def _passed(call: Call) -> tuple[str, ...]:
    """The roles that a profile gets: the caller must be allowed to pass each of them to the service."""
    return tuple(cast("list[str]", call.parameters.get("roleArns", ())))


def _create(type_: str) -> tuple[Permission, ...]:
    """The permissions of a call that creates an object, and of its tags (G143, G144)."""

    def made(call: Call) -> str:
        return f"{_place(call)}{type_}/*"

    tag = Permission(made, (_request_tags,), "rolesanywhere:TagResource", only_with="tags")
    return Permission(p.everything, (_request_tags,)), tag


_LIST = (Permission(p.everything),)
_PASS = Permission(_passed, (p.passed_to("rolesanywhere.amazonaws.com"),), action="iam:PassRole")

OPERATIONS = {
    "CreateTrustAnchor": Operation(create, _create(_ANCHOR), writes=True),
    "UpdateTrustAnchor": Operation(_changing(_anchor), _on(_anchor), writes=True),
    "ListTrustAnchors": Operation(_listing("trustAnchors", _ANCHOR, _anchor_of), _LIST),
    **_life("TrustAnchor", _anchor),
    "CreateProfile": Operation(create, (*_create(_PROFILE), _PASS), writes=True),
    "UpdateProfile": Operation(_changing(_profile), (*_on(_profile), _PASS), writes=True),
    "ListProfiles": Operation(_listing("profiles", _PROFILE, _profile_of), _LIST),
    **_life("Profile", _profile),
    "PutAttributeMapping": Operation(_changing(_profile), _on(_profile), writes=True),
    "DeleteAttributeMapping": Operation(_changing(_profile), _on(_profile), writes=True),
    "ImportCrl": Operation(import_crl, _create(_CRL), writes=True),
    "UpdateCrl": Operation(_changing(_crl), _on(_crl), writes=True),
    "ListCrls": Operation(_listing("crls", _CRL, _crl_of), _LIST),
    **_life("Crl", _crl),
    "TagResource": Operation(tag_resource, (Permission(_tagged, (_stored_tags, _request_tags)),), writes=True),
    "UntagResource": Operation(untag_resource, (Permission(_tagged, (_stored_tags, _request_tags)),), writes=True),
    "ListTagsForResource": Operation(list_tags_for_resource, _on(_tagged)),
    "GetSubject": Operation(get_subject, _on(_subject)),
    "ListSubjects": Operation(list_subjects, _LIST),
}

"""The call of a client as requests (R12): actions, resources, and the keys of each.

In this order: the readers of `operations`, the tables of actions that replay of CloudTrail logs uses, and the action of the name
of the operation. Resources are found by `ResourceFinder`, from parameters at the top of S3, STS, DynamoDB, SQS, SNS, KMS, Lambda
and Secrets Manager, and of structures and lists elsewhere. The entries of maps have names that a user chose, and are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote

from fastiam.aws_data.catalog import Action, actions_of
from fastiam.model.logged_calls import PASS_ROLE
from fastiam.sources.cloudtrail.named_resources import names_of, resource_finder
from fastiam.sources.cloudtrail.passed_roles import role_parameters_of
from fastiam.sources.sdk_calls.arn_templates import Names, RequestOrigin
from fastiam.sources.sdk_calls.call_keys import CALLED_VIA, Keys, keys_of
from fastiam.sources.sdk_calls.data_operations import Need, delete_request, objects_to_delete
from fastiam.sources.sdk_calls.event_actions import VERSIONED, actions_of_event
from fastiam.sources.sdk_calls.parameter_arns import bucket_arn, key_arn, object_arn, secret_forms
from fastiam.sources.sdk_calls.resource_operations import tagged_on_creation
from fastiam.sources.sdk_calls.special_operations import add_arns, reader_of

_AT_THE_TOP = frozenset(("s3", "sts", "dynamodb", "sqs", "sns", "kms", "lambda", "secretsmanager"))
# the service that gets a role, where the operation has one
_PASSED_TO = {
    "lambda:CreateFunction": "lambda.amazonaws.com",
    "lambda:UpdateFunctionConfiguration": "lambda.amazonaws.com",
    "ecs:RegisterTaskDefinition": "ecs-tasks.amazonaws.com",
    "states:CreateStateMachine": "states.amazonaws.com",
    "states:UpdateStateMachine": "states.amazonaws.com",
    "ec2:RunInstances": "ec2.amazonaws.com",
}
_WRITES = frozenset(("PutObject", "CopyObject", "CreateMultipartUpload"))  # operations of S3 that create objects
_ACLS = ("ACL", "GrantFullControl", "GrantRead", "GrantReadACP", "GrantWriteACP")
# parameters that need an action of their own (API reference of S3)
_ALSO_OF_BUCKET = (
    ("ACL", "s3:PutBucketAcl"),
    ("ObjectLockEnabledForBucket", "s3:PutBucketObjectLockConfiguration"),
    ("ObjectLockEnabledForBucket", "s3:PutBucketVersioning"),
    ("ObjectOwnership", "s3:PutBucketOwnershipControls"),
)
_ALSO_OF_OBJECT = (
    ("Tagging", "s3:PutObjectTagging"),
    ("ObjectLockMode", "s3:PutObjectRetention"),
    ("ObjectLockLegalHoldStatus", "s3:PutObjectLegalHold"),
)
# parameters with content of users, which may begin like an ARN
_CONTENT = frozenset(
    (
        "AttributeValue Description ExternalId Message MessageBody Name Policy RoleSessionName SAMLAssertion SecretString Subject"
        " TokenCode WebIdentityToken"
    ).split()
)
_OF_OBJECT = frozenset(("object", "accesspointobject"))
_TOKEN_CALLS = frozenset(("sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity"))


class SdkRequest(NamedTuple):
    """One request of a call.

    `resource` is None if the parameters do not determine it, and for a passed role may be an instance profile. `keys` maps
    condition keys to values, or to None for absent ones; the keys of `closed` are absent where `keys` does not have them.
    `forms` are patterns with a resource each, where the parameters determine all but an id of `resource`, or of its end.
    """

    action: str
    resource: str | None
    keys: Keys
    closed: frozenset[str]
    forms: tuple[str, ...] = ()

    @property
    def needs_token(self) -> bool:
        """Whether the token of an identity provider is the principal."""
        return self.action in _TOKEN_CALLS

    @property
    def passes_profile(self) -> bool:
        """Whether an instance profile, in place of its role, is passed."""
        return self.action == PASS_ROLE and self.resource is not None and ":instance-profile/" in self.resource

    @property
    def is_forwarded(self) -> bool:
        """Whether a service makes the request for the caller."""
        return bool(self.keys.get(CALLED_VIA))


class Operation:
    """How the calls of one operation become requests.

    Attributes
    ----------
    prefix
        the service prefix of its actions, "" if it is not mapped.
    """

    def __init__(self, endpoint_prefix: str, signing_name: str, name: str) -> None:
        self._name = name
        self._actions = actions_of_event(endpoint_prefix, name) or actions_of_event(signing_name, name)
        self.prefix = self._actions[0].prefix if self._actions else ""
        self._read = reader_of(self.prefix, name)
        self._finders = [resource_finder(action) for action in self._actions]
        self._passing = [found for action in self._actions if (found := role_parameters_of(action, name))]

    def requests(self, parameters: Mapping[str, Any], origin: RequestOrigin, shape: Any = None) -> list[SdkRequest]:
        """Return the requests of a call; empty if the operation, or this call of it, is not mapped.

        `shape` is the input shape of the operation in botocore's model.
        """
        if not self._actions or _is_of_another_service(self.prefix, parameters):
            return []
        needs = self._read(parameters, origin) if self._read else self._found(parameters, origin, shape)
        if not needs:
            return []
        keys, closed = keys_of(self.prefix, parameters)
        own = [SdkRequest(action, resource, keys, closed) for action, resource in dict.fromkeys(needs)]
        if self.prefix == "secretsmanager":
            own = [each._replace(forms=secret_forms(parameters, each.resource)) for each in own]
        elif not self._read and self.prefix != "s3" and any(each.resource is None for each in own):
            names = self._names(parameters, origin, shape)
            forms = {finder.name: finder.forms(names, origin) for finder in self._finders}
            own = [each._replace(forms=forms[each.action]) if each.resource is None else each for each in own]
        return [*own, *self._further(parameters, origin, own)]

    def _found(self, parameters: Mapping[str, Any], origin: RequestOrigin, shape: Any) -> list[Need]:
        if self.prefix == "s3":
            return self._of_s3(parameters, origin)
        names = self._names(parameters, origin, shape)
        pairs = zip(self._finders, self._actions, strict=True)
        return [(action.name, resource) for finder, action in pairs for resource in finder.find(names, (), origin)]

    def _names(self, parameters: Mapping[str, Any], origin: RequestOrigin, shape: Any) -> Names:
        names = names_of(_top(parameters) if self.prefix in _AT_THE_TOP else _without_maps(parameters, shape))
        add_arns(self.prefix, names, parameters, origin)
        return names

    def _of_s3(self, parameters: Mapping[str, Any], origin: RequestOrigin) -> list[Need]:
        bucket, key = parameters.get("Bucket"), parameters.get("Key")
        (action,), (finder,) = self._actions, self._finders
        name = VERSIONED.get(action.name, action.name) if parameters.get("VersionId") else action.name
        kinds = {kind.name for kind in action.types}
        if not isinstance(bucket, str) or not kinds & {"bucket", *_OF_OBJECT}:
            return [(name, resource) for resource in finder.find(names_of(_top(parameters)), (), origin)]
        if kinds & _OF_OBJECT:
            return [(name, object_arn(bucket, key, origin) if isinstance(key, str) else None)]
        return [(name, bucket_arn(bucket, origin))]

    def _further(self, parameters: Mapping[str, Any], origin: RequestOrigin, own: list[SdkRequest]) -> Iterator[SdkRequest]:
        """Yield what AWS documents for the operation besides its action."""
        keys, closed = own[0].keys, own[0].closed
        if self.prefix == "s3":
            for action, resource, more in _further_of_s3(self._name, parameters, origin, own[0].resource):
                yield SdkRequest(action, resource, {**keys, **more}, closed)
        elif self.prefix == "sts":
            if parameters.get("Tags"):
                yield from (each._replace(action="sts:TagSession") for each in own)
            if parameters.get("SourceIdentity"):
                yield from (each._replace(action="sts:SetSourceIdentity") for each in own)
        elif self.prefix == "lambda":
            for layer in parameters.get("Layers") or ():
                yield SdkRequest("lambda:GetLayerVersion", str(layer), {}, frozenset())
        elif self.prefix == "ec2":
            for resource, given in tagged_on_creation(parameters, origin):
                tags, _ = keys_of("ec2", {"Tags": given})
                yield SdkRequest("ec2:CreateTags", resource, {**tags, "ec2:CreateAction": self._name}, closed)
        for passing in self._passing:
            for role in passing.roles(parameters, origin, with_profiles=True):
                service = _PASSED_TO.get(own[0].action)
                yield SdkRequest(PASS_ROLE, role, {"iam:PassedToService": service} if service else {}, frozenset())


@lru_cache(maxsize=4096)
def operation_of(endpoint_prefix: str, signing_name: str, name: str) -> Operation:
    """Return how the calls of an operation become requests, from the endpoint prefix and signing name of its service."""
    return Operation(endpoint_prefix, signing_name, name)


@lru_cache(maxsize=4096)
def action_data(name: str) -> Action | None:
    """Return AWS's data of an action."""
    prefix, _, action = name.partition(":")
    return actions_of(prefix).get(action.lower())


def delete_requests(parameters: Mapping[str, Any], origin: RequestOrigin) -> list[tuple[Mapping[str, Any], SdkRequest]]:
    """Return each entry of `DeleteObjects` with its request."""
    keys, closed = keys_of("s3", parameters)
    bucket = str(parameters.get("Bucket") or "")
    if _is_of_another_service("s3", parameters):
        return []
    return [(entry, SdkRequest(*delete_request(bucket, entry, origin), keys, closed)) for entry in objects_to_delete(parameters)]


def _is_of_another_service(prefix: str, parameters: Mapping[str, Any]) -> bool:
    """Whether a bucket is an object of S3 Express, S3 Object Lambda or S3 on Outposts, which have actions of their own."""
    bucket = parameters.get("Bucket")
    if prefix != "s3" or not isinstance(bucket, str):
        return False
    return bucket.endswith(("--x-s3", "--xa-s3", "--op-s3")) or (bucket.startswith("arn:") and bucket.split(":", 3)[2] != "s3")


def _further_of_s3(
    operation: str, parameters: Mapping[str, Any], origin: RequestOrigin, resource: str | None
) -> Iterator[tuple[str, str | None, Keys]]:
    source = parameters.get("CopySource")
    if source is not None:
        yield (*_copy_source(source, origin), {"s3:VersionId": None})
    if operation == "GetObjectAttributes":
        yield ("s3:GetObjectVersion" if parameters.get("VersionId") else "s3:GetObject"), resource, {}
    for name, action in _ALSO_OF_BUCKET if operation == "CreateBucket" else ():
        if parameters.get(name):
            yield action, resource, {}
    if operation not in _WRITES:
        return
    if any(parameters.get(name) for name in _ACLS):
        yield "s3:PutObjectAcl", resource, {}
    for name, action in _ALSO_OF_OBJECT:
        if parameters.get(name):
            yield action, resource, {}
    key = parameters.get("SSEKMSKeyId")
    if key:
        # S3 asks KMS with a forward access session (IAM User Guide, "Forward access sessions")
        via: Keys = {"kms:ViaService": f"s3.{origin.region}.amazonaws.com", CALLED_VIA: ["s3.amazonaws.com"]}
        yield "kms:GenerateDataKey", key_arn(key, origin), via
        if operation == "CreateMultipartUpload":
            yield "kms:Decrypt", key_arn(key, origin), via


def _copy_source(source: Any, origin: RequestOrigin) -> Need:
    """Return the request to read the source of a copy, a mapping or `bucket/key?versionId=...` in URL form."""
    if isinstance(source, Mapping):
        version = source.get("VersionId")
        arn = object_arn(str(source.get("Bucket") or ""), str(source.get("Key") or ""), origin)
    else:
        path, _, query = str(source).partition("?")
        path = unquote(path).removeprefix("/")
        version = query.startswith("versionId=")
        if path.startswith("arn:"):
            bucket, _, key = path.partition("/object/")
        else:
            bucket, _, key = path.partition("/")
        arn = object_arn(bucket, key, origin)
    return ("s3:GetObjectVersion" if version else "s3:GetObject"), arn


def _top(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the texts, numbers and lists of texts at the top of parameters, without content of users."""
    return {
        name: value
        for name, value in parameters.items()
        if (isinstance(value, (str, int)) and not (name in _CONTENT and str(value).startswith("arn:")))
        or (isinstance(value, list) and all(isinstance(item, str) for item in value))
    }


def _without_maps(value: Any, shape: Any) -> Any:
    """Return parameters without the maps in them, whose keys a user chose."""
    kind = getattr(shape, "type_name", "")
    if isinstance(value, Mapping):
        if kind != "structure":
            return None
        return {name: _without_maps(item, shape.members.get(name)) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_maps(item, getattr(shape, "member", None)) for item in value]
    return value

"""IAM operations on access keys, login profiles and passwords. A secret is in exactly one answer (G145)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastiam.credentials.access_keys import MOST
from fastiam.credentials.credential_records import AccessKey, Password, PasswordPolicy, Status
from fastiam.credentials.passwords import NewPassword
from fastiam.credentials.sts_errors import AuthenticationError
from fastiam.model.profile import PrincipalKind
from fastiam.server.protocols.aws import permissions as p
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.documents import without_nones
from fastiam.server.protocols.aws.operations import NOTHING, Operation
from fastiam.server.protocols.aws.pages import page
from fastiam.sts.signed_calls import Permission, everything

_NONE = "N/A"  # what AWS answers for a service or Region that is not known

# -- access keys ----------------------------------------------------------------------------------------------------------


def create_access_key(call: Call) -> Result:
    """CreateAccessKey; the answer is the only one with the secret."""
    owner = _owner(call)
    if len(call.sts.keys.list(owner)) >= MOST:
        raise ApiError("LimitExceeded", f"Cannot exceed quota for AccessKeysPerUser: {MOST}")
    made = call.sts.keys.create(owner)
    key = call.sts.keys.get(made.access_key_id)
    return {"AccessKey": _key(key) | {"SecretAccessKey": made.secret_access_key}}


def delete_access_key(call: Call) -> Result:
    """DeleteAccessKey."""
    call.sts.keys.delete(_key_of(call).id)
    return NOTHING


def update_access_key(call: Call) -> Result:
    """UpdateAccessKey: make it active or inactive."""
    status = call.parameters["Status"]
    if status not in iter(Status):
        raise ApiError("InvalidInput", f"An access key cannot be made {status}.")
    call.sts.keys.set_status(_key_of(call).id, status)
    return NOTHING


def list_access_keys(call: Call) -> Result:
    """ListAccessKeys."""
    return page(call, "AccessKeyMetadata", call.sts.keys.list(_owner(call)), lambda key: key.id, _key)


def get_access_key_last_used(call: Call) -> Result:
    """GetAccessKeyLastUsed, to the minute. The service and the Region of the use are not stored."""
    key = _stored_key(call)
    if key is None:
        raise _no_key(call)
    used = without_nones({"LastUsedDate": key.last_used}) | {"ServiceName": _NONE, "Region": _NONE}
    return without_nones({"UserName": _user_name(key.principal)}) | {"AccessKeyLastUsed": used}


def _owner_of_key(call: Call) -> str:
    """The user of an access key of the caller's account, else `*`."""
    key = _stored_key(call)
    return "*" if key is None else key.principal


def _key_id(call: Call) -> str:
    """The access key as a denial names it: whose it is, only who may ask learns."""
    return f"access key {call.parameters['AccessKeyId']}"


def _stored_key(call: Call) -> AccessKey | None:
    """The key of `AccessKeyId`, if it is one of the caller's account: other accounts' keys do not exist for the caller."""
    key = call.sts.keys.find(call.parameters["AccessKeyId"])
    return key if key is not None and key.principal.split(":")[4] == call.account else None


def _key_of(call: Call) -> AccessKey:
    """The key of `AccessKeyId`, which must be one of the user of the call."""
    key, owner = _stored_key(call), _owner(call)
    if key is None or key.principal != owner:
        raise _no_key(call)
    return key


def _no_key(call: Call) -> ApiError:
    return ApiError("NoSuchEntity", f"The Access Key with id {call.parameters['AccessKeyId']} cannot be found.")


def _owner(call: Call) -> str:
    """The ARN of the user or root that the call is about, which exists."""
    arn = call.user_arn()
    return arn if arn.endswith(":root") else call.user().arn


def _key(key: AccessKey) -> dict[str, Any]:
    members = {"UserName": _user_name(key.principal), "AccessKeyId": key.id, "Status": str(key.status), "CreateDate": key.created}
    return without_nones(members)


def _user_name(arn: str) -> str | None:
    """The name of a user; a root user has none."""
    return None if arn.endswith(":root") else arn.rpartition("/")[2]


# -- login profiles -------------------------------------------------------------------------------------------------------


def prepare_login_profile(call: Call) -> Any:
    """The hash of the password of a login profile; None without a password."""
    if "MaxSigninSessionDuration" in call.parameters or call.parameters.get("ResetMaxSigninSessionDuration"):
        raise ApiError("InvalidInput", "Durations of sign-in sessions are not supported.")
    if "Password" not in call.parameters:
        return None
    return call.sts.passwords.prepare(_owner(call), call.parameters["Password"])


def create_login_profile(call: Call) -> Result:
    """CreateLoginProfile."""
    owner = _owner(call)
    if call.sts.passwords.get(owner) is not None:
        raise ApiError("EntityAlreadyExists", f"Login Profile for user {_user_name(owner)} already exists.")
    if call.prepared is None:
        raise ApiError("ValidationError", "The password of a login profile must be given.")
    call.sts.passwords.store(_prepared(call, owner), must_change=call.parameters.get("PasswordResetRequired", False))
    return get_login_profile(call)


def get_login_profile(call: Call) -> Result:
    """GetLoginProfile."""
    owner = _owner(call)
    password = _password(call, owner)
    profile = {
        "UserName": _user_name(owner),
        "CreateDate": password.created or password.changed,
        "PasswordResetRequired": password.must_change,
    }
    return {"LoginProfile": without_nones(profile)}


def update_login_profile(call: Call) -> Result:
    """UpdateLoginProfile: another password, or whether it must be changed."""
    owner = _owner(call)
    must_change = call.parameters.get("PasswordResetRequired")
    stored = _password(call, owner)
    if call.prepared is not None:
        must_change = stored.must_change if must_change is None else must_change
        call.sts.passwords.store(_prepared(call, owner), must_change=must_change)
    elif must_change is not None:
        call.sts.passwords.set_must_change(owner, must_change)
    return NOTHING


def delete_login_profile(call: Call) -> Result:
    """DeleteLoginProfile."""
    owner = _owner(call)
    _password(call, owner)
    call.sts.passwords.delete(owner)
    return NOTHING


def prepare_change_password(call: Call) -> Any:
    """Check the old password of the caller, and hash the new one."""
    if call.kind is not PrincipalKind.USER:
        raise ApiError("InvalidUserType", "Only IAM Users can change their own password")
    given = call.parameters
    with _as_denial():
        return call.sts.passwords.prepare_change(call.user().arn, given["OldPassword"], given["NewPassword"])


def change_password(call: Call) -> Result:
    """ChangePassword of the caller."""
    with _as_denial():
        call.sts.passwords.store(_prepared(call, call.user().arn))
    return NOTHING


@contextmanager
def _as_denial() -> Iterator[None]:
    try:
        yield
    except AuthenticationError as error:
        raise ApiError("AccessDenied", f"The old password was not accepted: {error.message}.") from None


def _prepared(call: Call, owner: str) -> NewPassword:
    """The password that was hashed for the user of the decision, who may have been renamed meanwhile."""
    prepared: NewPassword = call.prepared
    if prepared.principal != owner:
        raise ApiError("NoSuchEntity", "The user has another name now.")
    return prepared


def _password(call: Call, owner: str) -> Password:
    password = call.sts.passwords.get(owner)
    if password is None:
        raise ApiError("NoSuchEntity", f"Login Profile for User {_user_name(owner)} cannot be found.")
    return password


# -- the password policy of the account -----------------------------------------------------------------------------------


def get_account_password_policy(call: Call) -> Result:
    """GetAccountPasswordPolicy."""
    policy = call.sts.passwords.stored_policy(call.account)
    if policy is None:
        raise ApiError("NoSuchEntity", f"The Password Policy with domain name {call.account} cannot be found.")
    members = {
        "MinimumPasswordLength": policy.minimum_length,
        "RequireSymbols": policy.symbol,
        "RequireNumbers": policy.digit,
        "RequireUppercaseCharacters": policy.upper,
        "RequireLowercaseCharacters": policy.lower,
        "AllowUsersToChangePassword": policy.users_may_change,
        "ExpirePasswords": policy.max_age_days > 0,
        "MaxPasswordAge": policy.max_age_days or None,
        "PasswordReusePrevention": policy.remembered or None,
        "HardExpiry": policy.hard_expiry,
    }
    return {"PasswordPolicy": without_nones(members)}


def update_account_password_policy(call: Call) -> Result:
    """UpdateAccountPasswordPolicy: a parameter that is not given returns to its default."""
    given = call.parameters
    policy = PasswordPolicy(
        call.account,
        minimum_length=given.get("MinimumPasswordLength", 6),
        kinds=0,
        upper=given.get("RequireUppercaseCharacters", False),
        lower=given.get("RequireLowercaseCharacters", False),
        digit=given.get("RequireNumbers", False),
        symbol=given.get("RequireSymbols", False),
        users_may_change=given.get("AllowUsersToChangePassword", False),
        max_age_days=given.get("MaxPasswordAge", 0),
        remembered=given.get("PasswordReusePrevention", 0),
        hard_expiry=given.get("HardExpiry", False),
    )
    call.sts.passwords.set_policy(policy)
    return NOTHING


def delete_account_password_policy(call: Call) -> Result:
    """DeleteAccountPasswordPolicy."""
    if call.sts.passwords.stored_policy(call.account) is None:
        raise ApiError("NoSuchEntity", "The account policy with name PasswordPolicy cannot be found.")
    call.sts.passwords.delete_policy(call.account)
    return NOTHING


_USER = (Permission(p.user),)
_ACCOUNT = (Permission(everything),)

OPERATIONS = {
    "CreateAccessKey": Operation(create_access_key, _USER, writes=True),
    "DeleteAccessKey": Operation(delete_access_key, _USER, writes=True),
    "UpdateAccessKey": Operation(update_access_key, _USER, writes=True),
    "ListAccessKeys": Operation(list_access_keys, _USER, is_short=True),
    "GetAccessKeyLastUsed": Operation(get_access_key_last_used, (Permission(_owner_of_key, shown=_key_id),), is_short=True),
    "CreateLoginProfile": Operation(create_login_profile, _USER, writes=True, prepare=prepare_login_profile),
    "GetLoginProfile": Operation(get_login_profile, _USER, is_short=True),
    "UpdateLoginProfile": Operation(update_login_profile, _USER, writes=True, prepare=prepare_login_profile),
    "DeleteLoginProfile": Operation(delete_login_profile, _USER, writes=True),
    "ChangePassword": Operation(change_password, _USER, writes=True, prepare=prepare_change_password),
    "GetAccountPasswordPolicy": Operation(get_account_password_policy, _ACCOUNT, is_short=True),
    "UpdateAccountPasswordPolicy": Operation(update_account_password_policy, _ACCOUNT, writes=True),
    "DeleteAccountPasswordPolicy": Operation(delete_account_password_policy, _ACCOUNT, writes=True),
}

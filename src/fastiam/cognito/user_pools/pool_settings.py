"""Settings of a pool: from the parameters of calls to fields of the record, and back (4.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastiam.cognito.cognito_errors import CognitoError
from fastiam.cognito.user_pools.attributes import describe_schema
from fastiam.cognito.user_pools.passwords import describe_rules, read_rules
from fastiam.cognito.user_pools.state import Json, PoolState
from fastiam.cognito.user_pools.triggers import TRIGGERS
from fastiam.directory.user_pool_records import Pool

_TEMPLATE = {"SmsMessage": "SmsMessage", "EmailMessage": "EmailMessage", "EmailSubject": "EmailSubject"}
_INVITE = {"SMSMessage": "InviteSMSMessage", "EmailMessage": "InviteEmailMessage", "EmailSubject": "InviteEmailSubject"}
_VERIFICATION = {  # the same texts, as members of the pool
    "SmsMessage": "SmsVerificationMessage",
    "EmailMessage": "EmailVerificationMessage",
    "EmailSubject": "EmailVerificationSubject",
}
VERSIONS = ("V1_0", "V2_0", "V3_0")


def read_settings(state: PoolState, given: Mapping[str, Any], messages: Mapping[str, str]) -> Json:
    """The fields of a pool that parameters of CreateUserPool and UpdateUserPool set. Absent parameters set the default.

    Raises
    ------
    CognitoError
        a setting that is not supported, or a trigger that is not there.
    """
    triggers, version = _triggers(state, given.get("lambda_config") or {})
    admin, recovery = given.get("admin_create_user_config") or {}, given.get("account_recovery_setting")
    fields: Json = {
        "password": read_rules(given.get("policies")),
        "auto_verified": tuple(dict.fromkeys(given.get("auto_verified_attributes") or ())),
        "admin_only": admin.get("AllowAdminCreateUserOnly", False),
        "protected": given.get("deletion_protection") == "ACTIVE",
        "recovery": _recovery(recovery),
        "verify_before_update": tuple(
            (given.get("user_attribute_update_settings") or {}).get("AttributesRequireVerificationBeforeUpdate") or ()
        ),
        "triggers": triggers,
        "token_version": version,
        "messages": _messages(given, messages),
        "tags": dict(given.get("user_pool_tags") or {}),
    }
    if given.get("user_pool_tier") == "PLUS":
        raise CognitoError("`UserPoolTier` PLUS (threat protection) is not supported", rule="4.1")
    if set(fields["verify_before_update"]) - set(fields["auto_verified"]):
        raise CognitoError("an attribute that must be verified before it changes must be verified automatically", rule="UP25")
    if "UnusedAccountValidityDays" in admin and "PasswordPolicy" not in (given.get("policies") or {}):
        raise CognitoError("use `TemporaryPasswordValidityDays` of the password policy", rule="4.1")
    return fields


def _recovery(given: Mapping[str, Any] | None) -> tuple[str, ...]:
    if not given or not given.get("RecoveryMechanisms"):
        return ()
    entries: Sequence[Mapping[str, Any]] = given["RecoveryMechanisms"]
    names = tuple(entry["Name"] for entry in sorted(entries, key=lambda entry: int(entry["Priority"])))
    is_doubled = len(set(names)) < len(names) or len({entry["Priority"] for entry in entries}) < len(entries)
    if is_doubled or ("admin_only" in names and len(names) > 1):
        raise CognitoError("the recovery mechanisms contradict each other", rule="4.2")
    return names


def _triggers(state: PoolState, config: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """Names of triggers by kind, and the version of PreTokenGeneration."""
    found, version = {}, "V1_0"
    generation = config.get("PreTokenGenerationConfig")
    for kind, value in config.items():
        if kind == "PreTokenGenerationConfig":
            found["PreTokenGeneration"], version = value["LambdaArn"], value["LambdaVersion"]
        elif kind not in TRIGGERS:
            raise CognitoError(f"the trigger {kind} is not supported", rule="4.12")
        elif kind != "PreTokenGeneration" or generation is None:
            found[kind] = value
    if version not in VERSIONS:
        raise CognitoError(f"the version of PreTokenGeneration must be one of {', '.join(VERSIONS)}", rule="UP75")
    for kind, name in found.items():
        if name not in state.triggers:
            hint = "pass it in `triggers` of `UserPools`; the server and the command line run none"
            raise CognitoError(f"the trigger {kind} names `{name}`, which is not a callable here", hint=hint, rule="UP70")
        if kind == "PreSignUp":
            state.warn("PreSignUp can verify addresses without proof, and take aliases from other users")
        elif kind == "PreTokenGeneration":
            state.warn("PreTokenGeneration can choose the roles of identity pools (UP77)")
    return found, version


def _messages(given: Mapping[str, Any], stored: Mapping[str, str]) -> dict[str, str]:
    """Texts of messages; those of SetUserPoolMfaConfig stay."""
    texts = {name: text for name, text in stored.items() if name.startswith("Mfa")}
    template = given.get("verification_message_template") or {}
    if template.get("DefaultEmailOption") == "CONFIRM_WITH_LINK" or any("ByLink" in name for name in template):
        raise CognitoError("verification by a link is not supported", rule="4.1")
    invite = (given.get("admin_create_user_config") or {}).get("InviteMessageTemplate") or {}
    texts |= {_TEMPLATE[name]: text for name, text in template.items() if name in _TEMPLATE}
    texts |= {_INVITE[name]: text for name, text in invite.items()}
    for parameter, name in (
        ("sms_verification_message", "SmsMessage"),
        ("email_verification_message", "EmailMessage"),
        ("email_verification_subject", "EmailSubject"),
        ("sms_authentication_message", "MfaSmsMessage"),
    ):
        if given.get(parameter):
            texts[name] = given[parameter]
    return texts


def describe_pool(pool: Pool, n_users: int, domains: Sequence[tuple[str, bool]]) -> Json:
    """`UserPool` of an answer."""
    config: Json = dict(pool.triggers)
    if "PreTokenGeneration" in config and pool.token_version != "V1_0":
        config["PreTokenGenerationConfig"] = {
            "LambdaArn": config["PreTokenGeneration"],
            "LambdaVersion": pool.token_version,
        }
    described: Json = {
        "Id": pool.id,
        "Name": pool.name,
        "Arn": pool.arn,
        "Policies": describe_rules(pool.password),
        "DeletionProtection": "ACTIVE" if pool.protected else "INACTIVE",
        "LambdaConfig": config,
        "LastModifiedDate": pool.modified,
        "CreationDate": pool.created,
        "SchemaAttributes": describe_schema(pool),
        "AutoVerifiedAttributes": list(pool.auto_verified),
        "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": list(pool.verify_before_update)},
        "MfaConfiguration": pool.mfa,
        "EstimatedNumberOfUsers": n_users,
        "UserPoolTags": dict(pool.tags),
        "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": pool.admin_only},
        "UsernameConfiguration": {"CaseSensitive": pool.case_sensitive},
        "EmailConfiguration": {"EmailSendingAccount": "COGNITO_DEFAULT"},
    }
    if pool.recovery:
        mechanisms = [{"Priority": n, "Name": name} for n, name in enumerate(pool.recovery, 1)]
        described["AccountRecoverySetting"] = {"RecoveryMechanisms": mechanisms}
    if pool.alias_attributes:
        described["AliasAttributes"] = list(pool.alias_attributes)
    if pool.username_attributes:
        described["UsernameAttributes"] = list(pool.username_attributes)
    template = {name: pool.messages[text] for name, text in _TEMPLATE.items() if text in pool.messages}
    described["VerificationMessageTemplate"] = {**template, "DefaultEmailOption": "CONFIRM_WITH_CODE"}
    described |= {_VERIFICATION[name]: text for name, text in template.items()}
    invite = {name: pool.messages[text] for name, text in _INVITE.items() if text in pool.messages}
    if invite:
        described["AdminCreateUserConfig"]["InviteMessageTemplate"] = invite
    for name, is_custom in domains:
        described["CustomDomain" if is_custom else "Domain"] = name
    return described

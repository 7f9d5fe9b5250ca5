"""User pools themselves: create, describe, change, delete, list; MFA configuration, keys and tags (4.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastiam.cognito.cognito_errors import CognitoError
from fastiam.cognito.user_pools import keys
from fastiam.cognito.user_pools.attributes import read_schema
from fastiam.cognito.user_pools.calls import Calls, with_token
from fastiam.cognito.user_pools.operations import operation
from fastiam.cognito.user_pools.pool_settings import describe_pool, read_settings
from fastiam.cognito.user_pools.state import Json
from fastiam.directory.naming_rules import check_account
from fastiam.directory.user_pool_records import Pool

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_FACTORS = {
    "software_token_mfa_configuration": "SOFTWARE_TOKEN_MFA",
    "sms_mfa_configuration": "SMS_MFA",
    "email_mfa_configuration": "EMAIL_OTP",
}


class PoolCalls(Calls):
    """CreateUserPool and others."""

    def __init__(self, state: Any, account: str | None, region: str, issuer: str = "") -> None:
        super().__init__(state)
        self._account, self._region, self._issuer_base = account, region, issuer

    def _owner(self, account: str | None) -> tuple[str, str]:
        """Account and partition of a new pool."""
        known = self._state.base.tables.accounts
        account = account or self._account or (next(iter(known)) if len(known) == 1 else None)
        if account is None:
            raise CognitoError("the account of the user pool is not known", hint="pass `account`")
        check_account(account)
        return account, known[account].partition if account in known else "aws"

    @operation
    def create_user_pool(
        self,
        *,
        pool_name: str,
        policies: Mapping[str, Any] | None = None,
        deletion_protection: str = "INACTIVE",
        lambda_config: Mapping[str, Any] | None = None,
        auto_verified_attributes: Sequence[str] = (),
        alias_attributes: Sequence[str] = (),
        username_attributes: Sequence[str] = (),
        sms_verification_message: str | None = None,
        email_verification_message: str | None = None,
        email_verification_subject: str | None = None,
        verification_message_template: Mapping[str, str] | None = None,
        sms_authentication_message: str | None = None,
        mfa_configuration: str = "OFF",
        user_attribute_update_settings: Mapping[str, Any] | None = None,
        user_pool_tags: Mapping[str, str] | None = None,
        admin_create_user_config: Mapping[str, Any] | None = None,
        schema: Sequence[Mapping[str, Any]] = (),
        username_configuration: Mapping[str, bool] | None = None,
        account_recovery_setting: Mapping[str, Any] | None = None,
        user_pool_tier: str | None = None,
        account: str | None = None,
        region: str | None = None,
        user_pool_id: str | None = None,
        issuer: str | None = None,
    ) -> Json:
        """Create a user pool with its signing keys.

        Parameters
        ----------
        account, region
            where the pool is; defaults are those of the `UserPools`.
        user_pool_id, issuer
            its id, and the `iss` of its tokens; by default a random id, and the URL that AWS uses.
        """
        given = {name: value for name, value in locals().items() if name not in ("self", "schema")}
        if alias_attributes and username_attributes:
            raise CognitoError("Only one of aliasAttributes or usernameAttributes can be set in a user pool.", rule="4.2")
        if mfa_configuration == "ON":
            raise CognitoError("MFA needs a factor", hint="create the pool with OFF, then call SetUserPoolMfaConfig", rule="4.2")
        owner, partition = self._owner(account)
        place = region or self._region
        if user_pool_id is None:
            tail = "".join(_LETTERS[int.from_bytes(self._state.random(8)) % len(_LETTERS)] for _ in range(9))
            user_pool_id = f"{place}_{tail}"
        elif not user_pool_id.startswith(f"{place}_") or user_pool_id in self._state.tables.pools:
            raise CognitoError("the id must begin with the region and be new", rule="4.2")
        now = self._state.now()
        pool = Pool(
            user_pool_id,
            pool_name,
            owner,
            partition,
            place,
            issuer or f"{self._issuer_base or f'https://cognito-idp.{place}.{_suffix(partition)}'}/{user_pool_id}",
            now,
            now,
            alias_attributes=tuple(dict.fromkeys(alias_attributes)),
            username_attributes=tuple(dict.fromkeys(username_attributes)),
            case_sensitive=(username_configuration or {}).get("CaseSensitive", True),
            attributes=read_schema(schema),
            mfa=mfa_configuration,
            **read_settings(self._state, given, {}),
        )
        made = keys.make_keys(self._state, pool)
        with self._state.transaction():
            if pool.id in self._state.store.known_pools():
                raise CognitoError("an id of a user pool is used once", rule="9.1")
            self._state.put("pools", pool.id, pool)
            self._state.new_pool_secret(pool)
            keys.put_keys(self._state, pool, made)
        self._state.note(pool=pool.id)
        return {"UserPool": self._describe(pool)}

    def _describe(self, pool: Pool) -> Json:
        domains = [(domain.name, domain.custom) for domain in self._state.tables.domains.values() if domain.pool == pool.id]
        return describe_pool(pool, len(self._state.store.users(pool.id)), domains)

    @operation
    def describe_user_pool(self, *, user_pool_id: str) -> Json:
        """The settings of a pool."""
        return {"UserPool": self._describe(self._state.pool(user_pool_id))}

    @operation
    def update_user_pool(
        self,
        *,
        user_pool_id: str,
        pool_name: str | None = None,
        policies: Mapping[str, Any] | None = None,
        deletion_protection: str = "INACTIVE",
        lambda_config: Mapping[str, Any] | None = None,
        auto_verified_attributes: Sequence[str] = (),
        sms_verification_message: str | None = None,
        email_verification_message: str | None = None,
        email_verification_subject: str | None = None,
        verification_message_template: Mapping[str, str] | None = None,
        sms_authentication_message: str | None = None,
        mfa_configuration: str | None = None,
        user_attribute_update_settings: Mapping[str, Any] | None = None,
        user_pool_tags: Mapping[str, str] | None = None,
        admin_create_user_config: Mapping[str, Any] | None = None,
        account_recovery_setting: Mapping[str, Any] | None = None,
        user_pool_tier: str | None = None,
    ) -> Json:
        """Change a pool. As at AWS, a setting that is not given gets its default; MFA and tags stay."""
        given = {name: value for name, value in locals().items() if name != "self"}
        with self._state.transaction():
            pool = self._state.pool(user_pool_id)
            fields = read_settings(self._state, given, pool.messages)
            if user_pool_tags is None:
                fields["tags"] = pool.tags
            mfa = mfa_configuration or pool.mfa
            if mfa == "ON" and not pool.factors:
                raise CognitoError("MFA needs a factor", hint="call SetUserPoolMfaConfig", rule="4.2")
            changed = replace(pool, name=pool_name or pool.name, mfa=mfa, modified=self._state.now(), **fields)
            self._state.put("pools", pool.id, changed)
        return {}

    @operation
    def delete_user_pool(self, *, user_pool_id: str) -> Json:
        """Delete a pool with everything in it."""
        with self._state.transaction():
            pool = self._state.pool(user_pool_id)
            if pool.protected:
                raise CognitoError("The user pool cannot be deleted because deletion protection is activated.", rule="4.2")
            if any(domain.pool == pool.id for domain in self._state.tables.domains.values()):
                raise CognitoError("User pool cannot be deleted. It has a domain configured that should be deleted first.")
            self._state.store.delete_pool(pool)
        return {}

    @operation
    def list_user_pools(
        self, *, max_results: int, next_token: str | None = None, account: str | None = None, region: str | None = None
    ) -> Json:
        """The pools, of one account and region if they are given."""
        pools = [
            pool
            for pool in self._state.tables.pools.values()
            if account in (None, pool.account) and region in (None, pool.region)
        ]
        page, token = self._page("pools", [(pool.id, pool) for pool in pools], max_results, next_token)
        found = [
            {"Id": pool.id, "Name": pool.name, "LastModifiedDate": pool.modified, "CreationDate": pool.created} for pool in page
        ]
        return with_token({"UserPools": found}, "NextToken", token)

    @operation
    def add_custom_attributes(self, *, user_pool_id: str, custom_attributes: Sequence[Mapping[str, Any]]) -> Json:
        """Add custom attributes to the schema. They cannot be removed."""
        with self._state.transaction():
            pool = self._state.pool(user_pool_id)
            attributes = read_schema(custom_attributes, pool.attributes, only_custom=True)
            self._state.put("pools", pool.id, replace(pool, attributes=attributes, modified=self._state.now()))
        return {}

    # -- MFA --------------------------------------------------------------------------------------------------------------

    @operation
    def set_user_pool_mfa_config(
        self,
        *,
        user_pool_id: str,
        sms_mfa_configuration: Mapping[str, Any] | None = None,
        software_token_mfa_configuration: Mapping[str, Any] | None = None,
        email_mfa_configuration: Mapping[str, Any] | None = None,
        mfa_configuration: str | None = None,
    ) -> Json:
        """Set whether sign-in needs a second factor, and which ones. A factor that is not given is off."""
        if sms_mfa_configuration and "SmsConfiguration" in sms_mfa_configuration:
            raise CognitoError("`SmsConfiguration` is not supported: the sender delivers codes", rule="4.1")
        factors = []
        if (software_token_mfa_configuration or {}).get("Enabled"):
            factors.append("SOFTWARE_TOKEN_MFA")
        factors += ["SMS_MFA"] if sms_mfa_configuration is not None else []
        factors += ["EMAIL_OTP"] if email_mfa_configuration is not None else []
        texts = {
            "MfaSmsMessage": (sms_mfa_configuration or {}).get("SmsAuthenticationMessage"),
            "MfaEmailMessage": (email_mfa_configuration or {}).get("Message"),
            "MfaEmailSubject": (email_mfa_configuration or {}).get("Subject"),
        }
        with self._state.transaction():
            pool = self._state.pool(user_pool_id)
            mfa = mfa_configuration or pool.mfa
            if mfa != "OFF" and not factors:
                raise CognitoError("MFA needs a factor", rule="4.2")
            messages = {**pool.messages, **{name: text for name, text in texts.items() if text}}
            pool = replace(pool, mfa=mfa, factors=tuple(factors), messages=messages, modified=self._state.now())
            self._state.put("pools", pool.id, pool)
        return self._describe_mfa(pool)

    @operation
    def get_user_pool_mfa_config(self, *, user_pool_id: str) -> Json:
        """Whether sign-in needs a second factor, and which ones."""
        return self._describe_mfa(self._state.pool(user_pool_id))

    def _describe_mfa(self, pool: Pool) -> Json:
        answer: Json = {"MfaConfiguration": pool.mfa}
        if "SOFTWARE_TOKEN_MFA" in pool.factors:
            answer["SoftwareTokenMfaConfiguration"] = {"Enabled": True}
        if "SMS_MFA" in pool.factors:
            text = pool.messages.get("MfaSmsMessage")
            answer["SmsMfaConfiguration"] = {"SmsAuthenticationMessage": text} if text else {}
        if "EMAIL_OTP" in pool.factors:
            texts = {"Message": pool.messages.get("MfaEmailMessage"), "Subject": pool.messages.get("MfaEmailSubject")}
            answer["EmailMfaConfiguration"] = {name: text for name, text in texts.items() if text}
        return answer

    # -- keys -------------------------------------------------------------------------------------------------------------

    def get_jwks(self, user_pool_id: str) -> Json:
        """The key set of a pool, `/.well-known/jwks.json`."""
        with self._state.event("GetJwks"):
            return keys.jwks(self._state, self._state.pool(user_pool_id))

    def rotate_signing_keys(self, user_pool_id: str) -> None:
        """Sign with new keys. The old ones verify and stay in the key set for a day, the longest life of a token."""
        with self._state.event("RotateSigningKeys"):
            pool = self._state.pool(user_pool_id)
            made = keys.make_keys(self._state, pool)
            with self._state.transaction():
                keys.put_keys(self._state, self._state.pool(user_pool_id), made)
            self._state.note(pool=user_pool_id)

    # -- tags -------------------------------------------------------------------------------------------------------------

    def _of_arn(self, arn: str) -> Pool:
        found = self._state.pool(arn.rpartition("/")[2])
        if found.arn != arn:
            raise CognitoError("there is no such user pool", code="ResourceNotFoundException")
        return found

    @operation
    def tag_resource(self, *, resource_arn: str, tags: Mapping[str, str]) -> Json:
        """Add tags to a pool."""
        with self._state.transaction():
            pool = self._of_arn(resource_arn)
            both = {**pool.tags, **tags}
            if len(both) > 50:
                raise CognitoError("a user pool has at most 50 tags", rule="FD8")
            self._state.put("pools", pool.id, replace(pool, tags=both))
        return {}

    @operation
    def untag_resource(self, *, resource_arn: str, tag_keys: Sequence[str]) -> Json:
        """Remove tags from a pool."""
        with self._state.transaction():
            pool = self._of_arn(resource_arn)
            self._state.put("pools", pool.id, replace(pool, tags={k: v for k, v in pool.tags.items() if k not in tag_keys}))
        return {}

    @operation
    def list_tags_for_resource(self, *, resource_arn: str) -> Json:
        """The tags of a pool."""
        return {"Tags": dict(self._of_arn(resource_arn).tags)}


def _suffix(partition: str) -> str:
    return "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"

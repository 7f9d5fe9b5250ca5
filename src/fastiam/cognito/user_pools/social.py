"""Providers with fixed addresses: Google, Facebook, Login with Amazon and Sign in with Apple (4.18).

Google and Apple are OIDC providers, whose addresses discovery gives. Facebook and Amazon answer a code with an access token; a
checker of 3.7 says for which application and user it is, and their profile has the attributes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from fastiam.cognito.cognito_errors import CognitoError
from fastiam.credentials.secret import Secret, SecretBytes
from fastiam.directory.user_pool_records import Provider
from fastiam.federation.fetch import Fetch
from fastiam.federation.oauth_tokens import TokenChecker, amazon_checker, facebook_checker

GOOGLE, FACEBOOK, AMAZON, APPLE = SOCIAL = ("Google", "Facebook", "LoginWithAmazon", "SignInWithApple")
ISSUERS = {GOOGLE: "https://accounts.google.com", APPLE: "https://appleid.apple.com"}
PROFILE_IDS = {FACEBOOK: "id", AMAZON: "user_id"}  # the member of a profile that is the subject
_VERSION = re.compile(r"v\d{1,3}\.\d{1,2}")
_DEFAULT_VERSION = "v23.0"
_SECRET_SECONDS = 300


def check_details(kind: str, details: Mapping[str, str]) -> None:
    """Refuse details of a provider that its flow cannot use.

    Raises
    ------
    CognitoError
        InvalidParameterException.
    """
    if not _VERSION.fullmatch(details.get("api_version", _DEFAULT_VERSION)):
        raise CognitoError("`api_version` is not a version of Facebook's interface such as `v23.0`", rule="4.18")
    if kind == APPLE and "private_key" in details and read_apple_key(details["private_key"]) is None:
        raise CognitoError("`private_key` is not a private key on the curve P-256, as PEM or base64", rule="4.18")


def endpoints_of(provider: Provider) -> dict[str, str]:
    """The addresses of Facebook and Amazon."""
    if provider.type == AMAZON:
        return {
            "authorize_url": "https://www.amazon.com/ap/oa",
            "token_url": "https://api.amazon.com/auth/o2/token",
            "attributes_url": "https://api.amazon.com/user/profile",
        }
    version = provider.details.get("api_version", _DEFAULT_VERSION)
    fields = ",".join(sorted({"id", *provider.mapping.values()}))
    return {
        "authorize_url": f"https://www.facebook.com/{version}/dialog/oauth",
        "token_url": f"https://graph.facebook.com/{version}/oauth/access_token",
        "attributes_url": f"https://graph.facebook.com/{version}/me?{urlencode({'fields': fields})}",
    }


def checker_of(provider: Provider, secret: str, fetch: Fetch) -> TokenChecker:
    """The checker of access tokens of Facebook or Amazon. `secret` is the client secret there."""
    if provider.type == AMAZON:
        return amazon_checker(fetch)
    return facebook_checker(Secret(f"{provider.details['client_id']}|{secret}"), fetch)


def read_apple_key(text: str) -> EllipticCurvePrivateKey | None:
    """The private key of Sign in with Apple: PEM, or what is between its first and last line. None for anything else."""
    try:
        if "-----" in text:
            key: Any = load_pem_private_key(SecretBytes(text.encode()), None)
        else:
            key = load_der_private_key(SecretBytes(base64.b64decode("".join(text.split()), validate=True)), None)
    except (ValueError, TypeError, UnsupportedAlgorithm, binascii.Error):
        return None
    return key if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1) else None


def apple_client_secret(provider: Provider, private_key: str, now: datetime) -> Secret:
    """The client secret at Apple: a token that the key of the developer signs."""
    key, details, issued = read_apple_key(private_key), provider.details, int(now.timestamp())
    assert key is not None  # checked when it was stored
    claims = {
        "iss": details["team_id"],
        "sub": details["client_id"],
        "aud": ISSUERS[APPLE],
        "iat": issued,
        "exp": issued + _SECRET_SECONDS,
    }
    return Secret(jwt.encode(claims, key, algorithm="ES256", headers={"kid": details["key_id"]}))

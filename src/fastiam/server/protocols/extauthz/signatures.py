"""Requests that a client signed with AWS Signature Version 4, as the source of the principal (G84)."""

from __future__ import annotations

import hashlib

from fastiam.credentials.results import Caller
from fastiam.credentials.sts_errors import AuthenticationError
from fastiam.server.http import Request
from fastiam.server.protocols.aws import sigv4
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.extauthz.checks import CheckRequest, Moment, Unidentified
from fastiam.server.protocols.extauthz.extauthz_section import SignatureSection
from fastiam.server.protocols.extauthz.request_paths import split_target

_BAD = "bad_signature"


def verify(check: CheckRequest, section: SignatureSection, moment: Moment) -> Caller | None:
    """The owner of the key that signed a request; None if it is not signed.

    Raises
    ------
    Unidentified
        the signature is not right, or is for another service.
    """
    path, query = split_target(check.target)
    values = check.values("authorization")
    presigned = b"X-Amz-" in query
    if not presigned and not values:
        return None
    if len(values) > 1:
        raise Unidentified("two_values")
    if values and not values[0].lstrip().startswith("AWS4-"):
        if "," in values[0]:
            raise Unidentified("two_values")
        if not presigned:
            return None
    headers = tuple(pair for pair in check.headers if pair[0] != b"host") + ((b"host", check.host.encode()),)
    request = Request(check.method, path, query, headers, check.body)
    sts = moment.pinned.sts
    try:
        signature = sigv4.read_signature(request)
        if signature is None or sts is None or signature.service != section.service:
            raise Unidentified(_BAD)
        _check_target(request, signature.service)
        sigv4.check_headers(request, signature)
        sigv4.check_time(signature, moment.now)
        payload = _payload(check, request, section)
        caller, secret = sts.secret_of(signature.access_key_id, signature.token)
        if not sigv4.is_valid(request, signature, secret, payload):
            raise Unidentified(_BAD)
        sts.record_use(caller)
    except (ApiError, AuthenticationError):
        raise Unidentified(_BAD) from None
    return caller


def _check_target(request: Request, service: str) -> None:
    """Refuse a target that others read in another way than its signature does (G131).

    The signature leaves dot and empty segments out, so that it holds for targets of other resources. It has one form for `+` and
    `%2B`, and conditions and upstreams read `+` as a blank.
    """
    segments = request.raw_path.split(b"/")[1:]
    is_plain = not any(segment in (b".", b"..") for segment in segments) and b"" not in segments[:-1]
    if (service not in sigv4.RAW_PATH and not is_plain) or b"+" in request.raw_query:
        raise Unidentified("ambiguous_target")


def _payload(check: CheckRequest, request: Request, section: SignatureSection) -> str:
    """The hash of the body, or what stands for it where the signature does not cover the body."""
    if section.payload == "unsigned" and not check.body:
        stated = check.single("x-amz-content-sha256")
        return hashlib.sha256(b"").hexdigest() if stated is None else stated
    if not check.has_whole_body:
        raise Unidentified("body_not_covered")
    return sigv4.body_hash(request)

"""Encrypted assertions: XML Encryption with RSA-OAEP and AES, on the primitives of `cryptography` (2.7).

Invariant: each failure after the structure was accepted raises the same error on the same path, so that no answer depends on the
content of a ciphertext (SA62).
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fastiam.credentials.secret import SecretBytes
from fastiam.federation.xml_reading import DS, RESPONSE, SAML, XENC, Element, XmlError, only_child, read_xml, text_of

_XENC11 = "http://www.w3.org/2009/xmlenc11#"
_GCM = {f"{_XENC11}aes128-gcm": 16, f"{_XENC11}aes192-gcm": 24, f"{_XENC11}aes256-gcm": 32}
_CBC = {f"{XENC}aes128-cbc": 16, f"{XENC}aes256-cbc": 32}
_OAEP_SHA1_MGF, _OAEP = f"{XENC}rsa-oaep-mgf1p", f"{_XENC11}rsa-oaep"
_DIGESTS: dict[str, hashes.HashAlgorithm] = {
    "http://www.w3.org/2000/09/xmldsig#sha1": hashes.SHA1(),  # OAEP does not need collision resistance
    f"{XENC}sha256": hashes.SHA256(),
}
_MGFS: dict[str, hashes.HashAlgorithm] = {f"{_XENC11}mgf1sha1": hashes.SHA1(), f"{_XENC11}mgf1sha256": hashes.SHA256()}
_IV, _TAG, _BLOCK = 12, 16, 16


def decrypted(encrypted: Element, keys: Sequence[RSAPrivateKey], *, is_signed: bool) -> Element:
    """The assertion in an `EncryptedAssertion`, as a document of its own.

    Parameters
    ----------
    keys
        the provider's private keys; each is tried (IP47).
    is_signed
        the signature of the Response covers the ciphertext, so that AES-CBC is acceptable.

    Raises
    ------
    XmlError
        another structure or algorithm; or it does not decrypt to one assertion.
    """
    data = only_child(encrypted, XENC, "EncryptedData")
    algorithm = _algorithm(data)
    if algorithm not in _GCM and not (algorithm in _CBC and is_signed):
        raise XmlError("the assertion cannot be decrypted")
    transport = _encrypted_key(encrypted, data)
    scheme = _oaep(only_child(transport, XENC, "EncryptionMethod"))
    wrapped, body = _cipher_value(transport), _cipher_value(data)
    length = _GCM.get(algorithm) or _CBC[algorithm]
    plain = SecretBytes(_decrypt(algorithm in _GCM, _unwrap(keys, wrapped, scheme, length), body))
    try:
        assertion = read_xml(plain, RESPONSE)
    except XmlError:
        raise XmlError("the assertion cannot be decrypted") from None
    if assertion.tag != f"{{{SAML}}}Assertion":
        raise XmlError("the assertion cannot be decrypted")
    return assertion


def _encrypted_key(encrypted: Element, data: Element) -> Element:
    """The one `EncryptedKey`, in `KeyInfo` of the data or next to the data (SA63)."""
    found = list(encrypted.iter(f"{{{XENC}}}EncryptedKey"))
    places = (encrypted, data.find(f"{{{DS}}}KeyInfo"))
    if len(found) != 1 or found[0].getparent() not in places:
        raise XmlError("the assertion cannot be decrypted")
    return found[0]


def _oaep(method: Element) -> padding.OAEP:
    """RSA-OAEP; PKCS #1 v1.5 is refused."""
    algorithm = method.get("Algorithm", "")
    digest, mgf = method.find(f"{{{DS}}}DigestMethod"), method.find(f"{{{_XENC11}}}MGF")
    if algorithm not in (_OAEP_SHA1_MGF, _OAEP) or method.find(f"{{{XENC}}}OAEPparams") is not None:
        raise XmlError("the assertion cannot be decrypted")
    hash_ = hashes.SHA1() if digest is None else _DIGESTS.get(digest.get("Algorithm", ""))
    mask = hashes.SHA1() if mgf is None or algorithm == _OAEP_SHA1_MGF else _MGFS.get(mgf.get("Algorithm", ""))
    if hash_ is None or mask is None:
        raise XmlError("the assertion cannot be decrypted")
    return padding.OAEP(padding.MGF1(mask), hash_, None)


def _unwrap(keys: Sequence[RSAPrivateKey], wrapped: bytes, scheme: padding.OAEP, length: int) -> bytes:
    """The content key; a random one if none opens, so that the failure comes from the content."""
    found = os.urandom(length)
    for key in keys:
        try:
            opened = key.decrypt(wrapped, scheme)
        except ValueError:
            continue
        if len(opened) == length:
            found = opened
    return SecretBytes(found)


def _decrypt(is_gcm: bool, key: bytes, body: bytes) -> bytes:
    try:
        if is_gcm:
            if len(body) < _IV + _TAG:
                raise ValueError("too short")
            return AESGCM(key).decrypt(body[:_IV], body[_IV:], None)
        if len(body) < 2 * _BLOCK:
            raise ValueError("too short")
        context = Cipher(algorithms.AES(key), modes.CBC(body[:_BLOCK])).decryptor()
        plain = SecretBytes(context.update(body[_BLOCK:]) + context.finalize())
        if not 1 <= plain[-1] <= _BLOCK:  # XML Encryption 5.2: the last octet is the number of padding octets
            raise ValueError("padding")
        return plain[: -plain[-1]]
    except (InvalidTag, ValueError):
        raise XmlError("the assertion cannot be decrypted") from None


def _algorithm(element: Element) -> str:
    return str(only_child(element, XENC, "EncryptionMethod").get("Algorithm", ""))


def _cipher_value(element: Element) -> bytes:
    text = text_of(only_child(only_child(element, XENC, "CipherData"), XENC, "CipherValue"))
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise XmlError("the assertion cannot be decrypted") from None

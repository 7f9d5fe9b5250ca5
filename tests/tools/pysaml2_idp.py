"""pysaml2's identity provider as a program of its own: its warnings and temporary files stay out of the tests.

Standard input is JSON: `key` and `certificate` as PEM, `sp` as metadata, `entity`, `identity` by attribute name, `destination`,
`audience`, `name_id`, and `responses`: options of each. Standard output is JSON: `metadata`, and `responses` as XML text.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import saml2.entity
from saml2.config import IdPConfig
from saml2.metadata import entity_descriptor
from saml2.saml import NAMEID_FORMAT_PERSISTENT, NameID
from saml2.server import Server
from saml2.sigver import CryptoBackendXmlSec1

URI = "urn:oasis:names:tc:SAML:2.0:attrname-format:uri"
REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"


def configuration(given: dict[str, Any], folder: Path) -> IdPConfig:
    """The configuration, with the files that it names."""
    (folder / "key.pem").write_text(given["key"])
    (folder / "cert.pem").write_text(given["certificate"])
    (folder / "sp.xml").write_text(given["sp"])
    names = {name: name for name in given["identity"]}
    (folder / "maps").mkdir()
    (folder / "maps" / "aws.py").write_text(f"MAP = { ({'identifier': URI, 'fro': names, 'to': names})!r}\n")
    policy = {"lifetime": {"minutes": 5}, "attribute_restrictions": None, "name_form": URI}
    idp = {"endpoints": {"single_sign_on_service": [("https://idp.example/sso", REDIRECT)]}, "policy": {"default": policy}}
    return IdPConfig().load(
        {
            "entityid": given["entity"],
            "xmlsec_binary": shutil.which("xmlsec1"),
            "attribute_map_dir": str(folder / "maps"),
            "key_file": str(folder / "key.pem"),
            "cert_file": str(folder / "cert.pem"),
            "metadata": {"local": [str(folder / "sp.xml")]},
            "service": {"idp": idp},
        }
    )


def encrypt_with(content: str) -> None:
    """Encrypt with another algorithm than 3DES, by the template and the session key that xmlsec1 is given."""
    saml2.entity.pre_encryption_part = partial(TEMPLATE, msg_enc=content)
    CryptoBackendXmlSec1.encrypt_assertion = lambda self, text, key, template, _, *more: ENCRYPT(
        self, text, key, template, "aes-256", *more
    )


TEMPLATE, ENCRYPT = saml2.entity.pre_encryption_part, CryptoBackendXmlSec1.encrypt_assertion


def main() -> None:
    given = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as name:
        config = configuration(given, Path(name))
        server, responses = Server(config=config), []
        for options in given["responses"]:
            content = options.pop("content", None)
            saml2.entity.pre_encryption_part, CryptoBackendXmlSec1.encrypt_assertion = TEMPLATE, ENCRYPT
            if content is not None:
                encrypt_with(content)
            made = server.create_authn_response(
                given["identity"],
                in_response_to=None,
                destination=given["destination"],
                sp_entity_id=given["audience"],
                name_id=NameID(format=NAMEID_FORMAT_PERSISTENT, text=given["name_id"]),
                authn={"class_ref": "urn:oasis:names:tc:SAML:2.0:ac:classes:Password", "authn_auth": given["entity"]},
                **options,
            )
            responses.append(str(made))
        json.dump({"metadata": str(entity_descriptor(config)), "responses": responses}, sys.stdout)


if __name__ == "__main__":
    main()

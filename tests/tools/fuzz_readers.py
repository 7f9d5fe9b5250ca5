"""Fuzzing of all that reads input of outside identities: `python tests/tools/fuzz_readers.py --minutes 5`.

Four targets, one process each: `saml` (responses, encrypted ones too, and metadata), `oidc` (tokens, JWKS and discovery),
`cognito` (tokens of user pools and identity pools) and `certificates` (requests of CreateSession, certificates, revocation
lists). An input is a letter for its kind and the input itself. A finding is

- an exception that is not in the documented tree of errors,
- more than a second of CPU time for one input, of up to 1 MB,
- an accepted mutation: an input that verifies, and whose signed content is not that of a seed.

The first finding of a target ends it; the input is in `build/fuzz/`, the exit code is 1. Keys are new in each process. Kinds
whose input the target signs or encrypts itself (`S`, `D`, `H`, `P`, `J`, `E`) reach what is read behind a signature, and may be
accepted.
Needs the extra `fuzz`.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from fuzz_cognito import Cognito  # noqa: E402
from fuzz_target import Target, require  # noqa: E402

MAX_LENGTH = 1_000_000  # bytes
INSTRUMENTED = ["fastiam.federation", "fastiam.rolesanywhere", "fastiam.cognito", "signxml", "jwt"]


class Saml(Target):
    """`R` a response as XML, `T` as base64, `S` an assertion that is signed here, `M` metadata.

    `X` is a response with an encrypted assertion, and `D` an assertion that is encrypted here.
    """

    forms = {"R": "xml", "T": "bytes", "S": "xml", "M": "xml", "X": "xml", "D": "xml"}

    def __init__(self) -> None:
        import saml_world as saml
        from lxml import etree

        self.world = saml.SamlWorld({"skew": 60})
        providers = self.world.federation.saml_providers
        providers.create(saml.A, "Elliptic", saml.metadata(saml.ec_key().text))
        providers.update(saml.CORP, encryption="Allowed", add_private_key=saml.rsa_key("sp").pem)
        trees = [saml.response_tree(signed=signed) for signed in (["assertion"], ["response"], ["assertion", "response"])]
        trees.append(
            saml.response_tree(attributes={"PrincipalTag:team": ["blue"], "TransitiveTagKeys": ["team"], "mail": ["a@b", "c"]})
        )
        trees.append(
            saml.response_tree(authn=[{"ends": 4000}], attributes={"SourceIdentity": ["eva"], "SessionDuration": ["3600"]})
        )
        texts = [etree.tostring(tree) for tree in trees]
        assertion = etree.tostring(etree.fromstring(saml.assertion_text(saml.START, attributes={"PrincipalTag:team": ["blue"]})))
        metadata = [saml.metadata(), saml.metadata(saml.ec_key().text, attributes='validUntil="2030-01-01T00:00:00Z"')]
        self.seeds = [b"R" + text for text in texts] + [b"T" + base64.b64encode(text) for text in texts]
        self.seeds += [b"S" + assertion] + [b"M" + text.encode() for text in metadata]
        sealed = [
            saml.response_tree(encrypt={}),
            saml.response_tree(signed=["response"], encrypt={"content": "aes128-cbc", "transport": "oaep-sha256"}),
            saml.response_tree(signed=["assertion", "response"], encrypt={"beside": True}),
        ]
        encrypted = [etree.tostring(tree) for tree in sealed]
        own = etree.tostring(saml.sign(etree.fromstring(assertion)))
        self.seeds += [b"X" + text for text in encrypted] + [b"D" + assertion, b"D" + own]
        self.results = [self._verified(base64.b64encode(text).decode()) for text in (*texts, *encrypted)]
        self.signed = {form for text in (*texts, *encrypted, own) for form in self._signed(text)}

    def _verified(self, text: str) -> Any:
        import saml_world as saml

        return self.world.federation.verify_saml(saml.DEV, saml.CORP, text)

    def _signed(self, text: bytes) -> list[bytes]:
        """The canonical forms of the elements that carry a signature, without it."""
        from lxml import etree

        signature = "{http://www.w3.org/2000/09/xmldsig#}Signature"
        root = etree.fromstring(text)
        found = []
        for element in (each.getparent() for each in list(root.iter(signature))):
            alone = etree.fromstring(etree.tostring(element, with_tail=False))
            for each in list(alone.iter(signature)):
                each.getparent().remove(each)
            found.append(bytes(etree.tostring(alone, method="c14n", exclusive=True)))
        return found

    def read(self, kind: str, data: bytes) -> bool:
        import saml_world as saml
        from lxml import etree

        if kind == "M":
            from fastiam.federation.saml_metadata import read_metadata

            metadata = read_metadata(data.decode("utf-8", "surrogateescape"))
            metadata.is_valid(saml.START)
            return all(isinstance(key.is_valid(saml.START), bool) for key in metadata.keys)
        if kind == "S":
            try:
                response = etree.fromstring(saml.response_text(saml.START, "<x/>"))
                signed = saml.sign(etree.fromstring(data)) if b"Signature" not in data else etree.fromstring(data)
                response.replace(response[-1], signed)
                data = etree.tostring(response)
            except Exception:  # what cannot be signed is not an input
                return False
            return bool(self._verified(base64.b64encode(data).decode()))
        if kind == "D":
            return self._read_encrypted(data)
        text = data.decode("utf-8", "surrogateescape") if kind == "T" else base64.b64encode(data).decode()
        result = self._verified(text)
        require(result in self.results, "the assertion is none of the seeds")
        signed = self._signed(base64.b64decode("".join(text.split())))
        is_visible = bool(signed) or kind == "X"  # the only signature may be in the ciphertext
        require(is_visible and set(signed) <= self.signed, "the signed XML is none of the seeds")
        return True

    def _read_encrypted(self, plain: bytes) -> bool:
        """Bytes in place of an assertion, encrypted in one of three ways; two of them have a signed Response."""
        import saml_world as saml
        from lxml import etree

        is_signed, content = [(False, "aes256-gcm"), (True, "aes256-gcm"), (True, "aes256-cbc")][len(plain) % 3]
        assertion = saml.encrypted(plain, saml.rsa_key("sp").private.public_key(), content=content)
        response = etree.fromstring(saml.response_text(saml.START, etree.tostring(assertion).decode()))
        made = self._verified(base64.b64encode(etree.tostring(saml.sign(response) if is_signed else response)).decode())
        signed = self._signed(plain)
        require(is_signed or bool(signed), "an assertion that nothing signs")
        require(set(signed) <= self.signed, "the signed XML is none of the seeds")
        return bool(made)


class Oidc(Target):
    """`T` a token, `H` header and payload in two lines, signed here, `K` a JWKS, `D` a discovery document."""

    forms = {"T": "token", "H": "json", "K": "json", "D": "json"}

    def __init__(self) -> None:
        import oidc_world as oidc

        self.keys = [oidc.jwk("RSA"), oidc.jwk("P-256", "k2"), oidc.jwk("P-521", "k5")]
        self.world = world = oidc.OidcWorld(issuer=oidc.Issuer(oidc.URL, *self.keys))
        tags = {"principal_tags": {"team": ["blue"]}, "transitive_tag_keys": ["team"]}
        tokens = [
            world.token(),
            world.token("P-256", {"kid": "k2"}, sub="u2", aud=[oidc.CLIENT, "other"], azp=oidc.CLIENT),
            world.token("P-521", {"kid": "k5"}, nbf=world.now, jti="j1", amr=["mfa"]),
            world.token(
                header={"kid": ...}, **{"https://aws.amazon.com/tags": tags, "https://aws.amazon.com/source_identity": "eva"}
            ),
        ]
        self.tokens = {token.encode(): world.federation.verify_web_identity(oidc.WEB, "run1", token) for token in tokens}
        self.seeds = [b"T" + token for token in self.tokens]
        self.seeds += [b"H" + b"\n".join(map(_decoded, token.split(b".")[:2])) for token in self.tokens]
        self.seeds.append(b"K" + json.dumps({"keys": self.keys}).encode())
        self.seeds.append(b"D" + json.dumps({"issuer": oidc.URL, "jwks_uri": world.issuer.jwks}).encode())

    def read(self, kind: str, data: bytes) -> bool:
        import oidc_world as oidc

        from fastiam.federation import FetchResult
        from fastiam.federation.issuer_keys import IssuerKeys, KeySource
        from fastiam.federation.oidc_token import read_token

        issuer, verify = self.world.issuer, self.world.federation.verify_web_identity
        if kind == "T":
            result = verify(oidc.WEB, "run1", data.decode("utf-8", "surrogateescape"))
            require(result == self.tokens.get(data), "the token is none of the seeds")
            return True
        if kind == "H":
            header, _, payload = data.partition(b"\n")
            found = (each for each in (("P-256", "ES256"), ("P-521", "ES512")) if each[1].encode() in header)
            name, algorithm = next(found, ("RSA", "RS256"))
            signing = f"{oidc.b64(header)}.{oidc.b64(payload)}"
            signature = oidc.jwt.get_algorithm_by_name(algorithm).sign(signing.encode(), oidc.private_key(name))
            result = verify(oidc.WEB, "run1", f"{signing}.{oidc.b64(signature)}")
            claims = json.loads(payload)
            require((result.subject, result.issuer) == (claims["sub"], oidc.URL), "other claims than those that are signed")
            return True
        asked = issuer.jwks if kind == "K" else issuer.discovery
        issuer.answers = {asked: FetchResult(200, data, {})}
        issuer.asked.clear()
        try:
            found = IssuerKeys(lambda url, limits: _answer(issuer, url, limits), frozenset()).find(
                KeySource(oidc.PROVIDER, "id", oidc.URL), None, self.world.clock()
            )
        finally:
            issuer.answers = {}
        for key in found.keys:
            numbers = key.key.public_numbers()
            is_listed = any(self._is_same(jwk, numbers) for jwk in (json.loads(data)["keys"] if kind == "K" else self.keys))
            require(is_listed, "a key that the issuer does not list")
        for text in self.tokens:
            token = read_token(text.decode())
            if candidates := found.candidates(token.key_id, token.algorithm):
                token.verify(candidates)
        return True

    def _is_same(self, jwk: Any, numbers: Any) -> bool:
        own = [getattr(numbers, "n", None), getattr(numbers, "x", None)]
        text = jwk.get("n" if own[0] is not None else "x")
        try:
            return isinstance(text, str) and int.from_bytes(_decoded(text.encode()), "big") in own
        except ValueError:  # another key of the list, which is skipped
            return False


def _answer(issuer: Any, url: str, limits: Any) -> Any:
    from fastiam.federation import FetchError

    if url not in (issuer.jwks, issuer.discovery):
        raise FetchError("an address that is not there", is_reachable=False)
    return issuer.fetch(url, limits)


def _decoded(part: bytes) -> bytes:
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))


class Certificates(Target):
    """`Q` a request of CreateSession; in such a request `L` the certificate and `I` one of the chain, `P` and `J` the same
    without signature, which is made here; `C` a revocation list, `E` one without signature; `A` PEM text of a trust anchor.
    """

    forms = {"Q": "bytes", "L": "der", "I": "der", "P": "der", "J": "der", "C": "der", "E": "der", "A": "bytes"}

    def __init__(self) -> None:
        import x509_world as x

        self.root = x.issue("Root", ca=True)
        self.chained = x.issue("CA1", self.root, ca=True, path_length=0)
        san = [("DNS", "a.example"), ("URI", "spiffe://a/b"), ("email", "a@b.example"), ("Name", [("CN", "x"), ("OU", "y")])]
        self.host = x.issue([("CN", "host1"), ("OU", "ops"), ("O", "Example")], self.root, eku=["client"], san=san)
        self.below = x.issue("host2", self.chained)
        self.rsa = x.issue("host3", self.root, key="rsa")
        self.list = x.crl(self.root, [5, 6])
        self._open()
        drafts = [self.world.draft(self.host), self.world.draft(self.rsa, place="query", durationSeconds=900)]
        drafts.append(replace(self.world.draft(self.below, instanceProperties={"a": "b"}), chain=[self.chained]))
        self.requests = [draft.signed() for draft in drafts]
        self.signed = [self._canonical(request) for request in self.requests]
        crl = x.x509.load_pem_x509_crl(self.list.encode())
        self.crl_der = crl.public_bytes(x.Encoding.DER)
        hosts = (self.host, self.below, self.rsa)
        self.ders = {each.der for each in (*hosts, self.chained)}
        self.seeds = [b"Q" + self._text(request) for request in self.requests]
        self.seeds += [b"L" + self.host.der, b"P" + self.host.cert.tbs_certificate_bytes]
        self.seeds += [b"I" + self.chained.der, b"J" + self.chained.cert.tbs_certificate_bytes]
        self.seeds += [b"C" + self.crl_der, b"E" + crl.tbs_certlist_bytes, b"A" + self.root.pem.encode()]

    def _open(self) -> None:
        """A new directory: accepted input leaves subjects in it. The ARNs are those of the first one, which requests name."""
        import x509_world as x

        old = getattr(self, "world", None)
        self.world = world = x.World(root=self.root)
        if old is not None:
            for arn in (old.anchor, old.profile):
                world.directory.add_roles_anywhere(old.objects.get(arn))
            world.anchor, world.profile = old.anchor, old.profile

    def _text(self, request: Any) -> bytes:
        query = request.query if isinstance(request.query, str) else "&".join(f"{name}={value}" for name, value in request.query)
        lines = [query, *(f"{name}: {value}" for name, value in request.headers), "", ""]
        return "\n".join(lines).encode() + request.body

    def _request(self, data: bytes) -> Any:
        from fastiam.rolesanywhere import SignedRequest

        head, _, body = data.partition(b"\n\n")
        query, *lines = head.decode("utf-8", "surrogateescape").split("\n")
        pairs = [line.partition(": ")[::2] for line in lines]
        return SignedRequest(headers=pairs, query=query, body=body)

    def _canonical(self, request: Any) -> tuple[object, ...]:
        """What the signature of a request covers, as far as it says who wants what."""
        names = {name.lower(): " ".join(value.split()) for name, value in request.headers}
        query = tuple(sorted(self._pairs(request.query)))
        covered = ("host", "x-amz-date", "x-amz-x509", "x-amz-x509-chain", "content-type")
        return (query, tuple(names.get(name) for name in covered), request.body)

    @staticmethod
    def _pairs(query: Any) -> list[tuple[str, str]]:
        from urllib.parse import unquote

        if not isinstance(query, str):
            return list(query)
        return [(unquote(name), unquote(value)) for name, _, value in (part.partition("=") for part in query.split("&") if part)]

    def _with(self, leaf: bytes, identity: Any, chain: bytes | None = None) -> Any:
        """A session for a certificate, in a request that its client has signed."""
        import x509_world as x

        draft = self.world.draft(identity)
        try:
            draft.serial = f"{x.x509.load_der_x509_certificate(leaf).serial_number}"
        except Exception:  # a serial number is needed only where it can be read
            draft.serial = "1"
        if chain is not None:
            draft.chain = [_Encoded(chain)]  # type: ignore[list-item]
        return self.world.anywhere.create_session(draft.signed(x509_header=leaf))

    def read(self, kind: str, data: bytes) -> bool:
        self.world.events.clear()
        if len(self.world.objects.subjects()) > 50:
            self._open()
        return bool(getattr(self, f"_read_{kind.lower()}")(data))

    def _read_q(self, data: bytes) -> bool:
        request = self._request(data)
        made = self.world.anywhere.create_session(request)
        require(self._canonical(request) in self.signed, "the request is none of the seeds")
        return made is not None

    def _read_l(self, data: bytes) -> bool:
        made = self._with(data, self.host)
        require(data in self.ders, "the certificate is none of the seeds")
        return made is not None

    def _read_i(self, data: bytes) -> bool:
        made = self._with(self.below.der, self.below, data)
        require(data in self.ders, "the certificate authority is none of the seeds")
        return made is not None

    def _read_p(self, data: bytes) -> bool:
        return self._with(self._resigned(self.host.der, data), self.host) is not None

    def _read_j(self, data: bytes) -> bool:
        return self._with(self.below.der, self.below, self._resigned(self.chained.der, data)) is not None

    def _resigned(self, der: bytes, content: bytes) -> bytes:
        """The outside of a DER encoding around other signed content, signed by the root."""
        import x509_world as x

        signature = self.root.key.sign(content, x.ec.ECDSA(x.hashes.SHA256()))
        return x.tlv(0x30, content + x.parts_of(x.inner(der))[1] + x.tlv(3, b"\0" + signature))

    def _read_c(self, data: bytes) -> bool:
        is_read = self._import(data)
        require(data == self.crl_der, "the revocation list is none of the seeds")
        return is_read

    def _read_e(self, data: bytes) -> bool:
        return self._import(self._resigned(self.crl_der, data))

    def _import(self, der: bytes) -> bool:
        """Import a revocation list, then use it."""
        text = f"-----BEGIN X509 CRL-----\n{base64.encodebytes(der).decode()}-----END X509 CRL-----\n"
        made = self.world.objects.import_crl("crl", text, self.world.anchor, enabled=True)
        try:
            self.world.create(self.host)
        finally:
            self.world.objects.delete(made.arn)
        return True

    def _read_a(self, data: bytes) -> bool:
        import x509_world as x

        made = self.world.objects.create_trust_anchor(x.A, x.REGION, "other", certificates=data, enabled=True)
        try:
            self.world.create(self.host, anchor=made.arn)
        finally:
            self.world.objects.delete(made.arn)
        return True


class _Encoded:
    """Bytes in place of a certificate."""

    def __init__(self, der: bytes) -> None:
        self.der = der


TARGETS: dict[str, type[Target]] = {"saml": Saml, "oidc": Oidc, "cognito": Cognito, "certificates": Certificates}


def mutator(target: Target) -> Any:
    """A mutation that keeps the form of an input four times of five."""
    import fuzz_mutators as mutators

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if not data or chr(data[0]) not in target.forms or rng.randrange(8) == 0:
            data = rng.choice(target.seeds)
        kind, content = data[:1], data[1:]
        form = target.forms[kind.decode()]

        def bytes_of(part: bytes) -> bytes:
            return mutators.mutated_bytes(part, rng, rng.choice(target.seeds))

        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            if form == "bytes" or rng.randrange(5) == 0:
                content = bytes_of(content)
            elif form == "token":
                parts = content.split(b".")
                i = rng.randrange(len(parts))
                try:
                    raw = _decoded(parts[i])
                except ValueError:
                    continue
                raw = mutators.mutated_json(raw, rng, bytes_of) if i < 2 and rng.randrange(2) else bytes_of(raw)
                parts[i] = base64.urlsafe_b64encode(raw).rstrip(b"=")
                content = b".".join(parts)
            elif form == "json" and kind == b"H":
                lines = content.split(b"\n", 1)
                i = rng.randrange(len(lines))
                lines[i] = mutators.mutated_json(lines[i], rng, bytes_of)
                content = b"\n".join(lines)
            else:
                content = getattr(mutators, f"mutated_{form}")(content, rng, bytes_of)
        return (kind + content)[:max_size]

    return mutate


def fuzz(name: str, minutes: float, folder: Path) -> None:
    """Run one target in this process; the process ends with it."""
    import warnings

    import atheris

    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=INSTRUMENTED):
        import fastiam.cognito
        import fastiam.federation
        import fastiam.rolesanywhere  # noqa: F401
    target = TARGETS[name]()
    corpus = folder / f"{name}-corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for old in corpus.iterdir():
        old.unlink()  # its signatures are of other keys
    for i, seed in enumerate(target.seeds):
        (corpus / f"seed-{i}").write_bytes(seed)
    options = [
        f"-max_total_time={int(60 * minutes)}",
        f"-max_len={MAX_LENGTH}",
        f"-artifact_prefix={folder}/{name}-",
        "-timeout=30",
    ]
    options += ["-rss_limit_mb=3000", "-print_final_stats=1", "-verbosity=1"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda data: void(target(data)), custom_mutator=mutator(target))
    atheris.Fuzz()


def void(_: object) -> None:
    """The fuzzer takes no result."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="*", help=f"{', '.join(TARGETS)}; all by default")
    parser.add_argument("--minutes", type=float, default=5, help="how long to run each target")
    parser.add_argument("--folder", type=Path, default=Path("build/fuzz"), help="where findings and the corpus go")
    given = parser.parse_args()
    names = given.target or list(TARGETS)
    if len(names) == 1:
        fuzz(names[0], given.minutes, given.folder)
    command = [sys.executable, __file__, "--minutes", str(given.minutes), "--folder", str(given.folder)]
    running = [subprocess.Popen([*command, name]) for name in names]
    codes = [process.wait() for process in running]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())

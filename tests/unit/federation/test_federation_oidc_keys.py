"""Keys of an issuer: discovery, JWKS, cache and rotation (federation.md 3.4), and the providers that name it (1.4 to 1.9)."""

from __future__ import annotations

import json
import threading
from contextlib import suppress

import pytest
from oidc_world import CALLS, CLIENT, PROVIDER, URL, WEB, A, Issuer, OidcWorld, jwk
from sts_fixture import CHEAP, document

import fastiam
from fastiam.federation import Federation, FederationSettings, FetchError, FetchResult, IdentityTokenError, ProviderError
from fastiam.federation.issuer_keys import KeySource
from fastiam.sts import STS, Keyring

UNREACHABLE = FetchError("no connection", is_reachable=False)


def rotated(*keys):
    """A world whose keys are cached, and whose issuer then has others."""
    world = OidcWorld()
    world.assume()
    world.issuer.keys = list(keys)
    return world


# -- cache and rotation ---------------------------------------------------------------------------------------------------


def test_unknown_key_id_causes_one_read_in_a_minute():
    """F081."""
    world = rotated(jwk("RSA 2", "k2"))
    assert world.outcome(world.token("RSA 2", {"kid": "k2"})) == "OK" and world.issuer.rounds == 2
    for number in range(100):
        assert world.outcome(world.token(header={"kid": f"x{number}"})) == "InvalidIdentityToken"
    assert world.issuer.rounds == 2
    world.clock.tick(59)
    assert world.outcome(world.token(header={"kid": "x"})) == "InvalidIdentityToken" and world.issuer.rounds == 2
    world.clock.tick(1)
    assert world.outcome(world.token(header={"kid": "x"})) == "InvalidIdentityToken" and world.issuer.rounds == 3


def test_unknown_key_ids_without_cache_cause_one_read_per_minute():
    """F081: the first read counts for the call that made it."""
    world = OidcWorld()
    for number in range(100):
        assert world.outcome(world.token(header={"kid": f"x{number}"})) == "InvalidIdentityToken"
    assert world.issuer.rounds == 2


def test_wrong_signature_causes_no_read():
    world = rotated(jwk("RSA 2"))
    assert world.outcome(world.token("RSA 2")) == "InvalidIdentityToken"
    assert world.outcome(world.token("RSA 2", {"kid": ...})) == "InvalidIdentityToken"
    assert world.issuer.rounds == 1


def test_key_that_left_the_jwks_verifies_nothing():
    """F083."""
    world = rotated(jwk("RSA 2", "k2"))
    assert world.outcome() == "OK"  # from the cache
    world.clock.tick(3600)
    assert world.outcome() == "InvalidIdentityToken" and world.issuer.rounds == 2
    assert world.outcome(world.token("RSA 2", {"kid": "k2"})) == "OK"


@pytest.mark.parametrize("failure", [UNREACHABLE, FetchResult(503, b""), FetchResult(429, b"")], ids=["no answer", "503", "429"])
@pytest.mark.parametrize("address", [Issuer().discovery, Issuer().jwks])
def test_cached_keys_last_a_day_while_the_issuer_is_unreachable(failure, address):
    """F083: an hour, and a day."""
    world = rotated()
    world.issuer.answers = {address: failure}
    start = world.clock()
    world.clock.tick(3600)
    assert world.outcome() == "OK"
    world.clock.tick(86_400 - 3600 - 1)
    assert world.outcome() == "OK"
    world.clock.tick(1)
    assert (world.clock() - start).total_seconds() == 86_400
    assert world.outcome() == "IDPCommunicationError"
    world.issuer.answers, world.issuer.keys = {}, [jwk("RSA")]
    world.clock.tick(60)
    assert world.outcome() == "OK"


def test_unreachable_issuer_is_read_once_a_minute():
    world = rotated()
    world.clock.tick(3600)
    world.issuer.answers = {world.issuer.discovery: UNREACHABLE}
    n_reads = len(world.issuer.asked)
    for _ in range(10):
        assert world.outcome() == "OK"
    assert len(world.issuer.asked) == n_reads + 1
    world.clock.tick(60)
    assert world.outcome() == "OK" and len(world.issuer.asked) == n_reads + 2


@pytest.mark.parametrize(
    ("answer", "code"),
    [(UNREACHABLE, "IDPCommunicationError"), (FetchResult(404, b""), "InvalidIdentityToken")],
    ids=["down", "wrong"],
)
def test_issuer_that_never_answered_is_read_once_a_minute(answer, code):
    """WI45: no client makes others wait by tokens of an issuer that is silent."""
    world = OidcWorld()
    world.issuer.answers = {world.issuer.discovery: answer}
    assert [world.outcome() for _ in range(10)] == [code] * 10
    assert len(world.issuer.asked) == 1
    world.clock.tick(59)
    assert world.outcome() == code and len(world.issuer.asked) == 1
    world.clock.tick(1)
    assert world.outcome() == code and len(world.issuer.asked) == 2
    world.issuer.answers = {}
    world.clock.tick(60)
    assert world.outcome() == "OK"


@pytest.mark.parametrize("had_keys", [False, True], ids=["failing", "with keys"])
def test_call_does_not_wait_for_a_read_that_it_does_not_need(had_keys):
    """WI45: a usable key is used, and a failure is the answer, while another call reads."""
    world = OidcWorld()
    if not had_keys:
        world.issuer.answers = {world.issuer.discovery: UNREACHABLE}
    first = world.outcome()
    world.clock.tick(3600)
    began, ends = threading.Event(), threading.Event()

    def read():
        began.set()
        assert ends.wait(60)

    world.issuer.before = read

    def call():
        with suppress(fastiam.FastiamError):
            world.assume()

    reader = threading.Thread(target=call)
    reader.start()
    assert began.wait(60)
    world.issuer.before = lambda: None
    n_reads = len(world.issuer.asked)
    assert [world.outcome() for _ in range(3)] == [first] * 3
    assert len(world.issuer.asked) == n_reads
    ends.set()
    reader.join(60)
    assert first == ("OK" if had_keys else "IDPCommunicationError")


def test_wrong_answer_does_not_count_as_a_failed_read():
    """WI41, WI46: an issuer that answers something else is not down."""
    world = rotated()
    world.clock.tick(3600)
    world.issuer.answers = {world.issuer.jwks: FetchResult(404, b"")}
    assert world.outcome() == "InvalidIdentityToken"


@pytest.mark.parametrize(
    ("header", "fresh"),
    [
        ("", 3600),
        ("max-age=600", 600),
        ("public, MAX-AGE = 600, immutable", 600),
        ("max-age=0", 300),
        ("no-store", 3600),
        ("max-age=999999999", 86_400),
        ("s-maxage=600", 3600),
        ("max-age=soon", 3600),
    ],
)
def test_cache_is_fresh_for_the_time_of_the_header(header, fresh):
    world = OidcWorld()
    world.issuer.headers = {"cache-control": header}
    world.assume()
    world.clock.tick(fresh - 1)
    assert world.outcome() == "OK" and world.issuer.rounds == 1
    world.clock.tick(1)
    assert world.outcome() == "OK" and world.issuer.rounds == 2


def test_clock_that_was_set_back_makes_cached_keys_old():
    world = OidcWorld()
    world.assume()
    world.clock.tick(-10)
    assert world.outcome() == "OK" and world.issuer.rounds == 2


class CountedLock:
    """A lock that counts who has come."""

    def __init__(self, expected: int) -> None:
        self._lock, self._semaphore = threading.Lock(), threading.Semaphore(0)
        self._expected = expected

    def acquire(self, blocking: bool = True) -> bool:
        self._semaphore.release()
        return self._lock.acquire(blocking)

    def release(self) -> None:
        self._lock.release()

    def wait_for_all(self) -> None:
        for _ in range(self._expected):
            assert self._semaphore.acquire(timeout=30)


@pytest.mark.parametrize("is_down", [False, True])
def test_concurrent_calls_share_one_read(is_down):
    """WI45: success and failure."""
    world, calls = OidcWorld(), 8
    keys, record = world.federation._web._keys, world.directory.tables.oidc_providers[PROVIDER]
    entry, lock = keys._entry(KeySource(PROVIDER, record.unique_id, URL)), CountedLock(calls)
    entry.lock = lock
    world.issuer.before = lambda: lock.wait_for_all() if len(world.issuer.asked) == 1 else None
    if is_down:
        world.issuer.answers = {world.issuer.discovery: UNREACHABLE}
    codes: list[str] = []

    def call():
        try:
            world.assume()
            codes.append("OK")
        except fastiam.FastiamError as error:
            codes.append(error.code)

    threads = [threading.Thread(target=call) for _ in range(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert codes == ["IDPCommunicationError" if is_down else "OK"] * calls
    assert world.issuer.asked.count(world.issuer.discovery) == 1


def test_forked_child_reads_the_keys_itself():
    """A thread of the parent may hold a lock of the cache."""
    world = OidcWorld()
    world.assume()
    keys = world.federation._web._keys
    with keys._lock:
        keys._forked()
        assert world.outcome() == "OK" and world.issuer.rounds == 2


def test_changed_provider_has_no_cached_keys():
    """WI47: thumbprints, client ids, or another record under the same name."""
    world = OidcWorld()
    world.assume()
    world.federation.oidc_providers.update_thumbprints(PROVIDER, ["0" * 40])
    assert world.outcome() == "OK" and world.issuer.rounds == 2
    world.federation.oidc_providers.delete(PROVIDER)
    world.federation.oidc_providers.create(A, URL, client_ids=[CLIENT], thumbprints=["0" * 40])
    assert world.outcome() == "OK" and world.issuer.rounds == 3


def test_keys_of_two_issuers_are_apart():
    """The same key id, and a key that only the other one has."""
    world = OidcWorld()
    world.federation.oidc_providers.create(
        A, "https://evil.example", client_ids=[CLIENT], keys=json.dumps({"keys": [jwk("RSA 2")]})
    )
    world.set_trust(PROVIDER, CALLS, {})
    assert world.outcome(world.token("RSA 2")) == "InvalidIdentityToken"
    assert world.outcome(world.token("RSA 2", iss="https://evil.example")) == "AccessDenied"
    assert world.outcome(world.token()) == "OK"


def test_pinned_keys_need_no_network():
    """IP33."""
    world = OidcWorld(fetch=None)
    assert world.outcome() == "IDPCommunicationError"  # a deployment without network access
    world.federation.oidc_providers.pin_keys(PROVIDER, json.dumps({"keys": [jwk("RSA")]}))
    assert world.outcome() == "OK"
    assert world.outcome(world.token(header={"kid": "other"})) == "InvalidIdentityToken"
    world.federation.oidc_providers.pin_keys(PROVIDER, json.dumps({"keys": [jwk("RSA 2")]}))
    assert world.outcome() == "InvalidIdentityToken"
    world.federation.oidc_providers.pin_keys(PROVIDER, "")
    assert world.outcome() == "IDPCommunicationError"


def test_issuer_that_is_not_named_is_not_read():
    """G151: a tenant can create a provider for any URL. Pinned keys need no read."""
    for url in (URL + "/", URL + ".evil", "https://evil.example"):
        world = OidcWorld(settings=FederationSettings(fetched_issuers=frozenset({url})))
        assert world.outcome() == "IDPCommunicationError" and world.issuer.asked == []
        world.federation.oidc_providers.pin_keys(PROVIDER, json.dumps({"keys": [jwk("RSA")]}))
        assert world.outcome() == "OK"
    world = OidcWorld(settings=FederationSettings(fetched_issuers=frozenset({URL})))
    assert world.outcome() == "OK" and world.issuer.rounds == 1


def test_private_key_in_a_jwks_is_skipped_with_a_warning():
    world = OidcWorld(issuer=Issuer(URL, jwk("RSA"), jwk("RSA 2", "k2", d="AQAB")))
    assert world.outcome() == "OK" and "WI43" in world.events[-1].warnings[0]


# -- wrong answers --------------------------------------------------------------------------------------------------------


def discovery(**changes):
    return FetchResult(200, json.dumps({"issuer": URL, "jwks_uri": f"{URL}/jwks"} | changes).encode())


DISCOVERIES = {
    "another issuer": discovery(issuer="https://evil.example"),
    "trailing slash": discovery(issuer=f"{URL}/"),
    "no issuer": discovery(issuer=None),
    "http": discovery(jwks_uri="http://169.254.169.254/latest/meta-data"),
    "file": discovery(jwks_uri="file:///etc/passwd"),
    "user": discovery(jwks_uri="https://me@oidc.example/jwks"),
    "no address": discovery(jwks_uri=None),
    "no host": discovery(jwks_uri="https:///jwks"),
    "bad port": discovery(jwks_uri="https://oidc.example:99999/jwks"),
    "redirect": FetchResult(302, b"", {"location": "https://evil.example/"}),
    "404": FetchResult(404, b""),
    "HTML": FetchResult(200, b"<html></html>"),
    "twice": FetchResult(200, b'{"issuer": "%s", "issuer": "%s", "jwks_uri": "x"}' % (URL.encode(), URL.encode())),
    "64 KiB and 1": FetchResult(200, discovery().body + b" " * 65_536),
}
JWKS = {
    "redirect": FetchResult(307, b"", {"location": "https://evil.example/"}),
    "404": FetchResult(404, b""),
    "HTML": FetchResult(200, b"<html></html>"),
    "300 KiB": FetchResult(200, json.dumps({"keys": [jwk("RSA")], "x": "a" * 307_200}).encode()),
    "no keys": FetchResult(200, b"{}"),
    "no list": FetchResult(200, b'{"keys": {}}'),
    "no objects": FetchResult(200, b'{"keys": [1]}'),
    "101 of a type": FetchResult(200, json.dumps({"keys": [jwk("RSA")] + [{"kty": "OKP"}] * 101}).encode()),
    "16,384 bits": FetchResult(200, json.dumps({"keys": [{"kty": "RSA", "kid": "k1", "e": "AQAB", "n": "_" * 2731}]}).encode()),
    "8,193 bits": FetchResult(
        200, json.dumps({"keys": [{"kty": "RSA", "kid": "k1", "e": "AQAB", "n": "AX" + "_" * 1365}]}).encode()
    ),
    "deep": FetchResult(200, b'{"keys": [], "x": ' + b"[" * 17 + b"]" * 17 + b"}"),
}


@pytest.mark.parametrize("name", DISCOVERIES)
def test_wrong_discovery_is_refused_and_leads_nowhere(name):
    """F084, F213."""
    world = OidcWorld()
    world.issuer.answers = {world.issuer.discovery: DISCOVERIES[name]}
    assert world.outcome() == "InvalidIdentityToken"
    assert world.issuer.asked == [world.issuer.discovery]


@pytest.mark.parametrize("name", JWKS)
def test_wrong_jwks_is_refused(name):
    """F212, F213."""
    world = OidcWorld()
    world.issuer.answers = {world.issuer.jwks: JWKS[name]}
    assert world.outcome() == "InvalidIdentityToken"
    assert set(world.issuer.asked) == {world.issuer.discovery, world.issuer.jwks}


@pytest.mark.parametrize("status", [500, 503, 429])
def test_status_of_an_overloaded_issuer_is_a_communication_error(status):
    """F213."""
    world = OidcWorld()
    world.issuer.answers = {world.issuer.jwks: FetchResult(status, b"")}
    assert world.outcome() == "IDPCommunicationError"


def test_hundred_keys_of_a_type_are_read():
    keys = [jwk("RSA 2", f"x{number}") for number in range(99)]
    world = OidcWorld(issuer=Issuer(URL, *keys, jwk("RSA")))
    assert world.outcome() == "OK"


def test_discovery_of_a_url_with_a_trailing_slash():
    """F210."""
    world = OidcWorld(url="https://x.example/")
    assert world.provider.endswith("oidc-provider/x.example/")
    assert world.outcome() == "OK"
    assert world.issuer.asked[0] == "https://x.example/.well-known/openid-configuration"


# -- providers ------------------------------------------------------------------------------------------------------------


def code_of(call, *args, **kwargs):
    with pytest.raises(ProviderError) as error:
        call(*args, **kwargs)
    return error.value.code


@pytest.fixture(params=["strict", "lenient"])
def providers(request):
    """Writes by calls of IAM keep the rules, whatever the mode of the directory."""
    return OidcWorld(mode=request.param).federation.oidc_providers


@pytest.mark.parametrize(
    "url",
    ["https://x.example:8443", "https://x.example/?a", "https://x.example#a", "http://x.example", "x.example", "https://",
     "https://me@x.example", "https://x.example/" + "a" * 238, "https://graph.facebook.com",
     "https://www.amazon.com", "https://cognito-identity.amazonaws.com", "https://x.example/a b"],
)  # fmt: skip
def test_url_of_a_provider_is_checked(providers, url):
    """F010, IP21."""
    assert code_of(providers.create, A, url, client_ids=["a"]) == "InvalidInput"


def test_url_of_a_provider_is_taken_once(providers):
    """F010."""
    assert code_of(providers.create, A, URL) == "EntityAlreadyExists"
    assert providers.create(A, f"{URL}/").url == "oidc.example/"
    pool = providers.create(A, "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_AbCdEf123")
    assert providers.get(pool.arn).created is not None and pool in providers.list(A)


def test_client_ids_are_added_up_to_a_hundred(providers):
    """F011."""
    for number in range(99):
        providers.add_client_id(PROVIDER, f"c{number}")
    assert code_of(providers.add_client_id, PROVIDER, "c100") == "LimitExceeded"
    assert providers.add_client_id(PROVIDER, "c7").client_ids == providers.get(PROVIDER).client_ids
    assert len(providers.get(PROVIDER).client_ids) == 100
    assert CLIENT not in providers.remove_client_id(PROVIDER, CLIENT).client_ids
    assert len(providers.remove_client_id(PROVIDER, CLIENT).client_ids) == 99
    assert code_of(providers.create, A, "https://y.example", client_ids=[f"c{number}" for number in range(101)]) == "InvalidInput"


def test_limits_and_forms_of_a_provider(providers):
    assert code_of(providers.add_client_id, PROVIDER, "") == "InvalidInput"
    assert code_of(providers.update_thumbprints, PROVIDER, ["0" * 40] * 6) == "InvalidInput"
    assert code_of(providers.update_thumbprints, PROVIDER, ["x"]) == "InvalidInput"
    for wrong in ("app1", 7, None):
        assert code_of(providers.create, A, "https://y.example", client_ids=wrong) == "InvalidInput"
    assert code_of(providers.create, A, None) == code_of(providers.create, A, "https://y.example", keys=7) == "InvalidInput"
    assert code_of(providers.create, A, "https://y.example", keys="{}") == "InvalidInput"
    assert code_of(providers.create, A, "https://y.example", keys='{"keys": []}') == "InvalidInput"
    assert code_of(providers.create, A, "https://y.example", ContextProvider={}) == "InvalidInput"  # IP18
    for number in range(99):
        providers.create(A, f"https://x{number}.example")
    assert code_of(providers.create, A, "https://y.example") == "LimitExceeded"


def test_missing_provider_is_no_such_entity_but_deleted(providers):
    """F012."""
    gone = f"{PROVIDER}/gone"
    providers.delete(gone)
    assert code_of(providers.get, []) == "NoSuchEntity"
    for call in (providers.get, lambda arn: providers.add_client_id(arn, "a"), lambda arn: providers.remove_client_id(arn, "a"),
                 lambda arn: providers.update_thumbprints(arn, []), lambda arn: providers.pin_keys(arn, "")):  # fmt: skip
        assert code_of(call, gone) == "NoSuchEntity"


def test_write_of_a_provider_is_an_event():
    """9.4: who, which object, what changed; also for a refused write."""
    world = OidcWorld()
    world.federation.oidc_providers.tag(PROVIDER, {"team": "blue"}, caller="arn:aws:iam::111111111111:user/ana")
    assert world.federation.oidc_providers.get(PROVIDER).tags == {"team": "blue"}
    world.federation.oidc_providers.untag(PROVIDER, ["team"])
    assert code_of(world.federation.oidc_providers.create, A, URL) == "EntityAlreadyExists"
    first, second, third = world.events
    assert (first.kind, first.account, first.outcome) == ("TagOpenIDConnectProvider", A, "success")
    assert first.details == {"provider": PROVIDER, "caller": "arn:aws:iam::111111111111:user/ana", "changed": "tags"}
    assert second.kind == "UntagOpenIDConnectProvider"
    assert (third.kind, third.outcome, third.code) == ("CreateOpenIDConnectProvider", "refused", "EntityAlreadyExists")


def test_provider_without_client_ids_accepts_no_token():
    world = OidcWorld()
    world.federation.oidc_providers.remove_client_id(PROVIDER, CLIENT)
    assert world.outcome() == "InvalidIdentityToken" and world.events[-1].rule == "WI23"


def test_trust_in_a_shared_issuer_needs_the_condition_of_iam():
    """F014, F215: the table of conditions is tests/cases/validation.json."""
    host = "token.actions.githubusercontent.com"
    who = {"Principal": {"Federated": f"arn:aws:iam::{A}:oidc-provider/{host}"}, "Action": CALLS[0], "Effect": "Allow"}
    unsafe = document(who | {"Condition": {"StringEquals": {f"{host}:aud": "sts.amazonaws.com"}}})
    strict, lenient = fastiam.Directory(), fastiam.Directory(mode="lenient")
    with pytest.raises(fastiam.PolicyError, match="IP51"):
        strict.add_principal(WEB, trust_policy=unsafe)
    lenient.add_principal(WEB, trust_policy=unsafe)
    assert [finding.code for finding in lenient.findings] == ["IP51"]
    strict.add_principal(WEB, trust_policy=document(who | {"Condition": {"StringLike": {f"{host}:sub": "repo:corp/*"}}}))


def test_missing_provider_of_an_import_refuses_tokens(tmp_path):
    """1.8: roles load without their providers, and verification is refused."""
    world = OidcWorld()
    exported = json.loads(world.directory.to_json())
    assert exported.pop("oidc_providers")[0]["client_ids"] == [CLIENT]
    path = tmp_path / "directory.json"
    path.write_text(json.dumps(exported))
    sts = STS(fastiam.load(path), Keyring.generate(), clock=world.clock, hasher=CHEAP)
    with pytest.raises(IdentityTokenError, match="no OpenIDConnect provider found"):
        Federation(sts, fetch=world.issuer.fetch).assume_role_with_web_identity(WEB, "run1", world.token())

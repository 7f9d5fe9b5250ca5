"""What a directory of plain statements may be about: each topic narrows the choices of a case."""

from __future__ import annotations

import generator_names as v
from plain_directories import Plain
from plain_names import COPIES, ENTRIES, FROM_OTHERS, GONE, LENIENT_ENTRIES, OTHER_QUEUES, PLACES, SECOND_KEY, STRANGERS
from request_generators import session


def about_names(made: Plain) -> None:
    """Many names of few principals, by which some conditions differ."""
    made.crowd, made.openness = True, made.rng.choice((0.0, 0.5))
    other = made.rng.choice((v.ANA, *STRANGERS[:1]))
    made.callers = [*made.rng.sample(COPIES, 2), v.session_arn(v.PLAIN_ROLE, "run1"), other]
    made.places = made.places[:2]
    made.narrow("userid", "username", "PrincipalArn", "MultiFactor")


def about_providers(made: Plain) -> None:
    """N3: names that are a provider for some actions alone."""
    made.callers = [v.POOLS, made.callers[0], *made.rng.sample((*v.PROVIDERS, "arn:x", "abc:x"), 3)]
    made.places += [(made.rng.choice(PLACES[5][1]), made.rng.choice(PLACES[5][2])) for _ in range(4)]
    made.lenient, made.federated = True, ("accounts.google.com", v.POOLS, v.POOLS)


def about_tags(made: Plain) -> None:
    """Tags of resources, from columns and from records."""
    made.narrow("ResourceTag")
    resources = [
        v.QUEUE,
        *OTHER_QUEUES[:2],
        v.BUCKET,
        f"{v.BUCKET}/ana/f",
        f"{v.BUCKET}/red/x",
        "arn:aws:s3:::none/k",
        v.KEY,
        v.DEP,
    ]
    made.home(made.rng.sample(resources, 5))
    made.openness = made.rng.choice((0.3, 0.7))
    for key in ("aws:ResourceTag/env", "aws:ResourceTag/team"):
        if made.chance(0.7):
            made.columns[key] = made.rng.choice((("red", None), ("red", "a", None), ("us", None), (None, "red", None, None)))


def about_contradictions(made: Plain) -> None:
    """K1: what the second batch gives contradicts the principal now and then."""
    made.derived, made.organized = [], True
    made.later = made.rng.sample(FROM_OTHERS[:7], 3)


def about_services(made: Plain) -> None:
    """Principals without an account."""
    made.callers = [*made.callers[:1], *made.rng.sample((*v.SERVICES, "*", "*"), 3)]
    kinds = made.rng.sample([kind for kind in PLACES if kind[0] != 1], 3)
    made.places = [(made.rng.choice(actions), made.rng.choice(resources)) for _, actions, resources in kinds for _ in range(2)]
    made.openness = 0.9


def about_sessions(made: Plain) -> None:
    """Sessions that nearly are the same: one value of another type, another tag, or another policy."""
    arn = made.rng.choice(COPIES)
    made.callers = [made.session_of(arn) for _ in range(5)]
    for one in made.callers:
        key = made.rng.choice(("app:str", "app:num", "app:bool"))
        one["session"]["context"] = {key: made.rng.choice((1, True, "1", "true", 0.0, -0.0, 0, 1.0, "red"))}
        if made.chance(0.3):
            one["session"]["context"] = {"app:list": made.rng.sample(("a", "red", "b"), 2)}
    made.narrow("app:")
    made.columns["app:list"] = ([], [], ["a"], None)
    for key in ("app:str", "app:num", "app:bool"):
        made.columns.pop(key, None)
    if made.chance(0.4):  # K1: what a session says and a column does not, though no condition may read it
        made.columns[made.rng.choice(("app:num", "app:bool"))] = ("1", "true", None, None)


def about_owners(made: Plain) -> None:
    """Principals of an organization who request what belongs to others, too."""
    made.narrow("aws:ResourceAccount", "aws:ResourceOrg")
    made.home(made.rng.sample([v.QUEUE, *OTHER_QUEUES, f"{v.BUCKET}/ana/f", "arn:aws:s3:::bkt2/k", "arn:aws:s3:::none/k"], 6))


def about_regions(made: Plain) -> None:
    """Resources of several Regions, and services that have none (5.4, K6)."""
    made.narrow("aws:RequestedRegion")
    made.home([v.QUEUE, OTHER_QUEUES[0], OTHER_QUEUES[1], f"{v.BUCKET}/ana/f", v.DEP, v.PLAIN_ROLE, "*"])
    made.columns.pop("aws:RequestedRegion", None)
    if made.chance(0.5):
        made.columns["aws:RequestedRegion"] = made.rng.choice((("us-east-1", None), ("eu-west-1", None, None)))


def about_endpoints(made: Plain) -> None:
    """Requests through endpoints, whose policies decide."""
    made.narrow("Vpce", "aws:SecureTransport", "aws:PrincipalTag/team", "aws:SourceIp")
    made.home([v.QUEUE, OTHER_QUEUES[0], f"{v.BUCKET}/ana/f", f"{v.BUCKET}/red/x", "arn:aws:s3:::a", "*"])
    made.columns["aws:SourceVpce"] = made.rng.choice((("vpce-1",), ("vpce-1", "vpce-2"), ("vpce-1", "vpce-2", "vpce-3", None)))
    made.columns.setdefault("aws:SecureTransport", ("true", "false"))


def about_levels(made: Plain) -> None:
    """Levels of SCPs that do not allow everything."""
    made.home([v.QUEUE, *OTHER_QUEUES[:2], f"{v.BUCKET}/ana/f", "arn:aws:s3:::none/k", "*"])
    made.narrowness = (0.4, 1.0)


def about_grants(made: Plain) -> None:
    """Policies of resources with many statements for one principal each; those of keys and roles have to allow (6.3)."""
    made.openness = 0.2
    places = made.rng.sample([v.KEY, v.KEY, v.QUEUE, f"{v.BUCKET}/ana/f", v.KEY_B, SECOND_KEY], 3)
    made.callers = [made.rng.choice((v.ANA, v.BO, v.BEN, *COPIES)) for _ in range(6)]
    made.places = [(made.action_on(resource), resource) for resource in places]
    made.granting = True


def about_roles(made: Plain) -> None:
    """Calls on roles: their trust policies count for some, and others are refused (6.3, 6.10, D15, D17)."""
    made.openness = 0.9
    made.callers = [made.rng.choice((v.ANA, v.BO, v.BEN, v.DEP, *COPIES)) for _ in range(6)]
    roles = (v.DEP, v.PLAIN_ROLE, v.WORK, v.LINKED, GONE, f"arn:aws:iam::{v.A}:role/aws-reserved/R")
    actions = ("sts:AssumeRole", "sts:TagSession", "iam:PassRole", "iam:GetRole", "iam:DeleteRole")
    made.places = [(made.rng.choice(actions), made.rng.choice(roles)) for _ in range(8)]


def about_time(made: Plain) -> None:
    """Sessions with MFA, and calls of services for them: what holds now may not hold in an hour (7.6)."""
    moments = {"issued_at": "2029-12-31T23:00:00Z"}
    with_mfa = session(v.ANA, "USER", v.ANA, **moments, mfa_at="2029-12-31T23:00:00Z")
    made.home([v.QUEUE, OTHER_QUEUES[0], f"{v.BUCKET}/ana/f"])
    made.narrow("MultiFactor", "TokenIssueTime", "CurrentTime", "ViaAWSService")
    made.callers = [with_mfa, with_mfa, session(v.ANA, "USER", v.ANA, **moments), v.ANA, v.BO, made.rng.choice(COPIES)]
    made.openness = 0.3
    made.columns["aws:CalledVia"] = made.rng.choice(((["a"], None), (None,), (["a", "b"], None)))


def about_malformed(made: Plain) -> None:
    """F5, C20: unknown operators, and lists for keys that are not registered."""
    made.lenient = True
    made.home([v.QUEUE, OTHER_QUEUES[0], f"{v.BUCKET}/ana/f"])
    made.entries = [*LENIENT_ENTRIES, *made.rng.sample([one for one in ENTRIES if "app:" in one[1]], 2)]
    for key in ("app:str", "app:word"):
        made.columns[key] = made.rng.choice((("red", "x", None), (["red"], ["red"], None), (["red"], ["a", "red"])))


def about_limits(made: Plain) -> None:
    """Boundaries, and session policies that say something else (6.2)."""
    made.home([v.QUEUE, *OTHER_QUEUES[:2], f"{v.BUCKET}/ana/f"])
    made.bounded, made.openness = 0.8, 0.5
    made.callers = [made.session_of(made.rng.choice(COPIES)) for _ in range(6)]
    for one in made.callers[:4]:
        one["session"]["policies"] = [made.own_policy()]


MORE_TOPICS = (
    about_time,
    about_malformed,
    about_limits,
    about_owners,
    about_regions,
    about_endpoints,
    about_levels,
    about_grants,
    about_roles,
)
TOPICS = (about_names, about_providers, about_tags, about_contradictions, about_services, about_sessions)

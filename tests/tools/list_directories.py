"""Directories in which one principal, level or resource has a long list of statements that differ in one thing.

They differ in their patterns, in the value of one condition key, or in the values of one operator: what an engine has an index, a
filter over a group, or a sorted table for. Requests are for what one of them matches, and for what differs from that by a byte.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import generator_names as v
from pattern_texts import CROSSING, JOINTS, SHAPES, WORDS, changed, piece, resource
from request_generators import session
from value_generators import some_values

Json = Any
ALL: Json = {"Effect": "Allow", "Action": "*", "Resource": "*"}
RUN = v.session_arn(v.DEP, "run1")
TEAMS = {v.ANA: "ab-", v.DEP: "b" * 20}
FILLED = {  # what variables stand for, in requests of ana
    "${aws:username}": "ana", "${aws:PrincipalTag/team}": "ab-", "${aws:PrincipalTag/no, 'ab'}": "ab",
    "${aws:PrincipalTag/no}": "none",
    "${app:word}": "key", "${a:": "",
}  # fmt: skip
VARIABLES = tuple(FILLED)[:5]
OPEN_HEADS = (
    "arn:aws:s3*:::",
    "arn:aws:s3:*:*:",
    "arn:aws:s3:eu-*:*:",
    f"arn:aws:s3:*:{v.A}:",
    "arn:aws:s3:eu-west-1:*:",
    "arn:*:s3:::",
)
HEADS = ("arn:aws:s3:::", f"{v.BUCKET}/", f"{v.BUCKET}/", "arn:aws:s3:*:*:", "arn:*:s3:::", "arn:aws:s*:::")
EDGES = ({"StringEquals": {"aws:RequestTag/team": "red"}}, {"StringNotEquals": {"aws:RequestTag/team": ["red", "us"]}},
         {"Bool": {"aws:SecureTransport": "true"}}, {"StringEquals": {"aws:username": "ana"}},
         {"StringEquals": {"aws:PrincipalTag/team": "ab-"}})  # fmt: skip
SIDE = {
    "aws:RequestTag/team": ("red", "us", "ana", None),
    "aws:SecureTransport": ("true", "false", None),
    "app:word": ("key", "kex", None),
}


def document(*statements: Json) -> Json:
    return {"Version": "2012-10-17", "Statement": list(statements)}


# -- lists of patterns ---------------------------------------------------------------------------------------------------------


def of_words(rng: random.Random, n: int) -> list[str]:
    """Patterns of few words, so that many share some; some are of about 64 bytes, which are compared at once."""

    def one() -> str:
        tail = rng.choice(WORDS)
        for _ in range(rng.randrange(5)):
            tail += rng.choice(JOINTS) + rng.choice(WORDS)
        if rng.random() < 0.3:
            tail = "w" * max(0, rng.randint(61, 67) - len(tail)) + tail
        return rng.choice(HEADS) + tail + rng.choice(("", "", "*", "/*"))

    return [one() for _ in range(n)]


def of_pieces(rng: random.Random, n: int) -> list[str]:
    """Patterns that begin alike, some of which have variables or an open field."""
    start, made = piece(rng, rng.choice((0, 2, 3, 7, 8, 9, 30))), []
    heads = ("arn:aws:s3:::",) * 3 + OPEN_HEADS if rng.random() < 0.8 else (v.BUCKET + "/",)
    for _ in range(n):
        pieces = [start + piece(rng, rng.choice((0, 1, 2, 5))), *(piece(rng, rng.choice((1, 2, 20))) for _ in range(2))]
        for at in rng.choices(range(3), k=rng.choice((0, 0, 0, 0, 1, 2))):
            pieces[at] += rng.choice(VARIABLES)
        made.append(rng.choice(heads) + rng.choice(SHAPES[:8]).format(*pieces))
    return made


def of_variables(rng: random.Random, n: int) -> list[str]:
    """Patterns of one or two variables each, between texts that begin alike."""
    start, made = piece(rng, rng.choice((0, 2, 7, 9))), []
    for _ in range(n):
        first, last = (rng.choice(VARIABLES) for _ in range(2))
        tail = f"{start}{piece(rng, rng.choice((0, 1, 3)))}{first}{piece(rng, rng.choice((0, 1, 2)))}"
        tail += rng.choice(("", "", last)) + rng.choice(("", "*", "/*", piece(rng, 2)))
        made.append(rng.choice(("arn:aws:s3:::", "arn:aws:s3:::", *OPEN_HEADS)) + tail)
    return made


def of_endings(rng: random.Random, n: int) -> list[str]:
    """Patterns that differ early and end alike."""
    ending = rng.choice(("-", "-report", "-reports-", "-team-reports-archive"))
    return [f"arn:aws:s3:::{'abc'[i % 3]}{'x' * (i % 5)}{i}{ending}/{rng.choice(('*', '*', 'k'))}" for i in range(n)]


def asked_for(rng: random.Random, pattern: str) -> str:
    """A resource that a pattern matches for ana, or one that is nearly that."""
    for variable, text in FILLED.items():
        pattern = pattern.replace(variable, text)
    text = pattern.replace("arn:*", "arn:aws").replace("s3*:", "s3:").replace("s*:", "s3:").replace("eu-*", "eu-west-1")
    made = resource(rng, text, CROSSING) if rng.random() < 0.3 else resource(rng, text)
    if rng.random() < 0.15:  # of another Region or account
        fields = made.split(":", 5)
        fields[3], fields[4] = rng.choice(((fields[3], v.M), ("us-west-2", fields[4]), ("", ""), ("eu-west-1", v.A)))
        return ":".join(fields)
    return changed(rng, made) if rng.random() < 0.4 else made


Form = Callable[[random.Random, int], list[str]]
SIZES = ((12, 40), (40, 90), (1, 2, 3, 4, 8, 15), (16, 17, 18), (33, 70), (3,) * 20, (1, 2) * 15, (8,) * 8)
FORMS: tuple[Form, ...] = (of_words, of_words, of_pieces, of_pieces, of_endings)


def pattern_lists(
    rng: random.Random, rows: int, sizes: Sequence[tuple[int, ...]] = SIZES, forms: Sequence[Form] = FORMS
) -> tuple[list[Json], list[dict[str, Json]]]:
    """Statements about few or many actions, and requests for them."""
    statements, asked, left = [], list[tuple[str, str]](), 160
    of, write = rng.choice(sizes), rng.choice(forms)
    denied, conditional = rng.choice((0.0, 0.2, 0.5)), rng.choice((0.0, 0.2, 0.6))
    for i, n in enumerate(rng.sample(of, len(of))):
        patterns, left = write(rng, min(n, left)), left - n
        action, at = f"s3:Act{i}", 0
        while at < len(patterns):
            few = patterns[at : at + rng.choice((1, 1, 2, 8, 20))]
            at += len(few)
            element = "NotResource" if rng.random() < 0.01 else "Resource"
            made = {
                "Effect": "Deny" if rng.random() < denied else "Allow",
                "Action": rng.choice((action, action, "s3:*")),
                element: few,
            }
            if rng.random() < conditional or element == "NotResource":
                made["Condition"] = rng.choice(EDGES)
            statements.append(made)
            if rng.random() < 0.02:
                statements.append({"Effect": made["Effect"], "Action": "*", "Resource": "*", "Condition": rng.choice(EDGES)})
        asked += [(action, pattern) for pattern in patterns]
        if left <= 0:
            break
    requests = []
    for _ in range(rows):
        action, pattern = rng.choice(asked)
        text = rng.choice(("*", "arn:aws:s3:::a", "arn:aws:s3:::")) if rng.random() < 0.03 else asked_for(rng, pattern)
        context = {key: value for key, values in SIDE.items() if (value := rng.choice(values)) is not None}
        requests.append({"action": action, "resource": text, "context": context})
    return statements, requests


# -- lists of values ---------------------------------------------------------------------------------------------------------

DEEP = "d/" * 40
PATHS = (
    "",
    f"{DEEP}x.gz",
    "home/",
    "home/ana/",
    "home/ana/x",
    "home/anabel/x",
    "home/ana",
    "logs/x.gz",
    "a/logs/x.gz",
    "ä/é/x",
    "x.gz",
)
LIKE_PATHS = (f"{DEEP}*", "home/*", "home/ana/*", "home/a*", "home/ana*x", "*.gz", "*/x.gz", "?/x.gz", "*logs*", "d/*.gz", "ä/*",
              "ä*/x", "*z", "*a/x", "home/${aws:username}/*", "${aws:username}*")  # fmt: skip
ADDRESSES = ("10.0.0.1", "10.0.1.1", "10.128.0.1", "11.0.0.1", "2001:db8::1", "2001:db8:0:1::1", "::ffff:10.0.0.1", "10.0.0.01",
             "none", "256.0.0.1", "10.0.0.256", "1.2.3", "09.1.1.1")  # fmt: skip
NETWORKS = ("10.0.0.0/8", "10.0.0.0/9", "10.0.0.0/24", "10.0.0.0/25", "10.0.0.1/32", "10.0.1.1", "2001:db8::/32", "2001:db8::/63",
            "::/0", "0.0.0.0/0", "10.0.0.77/24", "::ffff:0:0/95", "::ffff:10.0.0.0/104", "10.0.1.9/16")  # fmt: skip
ARNS = (
    v.DEP,
    v.PLAIN_ROLE,
    v.ANA,
    v.TOPIC,
    f"arn:aws:sns:eu-west-1:{v.B}:topic/a",
    "topic",
    f"arn:aws:iam::{v.A}:role/ops/Department",
)
LIKE_ARNS = (*ARNS[:5], f"arn:aws:iam::{v.A}:role/ops/*", "arn:aws:iam::*:role/De*", "arn:*:sns:*:*:*", f"arn:aws:sns:*:{v.A}:t")
# key -> operators, the first of which are usual; what policies ask for; what requests have
LISTS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "app:of": (("StringLike", "StringNotLike", "StringLikeIfExists", "StringEquals"), (*PATHS, *LIKE_PATHS), PATHS),
    "app:from": (("IpAddress", "NotIpAddress", "IpAddressIfExists"), NETWORKS, ADDRESSES),
    "app:arn": (("ArnLike", "ArnNotLike", "ArnEquals", "ArnLikeIfExists"), LIKE_ARNS, ARNS),
    "app:name": (("StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringEqualsIfExists"), v.VALUES["string"],
    v.VALUES["string"]),
    "aws:SourceIp": (("IpAddress", "NotIpAddress"), NETWORKS, ADDRESSES),
    "aws:PrincipalArn": (("ArnLike", "ArnEquals", "ArnNotLike"), LIKE_ARNS, ()),
}  # fmt: skip


def keyed_lists(rng: random.Random, rows: int) -> tuple[list[Json], list[dict[str, Json]]]:
    """Statements that differ in the value of one key: a few ask for several, or in another way, or for something else, too."""
    key = rng.choice((*LISTS, *["app:of"] * 3, "app:arn", "app:from"))
    operators, texts, given = LISTS[key]
    listed, other = key.startswith("app:") and rng.random() < 0.35, rng.choice((0.02, 0.2))
    among = rng.choice(("ForAnyValue:", "ForAnyValue:", "ForAllValues:")) if listed else ""
    statements = []
    for _ in range(rng.choice((12, 24, 40))):
        name = operators[0] if rng.random() > other else rng.choice(operators)
        condition: dict[str, Json] = {among + name: {key: rng.sample(texts, rng.choice((1, 1, 1, 2)))}}
        if rng.random() < 0.2:
            condition["Bool"] = {"aws:SecureTransport": "true"}
        where = rng.choice((f"{v.BUCKET}/*", f"{v.BUCKET}/*", f"{v.BUCKET}/*", "*", f"{v.BUCKET}/x"))
        effect = "Deny" if rng.random() < 0.25 else "Allow"
        statements.append({"Effect": effect, "Action": "s3:GetObject", "Resource": where, "Condition": condition})
    requests = []
    for _ in range(rows):
        context: dict[str, Json] = {"aws:SecureTransport": rng.choice(("true", "false"))}
        if given and rng.random() < 0.9:
            context[key] = rng.choices(given, k=rng.choice((0, 1, 1, 2, 2, 8, 9))) if listed else rng.choice(given)
        where = rng.choice((f"{v.BUCKET}/x", f"{v.BUCKET}/x", "arn:aws:s3:::other/x", "*"))
        requests.append({"action": "s3:GetObject", "resource": where, "context": context})
    return statements, requests


def value_lists(rng: random.Random, rows: int) -> tuple[list[Json], list[dict[str, Json]]]:
    """Each action has a condition of its own, on one key, mostly of many values."""
    statements, given = list[Json](), list[Callable[[], str]]()
    for i in range(rng.choice((4, 8, 12))):
        names, values, one = some_values(rng)
        operator, among = rng.choice(names), rng.choice(("", "", "", "ForAnyValue:", "ForAllValues:"))
        more = rng.choice(("", "", "IfExists"))
        made = {"Effect": rng.choice(("Allow", "Allow", "Deny")), "Action": f"s3:Act{i}", "Resource": "*"}
        statements.append(made | {"Condition": {among + operator + more: {"app:list" if among else "app:str": values}}})
        if made["Effect"] == "Deny":
            statements.append({"Effect": "Allow", "Action": f"s3:Act{i}", "Resource": "*"})
        given.append(one)
    requests = []
    for _ in range(rows):
        at = rng.randrange(len(given))
        context = (
            {}
            if rng.random() < 0.05
            else {"app:str": given[at](), "app:list": [given[at]() for _ in range(rng.choice((0, 1, 1, 2)))]}
        )
        requests.append({"action": f"s3:Act{at}", "resource": f"{v.BUCKET}/x", "context": context})
    return statements, requests


# -- where the lists are -------------------------------------------------------------------------------------------------------

Writer = Callable[[random.Random, int], tuple[list[Json], list[dict[str, Json]]]]
WRITERS: tuple[Writer, ...] = (*[pattern_lists] * 5, *[keyed_lists] * 4, *[value_lists] * 2)
LAYERS = ("identity", "identity", "identity", "boundary", "session", "scp", "rcp", "resource", "vpce")
PARTS = (v.A, v.B, v.X)  # accounts


def list_directory(
    rng: random.Random,
    rows: int,
    writers: Sequence[Writer] = WRITERS,
    layers: Sequence[str] = LAYERS,
    index_from: Sequence[int] = (),
) -> dict[str, Json]:
    """A directory of few accounts, each with a long list in a layer that is drawn, with requests over it."""
    described: dict[str, Json] = {"accounts": [], "principals": [], "resources": [], "scps": {}, "rcps": {}, "endpoints": []}
    described["organization"] = {"id": "o-1", "management_account": v.M, "accounts": dict.fromkeys(PARTS, "ou-a")}
    requests = []
    accounts = PARTS[: rng.choice((1, 3, 3, 3))]
    for account in accounts:
        text = json.dumps(one_list(rng, rows // len(accounts), writers, layers))
        part, asked = json.loads(text.replace(v.A, account).replace(v.BUCKET, f"{v.BUCKET}-{account[0]}"))
        requests += asked
        for name, records in part.items():
            described[name] = described[name] | records if isinstance(records, dict) else described[name] + records
    rng.shuffle(requests)
    made = {"mode": "lenient", "unknown_owner": "principal", "directory": described, "requests": requests}
    return made | ({"index_from": rng.choice(index_from)} if index_from else {})


def one_list(
    rng: random.Random, rows: int, writers: Sequence[Writer], layers: Sequence[str]
) -> tuple[dict[str, Json], list[dict[str, Json]]]:
    """The records of one account, and requests of its principals."""
    write = rng.choice(writers)
    statements, requests = write(rng, rows)
    layer = rng.choice(layers if write is not value_lists else [one for one in layers if one != "session"])  # read strictly
    everyone = {} if layer in ("identity", "boundary", "session", "scp") else {"Principal": "*"}
    if layer == "rcp":
        statements = [one | {"Effect": "Deny"} for one in statements[: rng.choice((4, len(statements)))]]
    elif layer == "resource" and rng.random() < 0.5:
        everyone = {"Principal": {"AWS": rng.choice((v.A, v.ANA, [v.ANA, v.DEP], [v.BO, v.DEP]))}}
    if rng.random() < 0.5:
        rng.shuffle(statements)
    made = [everyone | one for one in statements]
    size = rng.choice((7, 30, len(made)))
    policies = [document(*made[at : at + size]) for at in range(0, len(made), size)]
    whole = document(*made)
    own = policies if layer == "identity" else [document(ALL)] if layer != "resource" or rng.random() < 0.3 else []
    boundary = {"permissions_boundary": whole} if layer == "boundary" else {}
    part: dict[str, Json] = {
        "accounts": [{"id": v.A}],
        "principals": [{"arn": arn, "identity_policies": own, "tags": {"team": team}} | boundary for arn, team in TEAMS.items()],
        "resources": [{"arn": v.BUCKET, "account": v.A} | ({"policy": whole} if layer == "resource" else {})],
    }
    if layer in ("scp", "rcp"):
        part[f"{layer}s"] = {v.A: [policies, [document(ALL)]] if layer == "scp" else [policies]}
    if layer == "vpce":
        part["endpoints"] = [{"id": f"vpce-{v.A}", "account": v.A, "gateway": False, "policy": whole}]
    callers = callers_of(rng, layer, policies)
    for request in requests:
        request["principal"] = rng.choice(callers)
        if layer == "vpce":
            request["context"]["aws:SourceVpce"] = f"vpce-{v.A}"
    return part, requests


def callers_of(rng: random.Random, layer: str, policies: Sequence[Json]) -> list[Json]:
    """Ana, the role, and sessions of it."""
    if layer == "session":
        strict = re.sub('"arn:([^:]*):s([^:]*):[^:"]+:[^:"]*:', r'"arn:\1:s\2:::', json.dumps(policies))  # R7
        given = [{"Version": "2012-10-17", "Statement": [s for one in json.loads(strict) for s in one["Statement"]]}]
        return [session(RUN, "ROLE", v.DEP, issued_at="2029-12-31T00:00:00Z", policies=given)]
    return [v.ANA, v.ANA, *rng.sample([v.DEP, RUN, v.session_arn(v.DEP, "run2"), session(RUN, "ROLE", v.DEP)], 2)]


# directories about one of these alone: groups of patterns without an index, indexes of patterns and of values, many actions
OWN = ("identity", "identity", "identity", "boundary", "scp")
GROUPS = (
    partial(
        pattern_lists,
        sizes=((3, 4, 8, 15), (16, 17, 18, 20), (8,) * 8, (33, 70)),
        forms=(of_pieces, of_pieces, of_variables, of_endings),
    ),
)
INDEXES = (partial(pattern_lists, sizes=((40, 90), (12, 40), (150,)), forms=(of_words, of_words, of_pieces)),)
ACTIONS = (partial(pattern_lists, sizes=((1,) * 60,), forms=(of_words,)),)
LIST_TOPICS = (
    *[partial(list_directory, writers=GROUPS, layers=OWN, index_from=(8, 10**9, 10**9))] * 3,
    *[partial(list_directory, writers=INDEXES, layers=(*OWN, "resource"), index_from=(8,))] * 2,
    *[partial(list_directory, writers=(keyed_lists,), layers=OWN)] * 2,
    partial(list_directory, writers=ACTIONS, layers=("identity",)),
)

"""Random pairs of directories, and requests of their principals, for the proofs of `no_new_access` over two engines.

The two differ in a policy, and in facts that policies read: tags, unique ids, the organization, the owner and the tags of a
resource, an endpoint. Sessions add tags of their own. Both engines decide the requests.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from proof_pairs import PairMaker

import fastiam
from fastiam.errors import RequestValueError

A, B = "111111111111", "222222222222"
ANA, APP = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/app"
BUCKET, QUEUE, ENDPOINT = "arn:aws:s3:::b", f"arn:aws:sqs:us-east-1:{A}:q", "vpce-1"
TAGS = ("red", "blue", "a")
ORGANIZATION_PATHS = ("o-1/r-1/ou-1/", "o-1/r-1/ou-2/*", "o-1/*", "o-2/*")
Condition = tuple[str, str, tuple[str, ...]]
CONDITIONS: tuple[Condition, ...] = (
    ("StringEquals", "aws:PrincipalTag/team", TAGS),
    ("StringNotEquals", "aws:PrincipalTag/team", TAGS),
    ("StringLike", "aws:principaltag/env", ("r*", "b*", "*")),
    ("Null", "aws:PrincipalTag/env", ("true", "false")),
    ("StringEquals", "aws:RequestTag/team", ("${aws:PrincipalTag/team}",)),
    ("StringLike", "aws:userid", ("*:s", "AROA1*", "AROA2*", "AROA1" + "X" * 12 + ":s", "AIDA1*", "AIDA2*", "*")),
    ("StringNotLike", "aws:userid", ("*:s", "AROA1*", "AROA2*", "AIDA1*")),
    ("StringEquals", "aws:PrincipalType", ("User", "AssumedRole", "FederatedUser", "Account")),
    ("StringEquals", "aws:PrincipalOrgID", ("o-1", "o-2")),
    ("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", ORGANIZATION_PATHS),
    ("StringEquals", "aws:ResourceAccount", (A, B)),
    ("StringEquals", "aws:ResourceOrgID", ("o-1", "o-2")),
    ("ForAnyValue:StringLike", "aws:ResourceOrgPaths", ORGANIZATION_PATHS),
    ("StringEquals", "aws:ResourceTag/team", (*TAGS, "${aws:PrincipalTag/team}")),
    ("StringEquals", "aws:VpceAccount", (A, B)),
    ("ForAnyValue:StringLike", "aws:VpceOrgPaths", ORGANIZATION_PATHS),
    ("StringEquals", "aws:SourceOrgID", ("o-1", "o-2")),
    ("Bool", "aws:MultiFactorAuthPresent", ("true", "false")),
    ("Bool", "aws:AssumedRoot", ("true",)),
)
VARIABLES = ("${aws:userid}", "${aws:PrincipalTag/env}", "${aws:PrincipalTag/team}")
RESOURCES = (*(f"{BUCKET}/{variable}/*" for variable in VARIABLES), QUEUE)
OF_DIRECTORY = tuple(f"aws:{name}" for name in ("principal", "resource", "vpce", "sourceorg", "user", "assumed", "token"))
NAMED: tuple[Any, ...] = ("*", {"AWS": ANA}, {"AWS": APP}, {"AWS": A}, {"AWS": B}, {"AWS": "AIDA1" + "X" * 12})
CALLS = ("sts:GetScopedCredentials", "sts:AssumeRole", "sts:*", "sts:TagSession")


class DirectoryPairMaker(PairMaker):
    """Makes pairs of descriptions of directories; `engine_of` makes an engine of one."""

    def condition(self) -> dict[str, Any]:
        if self._chance(0.15):
            return super().condition()
        found: dict[str, Any] = {}
        for operator, key, values in self.random.sample(CONDITIONS, self.random.choice((1, 1, 2))):
            n = 1 if operator in ("Null", "Bool") else self.random.choice((1, 1, 2))
            found.setdefault(operator, {})[key] = self.random.sample(values, min(n, len(values)))
        return found

    def statement(self) -> dict[str, Any]:
        made = super().statement()
        if self._chance(0.6):
            effect = "Deny" if self._chance(0.2) else "Allow"
            made = {"Effect": effect, "Action": [self.random.choice(("*", "s3:*", "s3:Get*"))], "Resource": ["*"]}
            made["Condition"] = self.condition()
        if self._chance(0.2):
            made["Resource"] = [self.random.choice(RESOURCES)]
            made.pop("NotResource", None)
        if self._chance(0.1):
            made["Action"] = [self.random.choice(CALLS)]
            made.pop("NotAction", None)
        return made

    def _tags(self) -> dict[str, str]:
        return {name: self.random.choice(TAGS) for name in ("team", "env") if self._chance(0.6)}

    def _id(self, start: str) -> str | None:
        return self.random.choice((f"{start}1" + "X" * 12, f"{start}2" + "X" * 12, None))

    def _organization(self) -> dict[str, Any] | None:
        if self._chance(0.4):
            return None
        accounts = {account: self.random.choice(("ou-1", "ou-2")) for account in (A, B) if self._chance(0.8)}
        return {"id": self.random.choice(("o-1", "o-1", "o-2")), "accounts": accounts}

    def _granted(self) -> dict[str, Any] | None:
        if self._chance(0.5):
            return None
        made = self.statement() | {"Principal": self.random.choice(NAMED), "Resource": [BUCKET, f"{BUCKET}/*"]}
        made.pop("NotResource", None)
        return {"Version": "2012-10-17", "Statement": [made]}

    def description(self) -> dict[str, Any]:
        return {
            "user": {"policy": self.document(), "tags": self._tags(), "id": self._id("AIDA"), "boundary": None},
            "role": {"policy": self.document(), "tags": self._tags(), "id": self._id("AROA"), "boundary": None},
            "scp": None,
            "organization": self._organization(),
            "accounts": [account for account in (A, B) if self._chance(0.8)],
            "bucket": {"owner": A, "tags": self._tags(), "policy": self._granted()},
            "endpoint": self.random.choice((None, A, B)),
        }

    def _changed(self, described: dict[str, Any]) -> None:
        """Change one part of a description."""
        entity = described[self.random.choice(("user", "role", "role"))]
        change = self.random.randrange(12)
        if change < 3:
            entity["policy"] = self.edited(entity["policy"])
        elif change < 6:
            entity["tags"] = self._tags()
        elif change < 8:
            start = "AIDA" if entity is described["user"] else "AROA"
            entity["id"] = self._id(start)
        elif change == 8:
            name = self.random.choice(("boundary", "scp"))
            (described if name == "scp" else entity)[name] = self.random.choice((None, self.document()))
        elif change == 9:
            described["organization"] = self._organization()
        elif change == 10:
            described["endpoint"] = self.random.choice((None, A, B))
        else:
            described["bucket"] |= self.random.choice(({"owner": B}, {"tags": self._tags()}, {"policy": self._granted()}))

    def directories(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return two descriptions that differ in one or two parts."""
        one = self.description()
        two = copy.deepcopy(one)
        for _ in range(self.random.choice((1, 1, 2))):
            self._changed(two)
        return one, two

    # -- requests -----------------------------------------------------------------------------------------------------

    def caller(self) -> str | fastiam.Session:
        """Return a user, a role, or a session of either."""
        name = self.random.choice(("s", "t", "x1"))
        session = f"arn:aws:sts::{A}:assumed-role/app/{name}"
        everything = [{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}]
        tags = self._tags() if self._chance(0.6) else {}
        choice = self.random.randrange(10)
        if choice < 2:
            return ANA
        if choice < 4:
            return session
        if choice < 7:
            return fastiam.Session(session, kind="ROLE", issuer=APP, tags=tags)
        if choice == 7:
            federated = f"arn:aws:sts::{A}:federated-user/{name}"
            return fastiam.Session(federated, kind="FED", issuer=ANA, policies=everything, tags=tags)
        if choice == 8:
            return self.random.choice((APP, fastiam.Session(ANA, kind="USER")))
        root = f"arn:aws:iam::{A}:root"
        return self.random.choice((root, fastiam.Session(root, kind="AROOT", policies=everything)))

    def call(self, *described: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a request."""
        documents = [one[name]["policy"] for one in described for name in ("user", "role", "bucket") if one[name]["policy"]]
        documents += [one["scp"] for one in described if one["scp"]]
        found = self.request(*[{"Statement": _with_resources(document)} for document in documents])
        context = {key: value for key, value in found["context"].items() if not key.lower().startswith(OF_DIRECTORY)}
        if self._chance(0.3):
            context["aws:SourceVpce"] = ENDPOINT
        if self._chance(0.2):
            context["aws:SourceAccount"] = self.random.choice((A, B))
        resource = found["resource"]
        for variable, values in (("${aws:userid}", ("AROA1" + "X" * 12 + ":s", "AROA2" + "X" * 12 + ":t")), ("${aws:", TAGS)):
            if variable in resource:
                head, _, rest = resource.partition(variable)
                resource = head + self.random.choice(values) + (rest if variable.endswith("}") else rest.partition("}")[2])
        return {
            "principal": self.caller(),
            "action": self.random.choice((found["action"], *CALLS[:2], "s3:GetObject", "s3:PutObject")),
            "resource": self.random.choice((resource, resource, f"{BUCKET}/k", BUCKET, "*")),
            "context": context,
            "now": found["now"],
        }


def _with_resources(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [one if "Resource" in one or "NotResource" in one else one | {"Resource": ["*"]} for one in document["Statement"]]


def engine_of(described: dict[str, Any]) -> fastiam.Engine:
    """Return the engine of a description."""
    made = fastiam.Directory("lenient")
    for account in described["accounts"]:
        made.add_account(account)
    for arn, name in ((ANA, "user"), (APP, "role")):
        entity = described[name]
        made.add_principal(
            arn,
            identity_policies=[entity["policy"]],
            permissions_boundary=entity["boundary"],
            tags=entity["tags"],
            unique_id=entity["id"],
        )
    bucket, organization = described["bucket"], described["organization"]
    made.add_resource(BUCKET, account=bucket["owner"], policy=bucket["policy"], tags=bucket["tags"])
    if organization is not None:
        made.set_organization(
            organization["id"], organizational_units={"ou-1": "r-1", "ou-2": "r-1"}, accounts=organization["accounts"]
        )
    if described["scp"] is not None:
        made.set_scps(A, [[described["scp"]]])
    if described["endpoint"] is not None:
        made.add_endpoint(ENDPOINT, account=described["endpoint"])
    return made.compile()


def is_newly_allowed(sides: Sequence[fastiam.Engine], arguments: dict[str, Any]) -> bool:
    """Return whether only the new engine allows a request; one that contradicts a directory is not a request."""
    try:
        old, new = (each.decide(**arguments).allowed for each in sides)
    except RequestValueError:
        return False
    return new and not old


def arguments_of(request: fastiam.ProofRequest) -> dict[str, Any]:
    """Return the arguments of `decide` for the request of a proof."""
    return {
        "principal": request.session or request.principal,
        "action": request.action,
        "resource": request.resource,
        "context": request.context,
        "now": request.now or datetime(2026, 1, 1, tzinfo=UTC),
        "resource_account": request.resource_account,
    }

"""Random writes to a directory, for tests of changes, updates and storage."""

from __future__ import annotations

import json
import random

from fastiam import Directory, DirectoryError

A, B, C = "111111111111", "222222222222", "333333333333"
ACCOUNTS = (A, B, C)


def statement(n: int, **more: object) -> dict:
    body = {"Effect": "Allow", "Action": f"s3:Get{n}", "Resource": "*", **more}
    return {"Version": "2012-10-17", "Statement": [body]}


def scp(n: int) -> dict:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": f"s3:Put{n}", "Resource": "*"}]}


def rcp(n: int) -> dict:
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Principal": "*", "Action": f"s3:Del{n}", "Resource": "*"}],
    }


def trust(n: int) -> dict:
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": ACCOUNTS[n % 3]}, "Action": "sts:AssumeRole"}],
    }


RESOURCES = [
    "arn:aws:s3:::bkt",
    "arn:aws:s3:::bkt/key",
    f"arn:aws:logs:us-east-1:{A}:*",
    f"arn:aws:logs:us-east-1:{A}:log-group:g",
    f"arn:aws:secretsmanager:us-east-1:{A}:secret:n-abcdef",
    f"arn:aws:secretsmanager:us-east-1:{A}:secret:n-ghijkl",
    f"arn:aws:lambda:us-east-1:{A}:function:f",
    f"arn:aws:lambda:us-east-1:{A}:function:f:live",
    f"arn:aws:glue:us-east-1:{A}:catalog",
    f"arn:aws:glue:us-east-1:{A}:table/d/t",
]
ASKED = [*RESOURCES, f"arn:aws:secretsmanager:us-east-1:{A}:secret:n"]


class Writer:
    """Random writes to one directory, valid ones mostly."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.directory = Directory(mode="lenient")
        self.n_done = self.n_refused = 0

    def write(self) -> None:
        """One write; some are refused."""
        try:
            getattr(self, self.rng.choice(WRITES))()
        except DirectoryError:
            self.n_refused += 1
        else:
            self.n_done += 1

    def n(self) -> int:
        return self.rng.randrange(6)

    def user(self) -> str:
        return f"arn:aws:iam::{self.rng.choice(ACCOUNTS)}:user/u{self.n()}"

    def role(self) -> str:
        return f"arn:aws:iam::{self.rng.choice(ACCOUNTS)}:role/p/r{self.n()}"

    def managed(self) -> str:
        return f"arn:aws:iam::aws:policy/P{self.n()}"

    def add_user(self) -> None:
        arn = self.user()
        self.directory.add_principal(
            arn,
            identity_policies=[self.managed(), ("own", statement(self.n()))],
            permissions_boundary=self.rng.choice([None, None, self.managed()]),
            tags={"t": str(self.n())} if self.n() else {},
            groups=[f"g{self.n()}"],
        )

    def add_role(self) -> None:
        self.directory.add_principal(self.role(), identity_policies=[self.managed()], trust_policy=trust(self.n()))

    def add_group(self) -> None:
        self.directory.add_group(f"g{self.n()}", [self.managed()], account=self.rng.choice(ACCOUNTS))

    def add_managed(self) -> None:
        self.directory.add_managed_policy(self.managed(), statement(self.n()))

    def put_inline(self) -> None:
        for arn in self.rng.sample(sorted(self.directory.snapshot().tables.entities), 1 if self.there("entities") else 0):
            self.directory.put_inline_policy(arn, f"own{self.n() % 2}", statement(self.n()))

    def set_trust(self) -> None:
        roles = sorted(arn for arn in self.directory.snapshot().tables.entities if ":role/" in arn)
        if roles:
            self.directory.set_trust_policy(self.rng.choice(roles), trust(self.n()))

    def add_resource(self) -> None:
        tags = {"t": str(self.n())} if self.n() else {}
        policy = statement(self.n(), Principal="*") if self.n() > 1 else None
        self.directory.add_resource(self.rng.choice(RESOURCES), account=A, policy=policy, tags=tags)

    def set_resource(self) -> None:
        stored = sorted(self.directory.snapshot().tables.resources)
        if stored:
            policy = statement(self.n(), Principal="*") if self.n() else None
            self.directory.set_resource_policy(self.rng.choice(stored), policy)

    def add_endpoint(self) -> None:
        policy = statement(self.n(), Principal="*") if self.n() > 3 else None
        self.directory.add_endpoint(f"vpce-{self.n()}", policy=policy, account=self.rng.choice(ACCOUNTS))

    def add_account(self) -> None:
        self.directory.add_account(self.rng.choice(ACCOUNTS), canonical_id=str(self.n()), name=str(self.n()))

    def set_organization(self) -> None:
        places = [f"ou-{self.n() % 3}" for _ in ACCOUNTS]
        self.directory.set_organization(
            f"o-{self.n() % 2}",
            management_account=self.rng.choice([None, *ACCOUNTS]),
            organizational_units={"ou-0": "r-1", "ou-1": "ou-0", "ou-2": "r-1"},
            accounts=dict(self.rng.sample(list(zip(ACCOUNTS, places, strict=True)), self.rng.randrange(4))),
            scps={f"ou-{self.n() % 3}": [scp(self.n())]},
            rcps={f"ou-{self.n() % 3}": [rcp(self.n())]},
        )

    def set_levels(self) -> None:
        write = self.rng.choice([self.directory.set_scps, self.directory.set_rcps])
        document = scp if write == self.directory.set_scps else rcp
        write(self.rng.choice(ACCOUNTS), self.rng.choice([None, [[document(self.n())]]]))

    def set_policy_naming_a_principal(self) -> None:
        policy = statement(self.n(), Principal={"AWS": [self.user(), self.role()]})
        self.directory.set_resource_policy(self.one_of("resources"), policy)

    def set_trust_in_a_principal(self) -> None:
        policy = json.loads(json.dumps(trust(0)).replace(json.dumps(ACCOUNTS[0]), json.dumps(self.user())))
        self.directory.set_trust_policy(self.role(), policy)

    def operate(self) -> None:
        """One of all other writes."""
        self.rng.choice(OPERATIONS)(self, self.directory)

    def take_all_from(self, arn: str) -> None:
        """What has to go before a user, group or role may."""
        d, tables = self.directory, self.directory.tables
        identity = tables.entities.get(arn) or tables.groups[arn]
        for policy in identity.attached:
            d.detach_policy(arn, policy)
        for policy in identity.inline:
            d.delete_inline_policy(arn, policy.name)
        pairs = [(user, group) for user, e in tables.entities.items() for group in e.groups]
        for user, group in pairs:
            if arn in (user, group):
                d.remove_user_from_group(user, group)

    def one_of(self, table: str) -> str:
        return self.rng.choice(sorted(getattr(self.directory.tables, table)) or ["nothing"])

    def membership(self) -> tuple[str, str]:
        pairs = [(user, group) for user, e in self.directory.tables.entities.items() for group in e.groups]
        return self.rng.choice(sorted(pairs) or [("nobody", "nothing")])

    def identity(self) -> str:
        return self.one_of(self.rng.choice(["entities", "entities", "groups"]))

    def element(self) -> str:
        organization = self.directory.tables.organization
        return self.rng.choice(["r-1", *organization.parents] if organization else ["r-1"])

    def there(self, table: str) -> bool:
        return bool(getattr(self.directory.snapshot().tables, table))


def gone(writer: Writer, table: str) -> str:
    """A user, role or group from which everything was taken."""
    arn = writer.one_of(table)
    if arn != "nothing":
        writer.take_all_from(arn)
    return arn


TYPES = ("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY")
OPERATIONS = [
    lambda w, d: d.attach_policy(w.identity(), w.managed()),
    lambda w, d: d.detach_policy(w.identity(), w.managed()),
    lambda w, d: d.delete_inline_policy(w.one_of("entities"), "own"),
    lambda w, d: d.put_inline_policy(w.one_of("groups"), "own", statement(w.n())),
    lambda w, d: d.set_permissions_boundary(w.one_of("entities"), w.rng.choice([[], [w.managed()], statement(w.n())])),
    lambda w, d: d.delete_permissions_boundary(w.one_of("entities")),
    lambda w, d: d.add_user_to_group(w.one_of("entities"), w.one_of("groups")),
    lambda w, d: d.remove_user_from_group(*w.membership()),
    lambda w, d: d.delete_principal(gone(w, "entities")),
    lambda w, d: d.delete_principal(gone(w, "entities")),
    lambda w, d: d.delete_group(gone(w, "groups")),
    lambda w, d: d.rename(w.user(), f"u{w.n()}", path=w.rng.choice(["/", "/p/"])),
    lambda w, d: d.rename(w.one_of("groups"), f"g{w.n()}"),
    lambda w, d: d.tag(w.one_of(w.rng.choice(["entities", "resources"])), {"t": str(w.n())}),
    lambda w, d: d.untag(w.one_of(w.rng.choice(["entities", "resources"])), ["T"]),
    lambda w, d: d.create_policy_version(w.managed(), statement(w.n()), set_as_default=w.n() > 2),
    lambda w, d: d.set_default_policy_version(w.managed(), f"v{w.n()}"),
    lambda w, d: d.delete_policy_version(w.managed(), f"v{w.n()}"),
    lambda w, d: d.delete_policy(w.managed()),
    lambda w, d: d.delete_resource(w.one_of("resources")),
    lambda w, d: d.delete_endpoint(w.one_of("endpoints")),
    lambda w, d: d.set_endpoint_policy(w.one_of("endpoints"), w.rng.choice([None, statement(w.n(), Principal="*")])),
    lambda w, d: d.set_max_session_duration(w.role(), 7200),
    lambda w, d: d.create_organizational_unit(f"ou-{w.n()}", w.element()),
    lambda w, d: d.delete_organizational_unit(f"ou-{w.n()}"),
    lambda w, d: d.move(w.element(), w.element()),
    lambda w, d: d.move(w.rng.choice(ACCOUNTS), w.element()),
    lambda w, d: d.remove_account_from_organization(w.rng.choice(ACCOUNTS)),
    lambda w, d: d.register_delegated_administrator(w.rng.choice(ACCOUNTS)),
    lambda w, d: d.deregister_delegated_administrator(w.rng.choice(ACCOUNTS)),
    lambda w, d: d.attach_scp(w.element(), (f"scp{w.n()}", scp(w.n()))),
    lambda w, d: d.detach_scp(w.element(), w.rng.choice(["FullAWSAccess", f"scp{w.n()}"])),
    lambda w, d: d.attach_rcp(w.element(), (f"rcp{w.n()}", rcp(w.n()))),
    lambda w, d: d.detach_rcp(w.element(), f"rcp{w.n()}"),
    lambda w, d: d.enable_policy_type(w.rng.choice(TYPES)),
    lambda w, d: d.disable_policy_type(w.rng.choice(TYPES)),
]  # fmt: skip
WRITES = [name for name in vars(Writer) if name.startswith(("add_", "put_", "set_"))] + ["operate"] * 24

"""Different AuthZEN requests of every shape that `fastiam serve` answers on its loop, drawn from a workload by a seed.

A server that gets one request again and again finds all of it in its caches. Here each request of a load is another one: roles,
resources, addresses, properties and tokens are drawn. Nine of ten are allowed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from server_load import Address, answers_of, request_of
from workloads import Row

import fastiam

TOKENS = [letter * 43 for letter in "bcdefghi"]
SINGLES, BATCHES = 2_000, 40  # different requests of a shape
_ALLOWED = 0.9
_BEGAN = datetime(2026, 11, 25, 9, tzinfo=UTC)


@dataclass(frozen=True)
class Item:
    """One evaluation: its members, what it states for the engine, and the places that are not used."""

    members: dict[str, Any]
    row: Row
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """One request and its items; without items in `evaluations` it is a single evaluation."""

    data: bytes
    items: Sequence[Item]
    is_batch: bool


@dataclass(frozen=True)
class Shape:
    """Requests of one form.

    Attributes
    ----------
    listener
        name of the listener that they are sent to.
    limit
        CPU, times that of an empty answer; None: only reported.
    over
        the shape that this one is beside, and the limit of CPU times that of it.
    """

    requests: Sequence[Request]
    listener: str = "main"
    limit: float | None = None
    over: tuple[str, float | None] | None = None

    @property
    def items(self) -> int:
        """Items of a request."""
        return len(self.requests[0].items)


class Draw:
    """Draws items of the rows of a workload."""

    def __init__(self, engine: fastiam.Engine, rows: Sequence[Row], seed: int) -> None:
        self.random = random.Random(seed)
        self._rows: dict[bool, list[Row]] = {True: [], False: []}
        for principal, action, resource, context in rows:
            row = principal, action, resource, {"aws:SourceIp": context["aws:SourceIp"]}
            self._rows[engine.is_allowed(*row)].append(row)

    def row(self) -> Row:
        """A row that is allowed mostly."""
        return self.random.choice(self._rows[self.random.random() < _ALLOWED])

    def plain(self) -> Item:
        """Ids and one key of a context."""
        row = self.row()
        subject, resource = {"type": "role", "id": row[0]}, {"type": "object", "id": row[2]}
        return Item({"subject": subject, "action": {"name": row[1]}, "resource": resource, "context": row[3]}, row)

    def with_resource_properties(self) -> Item:
        """Also tags of the resource."""
        item, choose = self.plain(), self.random.choice
        tags = {"stage": choose(("dev", "test", "prod")), "owner": f"team{self.random.randrange(200)}"}
        members = {**item.members, "resource": {**item.members["resource"], "properties": tags}}
        stated = {f"aws:ResourceTag/{name}": value for name, value in tags.items()}
        return Item(members, (*item.row[:3], {**item.row[3], **stated}))

    def with_subject_properties(self) -> Item:
        """Also properties of the subject, which are keys of the context."""
        item = self.plain()
        properties = {"department": f"d{self.random.randrange(40)}", "level": self.random.choice(("junior", "senior"))}
        members = {**item.members, "subject": {**item.members["subject"], "properties": properties}}
        stated = {f"authzen:subject/{name}": value for name, value in properties.items()}
        return Item(members, (*item.row[:3], {**item.row[3], **stated}))

    def with_ignored(self) -> Item:
        """Also facts that a client cannot state."""
        item = self.plain()
        stated = {
            "aws:MultiFactorAuthPresent": self.random.choice((True, False, "true")),
            "aws:MultiFactorAuthAge": self.random.randrange(3_600),
            "aws:CurrentTime": (_BEGAN + timedelta(seconds=self.random.randrange(86_400))).isoformat(),
        }
        members = {**item.members, "context": {**item.row[3], **stated}}
        return Item(members, item.row, tuple(f"context.{name}" for name in stated))

    def defaulting(self, count: int) -> tuple[dict[str, Any], list[Item]]:
        """The defaults of a batch, and items that differ in their resources."""
        first = self.plain()
        defaults = {name: first.members[name] for name in ("subject", "action", "context")}
        principal, action, _, context = first.row
        resources = [self.row()[2] for _ in range(count)]
        items = [
            Item({"resource": {"type": "object", "id": resource}}, (principal, action, resource, context))
            for resource in resources
        ]
        return defaults, items

    def single(self, item: Callable[[], Item], *, tokens: Sequence[str] = TOKENS[:1]) -> list[Request]:
        """Different single evaluations, with a token of some, or without one."""
        found = []
        for _ in range(SINGLES):
            one = item()
            token = self.random.choice(tokens) if tokens else None
            found.append(Request(request_of("/access/v1/evaluation", _dump(one.members), token), [one], is_batch=False))
        return found

    def batches(self, item: Callable[[], Item] | None, size: int) -> list[Request]:
        """Different batches of items in full, or of items with defaults."""
        found = []
        for _ in range(BATCHES):
            if item is None:
                defaults, items = self.defaulting(size)
            else:
                defaults, items = {}, [item() for _ in range(size)]
            body = _dump({**defaults, "evaluations": [one.members for one in items]})
            found.append(Request(request_of("/access/v1/evaluations", body, TOKENS[0]), items, is_batch=True))
        return found


def shapes(draw: Draw) -> dict[str, Shape]:
    """All shapes by name."""
    single, batches = draw.single, draw.batches
    return {
        "single with a token": Shape(single(draw.plain), limit=1.4),
        "single without a token": Shape(single(draw.plain, tokens=()), "tcp", limit=1.33),
        "single with one of eight tokens": Shape(single(draw.plain, tokens=TOKENS)),
        "single with ignored facts": Shape(single(draw.with_ignored), over=("single with a token", 1.5)),
        "single with resource properties": Shape(single(draw.with_resource_properties), over=("single with a token", None)),
        "single with subject properties": Shape(single(draw.with_subject_properties), over=("single with a token", None)),
        "100 items with defaults": Shape(batches(None, 100), limit=6.0),
        "100 items in full": Shape(batches(draw.plain, 100), limit=11.0),
        "100 items with ignored facts": Shape(batches(draw.with_ignored, 100), over=("100 items in full", 1.5)),
        "100 items with resource properties": Shape(
            batches(draw.with_resource_properties, 100), over=("100 items in full", None)
        ),
        "100 items with subject properties": Shape(batches(draw.with_subject_properties, 100), over=("100 items in full", None)),
        "1,000 items with defaults": Shape(batches(None, 1_000)),
    }


def check(engine: fastiam.Engine, address: Address, requests: Sequence[Request]) -> dict[bytes, int]:
    """Compare every answer with the engine. Returns the lengths of the answers by request."""
    answers = answers_of(address, [request.data for request in requests])
    for request, answer in zip(requests, answers, strict=True):
        body = json.loads(answer.partition(b"\r\n\r\n")[2])
        found = body["evaluations"] if request.is_batch else [body]
        assert len(found) == len(request.items), (request, answer)
        for item, got in zip(request.items, found, strict=True):
            decision, context = engine.decide(*item.row), got["context"]
            shown = got["decision"], context["outcome"], context["layer"], tuple(context.get("ignored", ()))
            assert shown == (decision.allowed, decision.outcome.name, decision.layer.value, item.ignored), (item, got, decision)
    return {request.data: len(answer) for request, answer in zip(requests, answers, strict=True)}


def _dump(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()

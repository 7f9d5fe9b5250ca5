"""The table of limits in `docs/doors.md` (1.6) has the numbers of the code."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from fastiam import strict_json
from fastiam.policy import json_text
from fastiam.server import asgi, config, connections, listeners
from fastiam.server.config_sections import Limits
from fastiam.server.mapping import forms, member_values
from fastiam.server.mapping.facts import MAX_KEYS
from fastiam.server.protocol import ListenerFacts, Route, Site, StreamRoute
from fastiam.server.protocols import aws, opa
from fastiam.server.protocols.authzen import authzen_search, reading
from fastiam.server.protocols.bulk import arrow_messages, comparison, json_rows, stream
from fastiam.server.protocols.opa import deciding, opa_answers
from fastiam.server.protocols.playground import forms as playground_forms

LIMITS, AWS = Limits(), aws.Section()
STREAM = next(field for field in StreamRoute.__dataclass_fields__.values() if field.name == "time").default
ROWS: dict[str, list[float | str]] = {
    "request line + headers": [asgi.MAX_HEAD, asgi.MAX_FIELDS, asgi.MAX_FIELD],
    "path": [asgi.MAX_PATH],
    "body: ": [1 << 20, 2 << 20, 16 << 20],  # of the routes, below
    "bulk: ": [json_rows.MAX_LINE, arrow_messages.MAX_MESSAGE],
    "JSON depth": [strict_json.DEFAULT.depth, json_text._MAX_DEPTH],
    "JSON members": [strict_json.DEFAULT.members, opa_answers.LIMITS.arrays["columns"]],
    "evaluations": [reading.MAX_ITEMS, deciding.MAX_ITEMS, stream.MAX_ROWS],
    "search results": [authzen_search.MAX_PAGE, authzen_search.MAX_RESULTS],
    "one id": [forms.MAX_ID, forms.MAX_ACTION, forms.MAX_ID, member_values.MAX_VALUE, MAX_KEYS],
    "policy text": [comparison.MAX_DOCUMENT, comparison.MAX_DOCUMENTS],
    "time: ": [
        "head_seconds",
        "body_seconds",
        "handler_seconds",
        STREAM,
        "keep_alive_seconds",
        "handshake_seconds",
        "write_seconds",
    ],
    "requests in a thread": ["in_work"],
    "AWS writes": ["writes"],
    "calls of each other kind": ["queue"],
    "AWS calls of each kind": ["queue_per_client"],
    "AWS request without a signature": [AWS.unsigned_body],
    "bytes of bodies": ["body_bytes"],
    "AWS calls without a signature": [AWS.unsigned_burst, AWS.unsigned_per_second],
    "rate per PEP identity": [],
    "slow calls": ["slow_per_client"],
    "connections per listener": ["connections", listeners._OPS_CONNECTIONS],
    "TLS handshakes": ["handshakes"],
    "connections that wait": ["backlog"],
    "files of the process": [connections._FILES],
}
"""By the beginning of its row: the limits, in the order of the row, those of `[limits]` by their names."""
THREADS = {"threads", "unsigned_threads", "waiting_threads"}  # G14 has them
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "M": 10**6}
_NUMBER = re.compile(r"(\d[\d,]*)(?: (KiB|MiB|M)\b)?")


def table() -> dict[str, str]:
    """The rows: what is limited, and the default."""
    text = (Path(__file__).parents[3] / "docs/doors.md").read_text()
    section = text.partition("### 1.6 ")[2].partition("\n#")[0]
    cells = [line.split("|") for line in section.splitlines() if line.startswith("| ")]
    return {row[1].strip(): row[2].strip() for row in cells[1:]}


def numbers(text: str) -> list[float]:
    """The numbers of a cell, as bytes where they have such a unit."""
    return [int(digits.replace(",", "")) * UNITS.get(unit, 1) for digits, unit in _NUMBER.findall(text)]


def test_each_row_of_the_table_is_compared() -> None:
    assert [[begin for begin in ROWS if row.startswith(begin)] for row in table()] == [[begin] for begin in ROWS]


@pytest.mark.parametrize("begin", ROWS)
def test_row_has_the_limits_of_the_code(begin: str) -> None:
    found = [default for row, default in table().items() if row.startswith(begin)]
    expected = [getattr(LIMITS, limit) if isinstance(limit, str) else limit for limit in ROWS[begin]]
    assert [numbers(default) for default in found] == [expected]


def test_each_limit_of_the_configuration_is_in_the_table() -> None:
    compared = {limit for row in ROWS.values() for limit in row if isinstance(limit, str)}
    assert compared | THREADS == set(msgspec.structs.asdict(LIMITS))


def test_protocols_have_the_limits_on_bodies_of_the_table() -> None:
    site = Site((ListenerFacts("tcp", True, "none", False),), has_directory=True, has_sts=True)
    found = {}
    for name in ("authzen", "bulk", "aws", "opa", "playground"):
        module = config.protocol_module(name)
        made = module.create(module.Section(**({"paths": {"x": opa.opa_section.PathSection()}} if name == "opa" else {})), site)
        found[name] = max(route.max_body for route in made.routes() if isinstance(route, Route))
    assert [found["authzen"], found["bulk"], found["aws"]] == [1 << 20, 1 << 20, 2 << 20]
    assert [found["playground"], found["opa"]] == [16 << 20] * 2
    assert (playground_forms.MAX_CHARACTERS, playground_forms.MAX_DOCUMENTS) == (
        comparison.MAX_DOCUMENT,
        comparison.MAX_DOCUMENTS,
    )

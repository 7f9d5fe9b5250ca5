"""Foreign, corrupt and forged files of engines are refused with a reason, or are harmless.

An attacker who changes a file can also correct its checksums. So these tests check tables in files with correct checksums.
The sanitizer (`make sanitize`) runs them too, and fails at the first read outside of a buffer.
"""

from __future__ import annotations

import json
import os
import random
import struct
import zlib
from collections.abc import Callable

import pytest
from engine_files import ANA, ASKED, CONTEXTS, OBJECT, A, all_answers, allow, document, make_directory

import fastiam
from fastiam import Engine, SourceError
from fastiam.engine.engine_file import MAGIC, is_saved
from fastiam.engine.engine_file import file as saved_file
from fastiam.engine.engine_file.file import FIXED, FORMAT, SavedFile
from fastiam.kernel.saved.file import checksum

READ, WRITE = struct.Struct("<I").unpack_from, struct.Struct("<I").pack_into
# vectors whose items hold indexes of others; what they hold is changed word by word
SECRET = f"arn:aws:secretsmanager:eu-west-1:{A}:secret:db"
EXTREME = (0, 1, 2, 3, 127, 255, 0xFFFF, 0x10000, 2**31 - 1, 2**31, 2**31 + 1, 0xFFFF_FFF0, 0xFFFF_FFFE, 0xFFFF_FFFF)


def make_all_kinds() -> fastiam.Directory:
    """A directory with every kind of pattern, operator, principal element and layer that tables know."""
    directory = make_directory()
    patterns = [
        "arn:aws:s3:::*",
        "arn:*:s3:::b/?x*y",
        "arn:aws:s3:*:*:b*c*",
        "arn:aws:s3:::b/${aws:username}/${aws:PrincipalTag/team, 'x'}*",
        "arn:aws:s3:::b/${aws:username}",
        *(f"arn:aws:s3:::b/{name}*" for name in ("obj", "abc", "abd")),
        "arn:aws:s3",
        "*:b/*",
    ]
    values = {
        "StringLike": {"app:a": ["x*", "${aws:username}?"]}, "StringEqualsIgnoreCase": {"app:b": "ÄX"},
        "NumericLessThan": {"app:c": "5"}, "DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"},
        "Bool": {"aws:SecureTransport": "false"}, "BinaryEquals": {"app:d": "QQ=="},
        "IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "2001:db8::/32"]}, "ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"},
        "Null": {"app:e": "true"}, "ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]},
        "ForAnyValue:StringNotLike": {"app:f": "z"}, "StringEqualsIfExists": {"aws:RequestTag/t": "u"},
    }  # fmt: skip
    conditions = [{operator: {key: value}} for operator, block in values.items() for key, value in block.items()]
    statements = [allow("s3:Put*", pattern) for pattern in patterns]
    statements += [allow(["s3:GetObject", "s3:Del*"], OBJECT, Condition=condition) for condition in conditions]
    statements += [
        {"Effect": "Deny", "NotAction": ["s3:*", "sns:*"], "NotResource": patterns[3:5]},
        allow("sns:*", Condition=values),
    ]
    directory.put_inline_policy(ANA, "All", document(*statements))
    who = [
        {"AWS": [A, ANA, f"arn:aws:sts::{A}:assumed-role/app/x", "AIDAEXAMPLEEXAMPLEEX"]},
        {"Service": "s3.amazonaws.com"},
        {"Federated": "accounts.google.com"},
        {"CanonicalUser": "9" * 64},
        "*",
    ]
    trust = [{"Effect": "Allow", "Principal": one, "Action": "sqs:Send*", "Resource": "*"} for one in who]
    trust.append({"Effect": "Deny", "NotPrincipal": who[0], "Action": "sqs:Receive*", "Resource": "*"})
    directory.add_resource(f"arn:aws:sqs:eu-west-1:{A}:all", policy=document(*trust))
    return directory


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "engine.fastiam"
    directory = make_all_kinds()
    directory.add_resource(f"{SECRET}-AbCdEf")
    engine = directory.compile()
    engine.is_allowed(ANA, "secretsmanager:GetSecretValue", SECRET)  # a resource that stands for another one (6.10)
    directory.tag(ANA, {"late": "x"})
    engine.updated(directory).save(path)
    return path.read_bytes()


@pytest.fixture
def load(tmp_path) -> Callable[[bytes], Engine]:
    def write_and_load(data: bytes) -> Engine:
        (tmp_path / "engine.fastiam").write_bytes(data)
        return Engine.load(tmp_path / "engine.fastiam")

    return write_and_load


def with_head(data: bytes, head: bytes) -> bytes:
    """The file with another head, whose checksum is right; it must not need more room."""
    _, _, size, _, total = FIXED.unpack_from(data)
    room = saved_file._rounded(FIXED.size + size, saved_file.PAGE)
    assert FIXED.size + len(head) <= room
    start = FIXED.pack(MAGIC, FORMAT, len(head), checksum(head), total) + head
    return start + bytes(room - len(start)) + data[room:]


def head_of(data: bytes) -> dict:
    _, _, size, _, _ = FIXED.unpack_from(data)
    return json.loads(data[FIXED.size : FIXED.size + size])


def sealed(data: bytearray) -> bytes:
    """Return the file with correct checksums."""
    head = head_of(data)
    at = saved_file._rounded(FIXED.size + FIXED.unpack_from(data)[2], saved_file.PAGE)
    for section in head["sections"].values():
        start, at = saved_file._place(at, section[0])
        section[1] = checksum(bytes(data[start : start + section[0]]))
    return with_head(bytes(data), json.dumps(head, separators=(",", ":")).encode())


# -- foreign files -----------------------------------------------------------------------------------------------------------

FOREIGN = {
    "empty": (b"", "is empty"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(1000), "is not a saved engine"),
    "JSON": (b'{"accounts": []}', "is not a saved engine"),
    "a start of it": (MAGIC[:5], "is truncated: it has 5 bytes"),
    "another": (MAGIC[:8] + bytes(100), "is not a saved engine"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_is_refused(load, tmp_path, name):
    data, message = FOREIGN[name]
    with pytest.raises(SourceError, match=message) as caught:
        load(data)
    assert caught.value.hint and caught.value.source == str(tmp_path / "engine.fastiam")
    assert not is_saved(tmp_path / "engine.fastiam")


def test_path_that_is_not_a_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path, "is a folder"),
        (tmp_path / "absent", "cannot be read: no such file"),
        (tmp_path / "pipe", "is not a regular file"),
    ):
        with pytest.raises(SourceError, match=message):
            Engine.load(path)
        assert not is_saved(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(load, tmp_path, whole):
    load(whole)
    (tmp_path / "engine.fastiam").chmod(0)
    with pytest.raises(SourceError, match="cannot be read: permission denied"):
        Engine.load(tmp_path / "engine.fastiam")


@pytest.mark.parametrize(
    ("format_", "age", "hint"), [(FORMAT + 1, "newer", "update fastiam"), (FORMAT - 1, "older", "compile it again")]
)
def test_another_format_is_refused(load, whole, format_, age, hint):
    data = whole[:16] + struct.pack("<I", format_) + whole[20:]
    with pytest.raises(SourceError, match=f"has format {format_}, which is {age}") as caught:
        load(data)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fastiam": "0.0.9"}, "was written by fastiam 0.0.9, and this is"),
        ({"layout": "big 64 0"}, "was written on another machine or by another build: `big 64 0`"),
    ],
)
def test_another_release_or_machine_is_refused(load, whole, changes, message):
    with pytest.raises(SourceError, match=message):
        load(with_head(whole, json.dumps(head_of(whole) | changes, separators=(",", ":")).encode()))


# -- what is no longer one ---------------------------------------------------------------------------------------------------


def refused(data: bytes) -> bool:
    try:
        SavedFile(memoryview(data), "engine.fastiam")
    except SourceError as error:
        return bool(error.hint)
    return False


def test_file_of_any_other_length_is_refused(whole):
    assert not refused(whole)
    assert all(refused(whole[:n]) for n in range(len(whole)))
    assert refused(whole + b"\0") and refused(whole + whole)


def test_file_with_a_changed_byte_is_refused(whole):
    rng = random.Random(1)
    data = bytearray(whole)
    spots = [*range(FIXED.size), *rng.sample(range(len(whole)), 4000)]
    for at in spots:
        before = data[at]
        data[at] ^= rng.randrange(1, 256)
        assert refused(bytes(data)), at
        data[at] = before


def test_swapped_bytes_are_refused(whole):
    half = len(whole) // 2 // 8 * 8
    assert refused(whole[:half] + whole[half + 8 :] + whole[half : half + 8])


# -- forged files ------------------------------------------------------------------------------------------------------------


def survives(load: Callable[[bytes], Engine], data: bytes) -> bool:
    """Whether the file was taken. Whatever it says, asking it raises nothing but what a request may raise."""
    try:
        engine = load(data)
    except SourceError:
        return False
    for request in (
        *ASKED[::9],
        (ANA, "s3:PutObject", OBJECT, CONTEXTS[0]),
        (ANA, "secretsmanager:GetSecretValue", SECRET),
        (ANA, "sns:X", "*", {"aws:RequestTag/t": "u", "app:a": "x"}),
    ):
        for unknown in ((), ("app:*", "aws:PrincipalTag/*")):
            try:
                engine.decide(*request, unknown=unknown)
            except fastiam.FastiamError:
                pass
    try:
        rows = [r for r in ASKED[::5] if isinstance(r[0], str)]
        engine.decide_many(*([r[i] for r in rows] for i in range(3)), reasons=True, on_error="deny")
    except fastiam.FastiamError:
        pass
    return True


def places(data: bytes) -> dict[str, tuple[int, int]]:
    return SavedFile(memoryview(data), "engine.fastiam").places


@pytest.mark.slow
def test_out_of_range_indexes_are_refused_or_harmless(load, whole):
    """Every vector, words of it at random, replaced by what is too large, too small or in between."""
    rng = random.Random(7)
    taken = asked = 0
    for name, (start, size) in places(whole).items():
        if size < 4 or name.startswith(("rows_of", "index_of", "policy_rows")):
            continue
        for _ in range(12):
            data = bytearray(whole)
            for _ in range(rng.choice((1, 1, 3))):
                at = start + rng.randrange(size // 4) * 4
                WRITE(
                    data,
                    at,
                    rng.choice((*EXTREME, rng.getrandbits(32), READ(data, at)[0] + rng.choice((-1, 1, 7)) & 0xFFFF_FFFF)),
                )
            asked += 1
            taken += survives(load, sealed(data))
    assert asked > 400 and 0.05 * asked < taken < 0.95 * asked


@pytest.mark.slow
def test_random_bytes_are_refused_or_harmless(load, whole):
    rng = random.Random(8)
    for name, (start, size) in places(whole).items():
        for _ in range(4 if size else 0):
            data = bytearray(whole)
            data[start + rng.randrange(size)] = rng.choice((0, 1, 0x3A, 0xFD, 0xFE, 0xFF, rng.randrange(256)))
            survives(load, sealed(data))
        assert name


@pytest.mark.parametrize(
    "name",
    ["patterns", "principals", "atoms", "values", "keys", "bodies", "policy_sets", "layer_levels", "principal_slots", "symbols"],
)
def test_a_vector_of_ones_is_refused(load, whole, name):
    start, size = places(whole)[name]
    data = bytearray(whole)
    data[start : start + size] = b"\xff" * size
    assert not survives(load, sealed(data))


PATTERN = struct.Struct("<2I4B4H5H2xI")  # as `kernel.model.tables` has it
TEXT, NEED, COLONS, SIZE = 0, 9, slice(10, 15), -1


@pytest.mark.parametrize("beyond", [1, 0xFFFF], ids=["a byte too many", "more than 16 bits hold"])
def test_pattern_pieces_longer_than_the_pattern_are_refused(load, whole, beyond):
    start, size = places(whole)["patterns"]
    data = bytearray(whole)
    for at in range(start, start + size, PATTERN.size):
        fields = list(PATTERN.unpack_from(data, at))
        fields[NEED] = min(fields[SIZE] + beyond, 0xFFFF)
        PATTERN.pack_into(data, at, *fields)
    assert not survives(load, sealed(data))


@pytest.mark.parametrize("which", range(5))
def test_pattern_with_wrong_colon_positions_is_refused(load, whole, which):
    start, size = places(whole)["patterns"]
    pool, _ = places(whole)["pool"]
    data = bytearray(whole)
    for at in range(start, start + size, PATTERN.size):
        fields = PATTERN.unpack_from(data, at)
        if fields[COLONS][4]:
            data[pool + fields[TEXT] + fields[COLONS][which]] = ord(";")
    assert not survives(load, sealed(data))


RECORD = struct.Struct("<7I2B2x")  # as `kernel.model.tables` has it
PRINCIPAL_SIZE, ACCOUNT_INDEX = 88, 4
ARN, ARN_SIZE, NONE = 4, 5, 0xFFFF_FFFF


def test_resource_with_the_record_of_another_is_refused(load, whole):
    """The cached field offsets of its ARN would be wrong."""
    start, size = places(whole)["records"]
    data, has_arn = bytearray(whole), []
    for at in range(start, start + size, RECORD.size):
        fields = list(RECORD.unpack_from(data, at))
        has_arn.append(fields[ARN] != NONE)
        fields[ARN], fields[ARN_SIZE] = 0, 4
        RECORD.pack_into(data, at, *fields)
    assert has_arn.count(True) == 1 and not survives(load, sealed(data))


def test_principal_with_a_missing_account_is_refused(load, whole):
    """The account index of each principal is checked; engines share principals, so one without a name is of another engine."""
    start, size = places(whole)["principals"]
    data = bytearray(whole)
    for at in range(start, start + size, PRINCIPAL_SIZE):
        assert READ(data, at + ACCOUNT_INDEX)[0] in (NONE, *range(100))
        WRITE(data, at + ACCOUNT_INDEX, 5000)
    assert not survives(load, sealed(data))


def test_a_section_of_another_size_is_refused(load, whole):
    head = head_of(whole)
    for name in head["sections"]:
        for size in (-1, 0, 1, head["sections"][name][0] + 4, 1 << 62, 1.5, None, "x"):
            changed = json.loads(json.dumps(head))
            changed["sections"][name][0] = size
            if size != head["sections"][name][0]:
                with pytest.raises(SourceError):
                    load(with_head(whole, json.dumps(changed, separators=(",", ":")).encode()))


@pytest.mark.parametrize("name", ["numbers", "keys", "actions", "options", "sections", "fastiam", "layout"])
@pytest.mark.parametrize("value", [None, [], {}, 3, "x", [None], [["a", "b"]], {"keys": [1 << 40]}], ids=json.dumps)
def test_header_with_a_changed_value_is_refused(load, whole, name, value):
    head = head_of(whole)
    if name == "actions" and value == [["a", "b"]]:
        pytest.skip("that is a list of actions")
    for changed in (head | {name: value}, {k: v for k, v in head.items() if k != name}):
        with pytest.raises(SourceError):
            load(with_head(whole, json.dumps(changed, separators=(",", ":")).encode()))


def test_header_that_is_not_json_is_refused(load, whole):
    for head in (b"", b"{", b"[]", b"[" * 3000, b'{"fastiam": 1e999}', b"\xff\xfe"):
        with pytest.raises(SourceError):
            load(with_head(whole, head))


def rebuilt(data: bytes, section: str, change: Callable[[bytes], bytes]) -> bytes:
    """Return the file with one section replaced, of any size."""
    file = SavedFile(memoryview(data), "engine.fastiam")
    sections = {name: bytes(file.section(name)) for name in file.places}
    sections[section] = change(sections[section])
    head = {k: v for k, v in file.head.items() if k not in ("sections", "fastiam", "layout")}
    return b"".join(saved_file.build(head, sections))


def test_unreadable_records_raise_on_first_use(load, whole):
    """Records are parsed and checked on first use."""
    bomb = zlib.compress(b"0" * 10_000_000)
    for section in ("rows_of_records", "rows_of_policies", "rows_of_tables"):
        for change in (lambda rows: rows[:-7], lambda rows: bytes(len(rows)), lambda rows: bomb, lambda rows: b""):
            engine = load(rebuilt(whole, section, change))
            with pytest.raises(SourceError, match="a record cannot be read"):
                all_answers(engine)
    other = zlib.compress(b'{"arn":5}')
    for section in ("rows_of_records", "rows_of_policies", "rows_of_tables"):
        data = rebuilt(
            rebuilt(whole, section, lambda rows: other), "index_of" + section[7:], lambda index: struct.pack("=QQQ", 0, 0, 9)
        )
        with pytest.raises(SourceError, match="a record cannot be read"):
            all_answers(load(data))


def test_policies_that_differ_from_the_tables_raise(load, whole):
    """A statement that is missing in the text of its policy has no name."""
    engine = load(rebuilt(whole, "policy_rows", lambda rows: bytes(4) * (len(rows) // 4)))
    for request in ASKED:
        try:
            engine.decide(*request)
        except SourceError as error:
            assert "a record cannot be read" in str(error)

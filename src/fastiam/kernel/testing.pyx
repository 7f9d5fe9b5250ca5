"""Test hooks: inline functions and constants of the kernels as Python functions. Only tests import this module."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

from fastiam._core cimport decided_by_route
from fastiam.kernel.base.invariants cimport narrow16, narrow32, narrow8
from fastiam.kernel.decide.routes cimport Route
from fastiam.kernel.base.text cimport Text
from fastiam.kernel.columns.column cimport Column, item_text, row_items
from fastiam.kernel.columns.read cimport TextColumn
from fastiam.kernel.model.combining cimport N_RELATIONS, needed_after, sufficient_classes
from fastiam.kernel.model.call cimport Buffer, Call, Scratch
from fastiam.kernel.eval.key_values cimport write_time as c_write_time
from fastiam.kernel.model.tables cimport *
from fastiam.kernel.plan.names cimport Names, view
from fastiam.kernel.plan.tables cimport Tables
from fastiam.kernel.base cimport arn as _arn, text as _bytes, utf8 as _text, values as _values
from fastiam.kernel.eval cimport glob as _glob, operators as _operators, search as _search


cdef extern from *:
    """
    #if defined(FASTIAM_CHECKS)
    #define fastiam_has_checks 1
    #else
    #define fastiam_has_checks 0
    #endif
    """
    bint c_has_checks "fastiam_has_checks"


def has_checks():
    """Whether this build asserts its invariants."""
    return c_has_checks


def routes():
    """How many rows of batches and single calls took each route, since the process began: all 0 in a build without checks."""
    names = "flags own layers near far together alone call_own call_decide call_general".split()
    return {name: decided_by_route(<Route>i) for i, name in enumerate(names)}


def narrow(int bits, int64_t number):
    """A number in so many bits, 8, 16 or 32: a build with checks ends the process where it loses some."""
    return narrow8(number) if bits == 8 else narrow16(number) if bits == 16 else narrow32(number)


# -- names ---------------------------------------------------------------------------------------------------------

cdef object _symbol(const TablesC* t, uint32_t symbol):
    """The text of a word, None for NONE."""
    return None if symbol == NONE else t.pool[t.symbols[symbol].text:t.symbols[symbol].text + t.symbols[symbol].size]


cdef list _constants(const TablesC* t, uint32_t first, uint32_t n):
    """Key, form, certainty and texts of each."""
    cdef const Constant* k
    cdef const PoolText* p
    found = []
    for i in range(first, first + n):
        k = &t.constants[i]
        p = &t.const_texts[k.first]
        found.append((k.key, k.form, k.certainty, [t.pool[p[j].text:p[j].text + p[j].size] for j in range(k.n)]))
    return found


def principal_of(Names names, uint32_t number):
    """Everything that the tables say of a principal; words as their texts."""
    cdef const TablesC* t = view(names)
    cdef const Principal* p = &t.principals[number]
    return {
        "kind": p.kind, "flags": p.flags, "credential": p.credential, "account_index": p.account_index, "account_id": p.account_id[:12],
        "account": _symbol(t, p.account), "partition": _symbol(t, p.partition), "user_arn": _symbol(t, p.user_arn), "role": _symbol(t, p.role),
        "session_arn": _symbol(t, p.session_arn), "federated_arn": _symbol(t, p.federated_arn), "unique_id": _symbol(t, p.unique_id),
        "canonical_id": _symbol(t, p.canonical_id), "principal_set": p.principal_set, "scp_set": p.scp_set, "mfa_at": p.mfa_at,
        "names": [_symbol(t, t.symbol_lists[p.names + i]) for i in range(p.n_names)],
        "absent": [t.symbol_lists[p.absent + i] for i in range(p.n_absent)],
        "constants": _constants(t, p.constants, p.n_constants),
    }


# -- combining ----------------------------------------------------------------------------------------------------------

def combining(uint32_t relation):
    """For each set of classes, what else has to allow, and which of these classes are reported, of a relation to the owner; None: there is none."""
    if relation >= N_RELATIONS:
        return None
    return [needed_after(relation, classes) for classes in range(CLASS_ALL + 1)], sufficient_classes(relation)


# -- columns --------------------------------------------------------------------------------------------------------

cdef object _item(const Column* c, int64_t item):
    cdef Text text
    return text.data[: text.size].decode() if item_text(c, item, &text) else None


def column_texts(TextColumn column):
    """What the kernel would read: one text, None or list a row; for a value that stands for all rows, one text."""
    cdef int64_t row = 0
    cdef int64_t local, left, first, last
    cdef const Column* c
    texts = []
    while row < (column.length if column.length >= 0 else 1):
        c = column.chunk_of(row, &local, &left)
        row_items(c, local, &first, &last)
        items = [_item(c, item) for item in range(first, last)]
        texts.append(items if column.is_list else items[0])
        row += 1
    return texts


# -- texts ----------------------------------------------------------------------------------------------------------

def hash_bytes(bytes data, uint64_t seed):
    """64 bits of some bytes."""
    return _bytes.hash_bytes(data, len(data), seed)


def characters(bytes text):
    """The text cut by steps of one character."""
    cdef const uint8_t* start = text
    cdef const uint8_t* p = start
    cdef const uint8_t* end = p + len(text)
    found = []
    while p < end:
        start = p
        p = _bytes.next_char(p, end)
        found.append(start[:p - start])
    return found


def is_ascii(bytes text):
    """Whether no byte has its high bit set."""
    return _text.is_ascii(text, len(text))


def is_utf8(bytes text):
    """Whether the bytes are valid UTF-8."""
    return _text.is_utf8(text, len(text))


def write_utf8(uint32_t point):
    """The bytes of a code point; none for what is no character."""
    cdef char out[4]
    return out[:_text.write_utf8(point, out)]


def fold_text(Tables tables, bytes text):
    """The folded text, by the table of folds that `tables` holds."""
    cdef Call c
    cdef Scratch s
    cdef Buffer buffer
    memset(&c, 0, sizeof(Call))
    memset(&s, 0, sizeof(Scratch))
    memset(&buffer, 0, sizeof(Buffer))
    tables.sync()
    c.t = &tables.t
    c.s = &s
    n = _operators.fold_text(&c, text, len(text), &buffer)
    try:
        return buffer.data[:n]
    finally:
        free(buffer.data)


# -- wildcards; `cut` is the plain twin of `five_colons` --------------------------------------------------------------

def five_colons(bytes text):
    """Where the first five colons are, or None with fewer."""
    cdef uint16_t colons[5]
    return tuple(colons) if _arn.five_colons(text, len(text), colons) else None


def cut(bytes text):
    """As `five_colons`, colon by colon."""
    cdef uint16_t colons[5]
    return tuple(colons) if _arn.cut(text, len(text), colons) else None


def glob_crossing(bytes pattern, int64_t tail, bytes text):
    """Whether an encoded pattern whose field 6 starts at `tail` matches in the crossing reading (R5)."""
    return _search.glob_crossing(pattern, len(pattern), tail, text, <const uint8_t*>text + len(text))


def find_literal(bytes text, bytes piece):
    """As `text.find(piece)`, of a piece that is not empty."""
    cdef const uint8_t* t = text
    cdef const uint8_t* found = _search.find_literal(t, t + len(text), piece, len(piece))
    return -1 if found == NULL else found - t


def glob_fields(bytes pattern, bytes text, uint8_t literal_fields):
    """Whether fields 2 to 5 match one by one; pattern and text have five colons each."""
    cdef uint16_t p_colons[5]
    cdef uint16_t t_colons[5]
    if not _arn.cut(pattern, len(pattern), p_colons) or not _arn.cut(text, len(text), t_colons):
        raise ValueError("five colons are needed")
    return _glob.glob_fields(pattern, p_colons, text, t_colons, literal_fields)


# -- values -----------------------------------------------------------------------------------------------------------

def compare_decimals(bytes one, bytes two):
    """Below, at or above zero as `one` is to `two`; None where one of them is no number."""
    cdef _values.Decimal a, b
    if not _values.read_decimal(one, len(one), &a) or not _values.read_decimal(two, len(two), &b):
        return None
    return _values.compare_decimals(&a, &b)


def compare_instants(bytes one, bytes two):
    """As `compare_decimals`, of dates."""
    cdef _values.Instant a, b
    if not _values.read_instant(one, len(one), &a) or not _values.read_instant(two, len(two), &b):
        return None
    return _values.compare_instants(&a, &b)


def write_time(int64_t seconds):
    """The text of an instant, empty where its year has no four digits."""
    cdef char out[32]
    return out[:c_write_time(seconds, out)]


def in_range(bytes address, bytes base, int64_t prefix):
    """Whether the first `prefix` bits of two addresses of 16 bytes agree, and both are of one version."""
    return _values.in_range(address, base, prefix)


def decode_base64(bytes text):
    """What a base64 text stands for, or None."""
    cdef const uint8_t* p = text
    cdef int64_t i, n = _values.base64_size(p, len(text))
    return None if n < 0 else bytes([_values.base64_byte(p, i) for i in range(n)])


def compare_base64(bytes one, bytes two):
    """Below, at or above zero as what `one` stands for is to what `two` does: shorter first."""
    return _values.compare_base64(one, _values.base64_size(one, len(one)), two, _values.base64_size(two, len(two)))


def read_bool(bytes text):
    """1, 0 or -1."""
    return _values.read_bool(text, len(text))

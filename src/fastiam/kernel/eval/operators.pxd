"""Condition operators on one value of a request, and the variables of policy values (spec section 4). Header only."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

from fastiam.kernel.base.arn cimport cut, cut_arn
from fastiam.kernel.base.invariants cimport promise
from fastiam.kernel.base.text cimport Text, same
from fastiam.kernel.base.utf8 cimport write_utf8
from fastiam.kernel.base.values cimport (
    Decimal, Instant, base64_size, compare_base64, compare_decimals, compare_instants, in_range, is_before, read_address, read_bool, read_decimal,
    read_instant,
)
from fastiam.kernel.eval.glob cimport glob, glob_fields
from fastiam.kernel.eval.unknown cimport is_unknown, variable_index
from fastiam.kernel.model.call cimport Buffer, Call
from fastiam.kernel.eval.key_values cimport KeyValues, fetch, reserve
from fastiam.kernel.model.conditions cimport (
    ATOM_NEGATED, ATOM_ORDERED, Atom, F, FOR_ANY, REL_EQ, REL_GT, REL_LE, REL_LT, T, U, Value,
)
from fastiam.kernel.model.ids cimport NONE
from fastiam.kernel.model.patterns cimport VARIABLE_TOKEN_SIZE, TOKEN_VARIABLE, TOKEN_STAR, Variable
from fastiam.kernel.model.tables cimport TablesC


cdef enum Operator:            # what an atom compares, as `Comparison` of `fastiam.policy.conditions.operators` numbers it
    OP_STRING = 0
    OP_STRING_FOLD = 1
    OP_STRING_LIKE = 2
    OP_NUMERIC = 3
    OP_DATE = 4
    OP_BOOL = 5
    OP_BINARY = 6
    OP_IP = 7
    OP_ARN = 8
    OP_NULL = 9
    OP_LAST = OP_NULL


cdef enum:                     # sets of operators, as bits by number
    TEXT_OPERATORS = 1 << OP_STRING | 1 << OP_STRING_FOLD | 1 << OP_STRING_LIKE | 1 << OP_ARN   # compare texts with patterns
    INDEXED_OPERATORS = 1 << OP_STRING | 1 << OP_STRING_LIKE | 1 << OP_IP | 1 << OP_ARN         # an index can find their values


cdef inline bint compares_text(const Atom* atom) noexcept nogil:
    return (<uint32_t>TEXT_OPERATORS >> atom.op) & 1


# -- variables ------------------------------------------------------------------------------------------------------

cdef inline bint resolve(Call* c, uint32_t variable, Text* out) noexcept nogil:
    """The text of a variable (VR6, VR7); False where it is unresolved."""
    cdef const Variable* v = &c.t.variables[variable]
    cdef KeyValues found
    if c.t.keys[v.key].is_multi:
        return False
    fetch(c, v.key, 1, &found)
    if found.n > 0:
        if found.is_multi or found.is_conflict or found.n > 1:
            return False
        if found.texts[0].size > 0:
            out[0] = found.texts[0]
            return True
    if v.default_text == NONE:
        return False
    out[0] = Text(<const char*>c.t.pool + v.default_text, v.default_size)
    return True


cdef inline int64_t expand(Call* c, const uint8_t* p, int64_t size, Buffer* buffer) noexcept nogil:
    """A text with its variables put in as literal bytes, unknown ones as `*`; its size, or -1 where one is unresolved."""
    cdef const uint8_t* end = p + size
    cdef const uint8_t* slot
    cdef int64_t n = 0, part
    cdef uint32_t variable
    cdef Text value
    c.s.has_unknown_variable = False
    while p < end:
        slot = <const uint8_t*>memchr(p, TOKEN_VARIABLE, <size_t>(end - p))
        part = (end if slot == NULL else slot) - p
        if not reserve(buffer, n + part + 1, &c.s.failed):
            return -1
        memcpy(buffer.data + n, p, <size_t>part)
        n += part
        if slot == NULL:
            break
        promise(slot + VARIABLE_TOKEN_SIZE <= end)
        variable = variable_index(slot)
        p = slot + VARIABLE_TOKEN_SIZE
        if c.unknown != NULL and is_unknown(c, c.t.variables[variable].key):
            c.s.has_unknown_variable = True
            buffer.data[n] = TOKEN_STAR                  # there is room: one byte more was reserved
            n += 1
            continue
        if not resolve(c, variable, &value) or not reserve(buffer, n + value.size + 1, &c.s.failed):
            return -1
        memcpy(buffer.data + n, value.data, <size_t>value.size)
        n += value.size
    return n if reserve(buffer, n + 1, &c.s.failed) else -1


# -- comparisons ------------------------------------------------------------------------------------------------------

cdef inline uint32_t fold_char(const TablesC* t, uint32_t char) noexcept nogil:
    """Simple folding of a character beyond ASCII: a search in the sorted table."""
    cdef uint32_t low = 0, high = t.n_folds, middle
    while low < high:
        middle = (low + high) >> 1
        if t.fold_from[middle] < char:
            low = middle + 1
        else:
            high = middle
    return t.fold_to[low] if low < t.n_folds and t.fold_from[low] == char else char


cdef inline int64_t fold_text(Call* c, const uint8_t* p, int64_t size, Buffer* buffer) noexcept nogil:
    """Case folded UTF-8 of a valid text, character by character; its size."""
    cdef const uint8_t* end = p + size
    cdef int64_t n = 0
    cdef uint32_t char
    cdef int more, written, i
    if not reserve(buffer, 2 * size + 4, &c.s.failed):     # folding at most doubles the bytes of a character
        return 0
    while p < end:
        if p[0] < 0x80:
            buffer.data[n] = p[0] + 32 if 65 <= p[0] <= 90 else p[0]
            n += 1
            p += 1
            continue
        more = 3 if p[0] >= 0xF0 else 2 if p[0] >= 0xE0 else 1
        if end - p <= more:
            break
        char = p[0] & (0x3F >> more)
        for i in range(1, more + 1):
            char = (char << 6) | (p[i] & 63)
        written = write_utf8(fold_char(c.t, char), <char*>buffer.data + n)
        if written == 0:                                 # a lone surrogate of a lenient document (V39): equals itself alone
            written = more + 1
            memcpy(buffer.data + n, p, <size_t>written)
        n += written
        p += more + 1
    return n


cdef inline bint equal_folded(Call* c, const Text* actual, const uint8_t* p, int64_t size) noexcept nogil:
    cdef int64_t n = fold_text(c, <const uint8_t*>actual.data, actual.size, &c.s.folded[0])
    cdef int64_t m = fold_text(c, p, size, &c.s.folded[1])
    return n == m and memcmp(c.s.folded[0].data, c.s.folded[1].data, <size_t>n) == 0


cdef inline Text folded_text(Call* c, const Text* actual) noexcept nogil:
    cdef int64_t n = fold_text(c, <const uint8_t*>actual.data, actual.size, &c.s.folded[0])
    return Text(<const char*>c.s.folded[0].data, n)


cdef inline bint matches_string_like(const Text* actual, const uint8_t* p, int64_t size) noexcept nogil:
    """PERF: most of many patterns are excluded by their last byte."""
    if size and p[size - 1] < TOKEN_VARIABLE and (actual.size == 0 or <uint8_t>actual.data[actual.size - 1] != p[size - 1]):
        return False
    return glob(p, p + size, <const uint8_t*>actual.data, <const uint8_t*>actual.data + actual.size)


cdef inline int arn_like(const Text* actual, const uint8_t* p, int64_t size) noexcept nogil:
    """Field by field (C60); U where the pattern has fewer than six fields or no `arn` (C62). `actual` is an ARN."""
    cdef uint16_t p_colons[5]
    cdef uint16_t t_colons[5]
    cdef const uint8_t* t = <const uint8_t*>actual.data
    if not cut_arn(p, size, p_colons):
        return U
    cut(t, actual.size, t_colons)
    if not glob_fields(p, p_colons, t, t_colons, 0):
        return F
    return glob(p + p_colons[4] + 1, p + size, t + t_colons[4] + 1, t + actual.size)


cdef inline bint is_arn(const Text* text) noexcept nogil:
    cdef uint16_t colons[5]
    return cut_arn(<const uint8_t*>text.data, text.size, colons)


cdef inline bint policy_value_text(Call* c, const Value* v, Text* out) noexcept nogil:
    """A policy value of a string or ARN operator with its variables put in; False where one is unresolved (VR9)."""
    cdef int64_t size
    out[0] = Text(<const char*>c.t.pool + v.text, v.size)
    if v.unresolved:
        return False
    if v.has_variables:
        size = expand(c, c.t.pool + v.text, v.size, &c.s.expanded[1])
        if size < 0:
            return False
        out[0] = Text(<const char*>c.s.expanded[1].data, size)
    return True


cdef inline int compare_text(Call* c, const Atom* atom, const Value* v, const Text* actual) noexcept nogil:
    cdef Text value
    cdef const uint8_t* p
    cdef int64_t size
    if not policy_value_text(c, v, &value):
        return F
    p = <const uint8_t*>value.data
    size = value.size
    if atom.op == OP_STRING:
        return same(actual.data, actual.size, <const char*>p, size)
    if atom.op == OP_STRING_FOLD:
        return equal_folded(c, actual, p, size)
    if atom.op == OP_STRING_LIKE:
        return matches_string_like(actual, p, size)
    return arn_like(actual, p, size)


cdef inline bint relation_holds(int order, int relation) noexcept nogil:
    if relation == REL_EQ:
        return order == 0
    if relation == REL_LT:
        return order < 0
    if relation == REL_LE:
        return order <= 0
    if relation == REL_GT:
        return order > 0
    return order >= 0


cdef inline bint is_listed(const TablesC* t, const Atom* atom, const Text* actual) noexcept nogil:
    """Whether a text is one of ordered ones."""
    cdef const Value* v
    cdef uint32_t low = atom.first, high = atom.first + atom.n, middle
    cdef int64_t order
    while low < high:
        middle = (low + high) >> 1
        v = &t.values[middle]
        order = actual.size - v.size
        if order == 0:
            order = memcmp(actual.data, t.pool + v.text, v.size)
            if order == 0:
                return True
        if order < 0:
            high = middle
        else:
            low = middle + 1
    return False


cdef inline uint32_t n_certain(const TablesC* t, const Atom* atom) noexcept nogil:
    """How many ordered values can be read. What cannot is one value, the last."""
    return atom.n - t.values[atom.first + atom.n - 1].is_u


cdef inline bint is_in_ordered(const TablesC* t, const Atom* atom, const uint8_t* address) noexcept nogil:
    """Whether an address lies in one of ordered networks: in the last one that does not begin behind it, or in none."""
    cdef uint32_t low = atom.first, high = atom.first + n_certain(t, atom), middle
    while low < high:
        middle = (low + high) >> 1
        if is_before(address, t.values[middle].address):
            high = middle
        else:
            low = middle + 1
    return low > atom.first and in_range(address, t.values[low - 1].address, t.values[low - 1].number)


cdef struct Typed:             # a value of a request as the operator reads it
    Decimal decimal
    Instant instant
    const uint8_t* text        # base64, of so many bytes
    int64_t n_bytes


cdef inline int any_text(Call* c, const Atom* atom, const Text* actual) noexcept nogil:
    cdef int found = F, one
    cdef uint32_t i
    cdef Text folded
    if atom.op == OP_ARN and not is_arn(actual):
        return U                                         # C22
    if atom.flags & ATOM_ORDERED:
        if atom.op != OP_STRING_FOLD:
            return is_listed(c.t, atom, actual)
        folded = folded_text(c, actual)
        return is_listed(c.t, atom, &folded)
    for i in range(atom.n):
        one = compare_text(c, atom, &c.t.values[atom.first + i], actual)
        if one == T:
            return T
        if one == U:
            found = U
    return found


cdef inline int order_with(const TablesC* t, const Atom* atom, const Value* v, const Typed* actual) noexcept nogil:
    """Below, equal to or above zero as the actual value is below, equal to or above one that can be read."""
    cdef Decimal decimal = Decimal(t.pool, t.pool, 0, 0, False)   # of a damaged file
    cdef Instant instant
    if atom.op == OP_NUMERIC:
        read_decimal(t.pool + v.text, v.size, &decimal)
        return compare_decimals(&actual.decimal, &decimal)
    if atom.op == OP_DATE:
        instant = Instant(v.number, v.nanos)
        return compare_instants(&actual.instant, &instant)
    return compare_base64(actual.text, actual.n_bytes, t.pool + v.text, base64_size(t.pool + v.text, v.size))


cdef inline bint is_among_ordered(const TablesC* t, const Atom* atom, const Typed* actual) noexcept nogil:
    """Whether a value equals one of ordered ones."""
    cdef uint32_t low = atom.first, high = atom.first + n_certain(t, atom), middle
    cdef int order
    while low < high:
        middle = (low + high) >> 1
        order = order_with(t, atom, &t.values[middle], actual)
        if order == 0:
            return True
        if order < 0:
            high = middle
        else:
            low = middle + 1
    return False


cdef inline bint read_typed(const Atom* atom, const Text* text, Typed* out) noexcept nogil:
    out.text = <const uint8_t*>text.data
    if atom.op == OP_NUMERIC:
        return read_decimal(out.text, text.size, &out.decimal)
    if atom.op == OP_DATE:
        return read_instant(out.text, text.size, &out.instant)
    out.n_bytes = base64_size(out.text, text.size)
    return out.n_bytes >= 0


cdef inline int any_typed(Call* c, const Atom* atom, const Text* text) noexcept nogil:
    """Numbers, dates and base64."""
    cdef Typed actual
    cdef const Value* v
    cdef int found = F
    cdef uint32_t i
    if not read_typed(atom, text, &actual):
        return U
    if atom.flags & ATOM_ORDERED:
        if is_among_ordered(c.t, atom, &actual):
            return T
        return U if n_certain(c.t, atom) < atom.n else F
    for i in range(atom.n):
        v = &c.t.values[atom.first + i]
        if v.is_u:
            found = U
        elif relation_holds(order_with(c.t, atom, v, &actual), atom.relation):
            return T
    return found


cdef inline int any_address(Call* c, const Atom* atom, const Text* actual) noexcept nogil:
    cdef uint8_t address[16]
    cdef const Value* v
    cdef int found = F
    cdef uint32_t i
    if not read_address(<const uint8_t*>actual.data, actual.size, address):
        return U
    if atom.flags & ATOM_ORDERED:
        if is_in_ordered(c.t, atom, address):
            return T
        return U if n_certain(c.t, atom) < atom.n else F
    for i in range(atom.n):
        v = &c.t.values[atom.first + i]
        if v.is_u:
            found = U
        elif in_range(address, v.address, v.number):
            return T
    return found


cdef inline int any_bool(Call* c, const Atom* atom, const Text* actual) noexcept nogil:
    cdef int value = read_bool(<const uint8_t*>actual.data, actual.size)
    cdef int found = F
    cdef uint32_t i
    if value < 0:
        return U
    for i in range(atom.n):
        if c.t.values[atom.first + i].is_u:
            found = U
        elif c.t.values[atom.first + i].number == value:
            return T
    return found


cdef inline int compare(Call* c, const Atom* atom, const Text* actual) noexcept nogil:
    """`P` of 4.3 for one context value: whether it matches one of the policy values."""
    if compares_text(atom):
        return any_text(c, atom, actual)
    if atom.op == OP_IP:
        return any_address(c, atom, actual)
    if atom.op == OP_BOOL:
        return any_bool(c, atom, actual)
    return any_typed(c, atom, actual)


cdef inline bint decides_result(const Atom* atom, int matches, int* result) noexcept nogil:
    """Add what `compare` says of a context value to the result; whether that decides the OR, or the AND."""
    if matches == U:
        result[0] = U
        return False
    if atom.flags & ATOM_NEGATED:
        matches = 1 - matches
    if (matches == T) != (atom.qualifier == FOR_ANY):
        return False
    result[0] = matches
    return True

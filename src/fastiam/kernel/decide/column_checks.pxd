"""Checks of the columns of a block against what is known (K1): each column by itself, by text. Header only.

A principal, the account that owns a resource, or a resource's record may fix a key that a column gives. A row whose value differs takes the
general path, which reports it. What a principal fixes is read once (`read_fixed`), and kept for the next batch with the principal.

PERF: `may_contradict` checks one located call; a checked build compares both (`decide_general`).
"""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from fastiam.kernel.base.arn cimport account_number
from fastiam.kernel.base.text cimport Text, short_equal
from fastiam.kernel.columns.column cimport item_text
from fastiam.kernel.decide.locate cimport agrees, differs
from fastiam.kernel.eval.unknown cimport known_absent
from fastiam.kernel.model.call cimport Call, ContextColumn
from fastiam.kernel.eval.key_values cimport KeyValues, constant_of, given
from fastiam.kernel.model.tables cimport *


cdef enum:                     # instead of the size of a text that is fixed
    ANY_VALUE = 0xFFFFFFFF     # nothing is fixed
    OTHER_VALUES = 0xFFFFFFFE  # several values, or none: `contradicts_principal`


cdef enum:
    AGREED_BITS = 20           # of a code of a dictionary in `Scratch.agreed`; larger ones are compared by text


cdef inline PoolText fixed_text(Call* c, uint32_t key) noexcept nogil:
    """The text that `c.principal` fixes for a key."""
    cdef const Constant* own = constant_of(c.t.constants + c.principal.constants, c.principal.n_constants, key)
    if own == NULL:
        return PoolText(0, OTHER_VALUES if known_absent(c, &c.t.keys[key], key) else ANY_VALUE)
    if own.certainty == FACT_ASSUMED:
        return PoolText(0, ANY_VALUE)
    return c.t.const_texts[own.first] if own.n == 1 else PoolText(0, OTHER_VALUES)


cdef inline bint read_fixed(Call* c, int64_t principal_id, bint* needs_full_eval) noexcept nogil:
    """Read what `c.principal`, number `principal_id`, fixes of the keys that columns give; False if it fixes none. `needs_full_eval` is set if it
    fixes one of which more must be known than the principal: a session that carries a tag of resources, say."""
    cdef PoolText fixed
    cdef PoolText* cells = c.s.fixed + principal_id * c.s.n_fixed
    cdef bint found = False
    cdef int32_t k
    needs_full_eval[0] = False
    for k in range(c.n_columns):
        if not c.t.keys[c.columns[k].key].is_checked:
            continue
        fixed = fixed_text(c, c.columns[k].key)
        if c.s.cell_of[k] >= 0:
            cells[c.s.cell_of[k]] = fixed
        elif fixed.size != ANY_VALUE:
            needs_full_eval[0] = True
        found |= fixed.size != ANY_VALUE
    return found


cdef inline bint is_other_text(const Call* c, PoolText known, const ContextColumn* column, int64_t row) noexcept nogil:
    """Whether a row has another text than the one that is known."""
    cdef Text text
    return item_text(column.column, column.first + row, &text) and (
        text.size != known.size or not short_equal(text.data, <const char*>c.t.pool + known.text, text.size)
    )


cdef inline bint contradicts_constant(Call* c, const ContextColumn* column, int64_t row, const Constant* k) noexcept nogil:
    """Whether a row has another value than a constant."""
    cdef KeyValues value
    if k.n == 1 and not column.column.is_list:
        return is_other_text(c, c.t.const_texts[k.first], column, row)
    c.row = row
    given(c, column.key, 0, &value)
    return value.n != 0 and not agrees(c, k, &value)


cdef inline bint contradicts_principal(Call* c, const Principal* p, const ContextColumn* column, int64_t row) noexcept nogil:
    """Whether a row has a value where a principal, which fixes the key, has several or none."""
    cdef KeyValues value
    cdef bint found
    c.row = row
    given(c, column.key, 0, &value)
    return value.n != 0 and (differs(c, c.t.constants + p.constants, p.n_constants, column.key, &value, &found) or not found)


cdef inline bint contradicts_fixed(Call* c, PoolText known, uint32_t principal_id, const ContextColumn* column, int64_t row) noexcept nogil:
    """Whether a row has another value than what a principal fixes."""
    if known.size == ANY_VALUE:
        return False
    if known.size == OTHER_VALUES or column.column.is_list:
        return contradicts_principal(c, c.t.principals + principal_id, column, row)
    return is_other_text(c, known, column, row)


cdef inline bint contradicts_owner(
    Call* c, const ContextColumn* column, int64_t row, uint64_t number, uint32_t account
) noexcept nogil:
    """Whether a row gives another account than the one that owns the resource, by its number, or another organization than it is in."""
    cdef const Key* k = &c.t.keys[column.key]
    cdef uint64_t number_given
    cdef uint32_t known
    cdef KeyValues value
    cdef Text text
    if k.source == KEY_RESOURCE_ACCOUNT:
        if not item_text(column.column, column.first + row, &text):   # INVARIANT: no list (C5)
            return False
        return not account_number(text.data, text.size, &number_given) or number_given != number
    if account == NONE:
        return False
    known = c.t.accounts[account].org_paths if k.source == KEY_RESOURCE_ORG_PATHS else c.t.accounts[account].org
    if known != NONE:
        return contradicts_constant(c, column, row, c.t.constants + known)
    c.row = row
    given(c, column.key, 0, &value)
    return value.n != 0


cdef inline bint contradicts_record(Call* c, const ResourceRecord* r, int64_t row) noexcept nogil:
    """Whether a row gives another tag than the resource has."""
    cdef const ContextColumn* column
    cdef const Constant* known
    cdef const Key* k
    cdef int32_t at
    for at in range(c.n_columns):
        column = &c.columns[at]
        k = &c.t.keys[column.key]
        if not k.is_checked or not k.is_resource_tag:
            continue
        known = constant_of(c.t.constants + r.constants, r.n_constants, k.other if k.source == KEY_IAM_TAG else column.key)
        if known != NULL and known.certainty != FACT_ASSUMED and contradicts_constant(c, column, row, known):
            return True
    return False

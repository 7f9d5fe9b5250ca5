"""Condition atoms: one (operator, key) entry of a condition block, evaluated to T, F or U (spec section 4). Header only.

An atom is evaluated at most once for each call; its truth is memoized under the stamp of the call.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastiam.kernel.base.invariants cimport narrow32, promise
from fastiam.kernel.base.text cimport Text, same
from fastiam.kernel.eval.memo cimport RowInputs, store_code_truth, code_truth, resource_dependencies, memoize_truth, memoized_truth
from fastiam.kernel.eval.operators cimport OP_LAST, OP_NULL, compare, compares_text, decides_result
from fastiam.kernel.eval.pattern_sets cimport MIN_PATTERNS, truth_of_many
from fastiam.kernel.eval.unknown cimport is_unknown, reads_unknown
from fastiam.kernel.model.call cimport Call, NO_REGION, DEP_NULL_OWNER
from fastiam.kernel.eval.key_values cimport KeyValues, fetch
from fastiam.kernel.model.conditions cimport (
    ATOM_IF_EXISTS, ATOM_NEGATED, ATOM_ORDERED, ATOM_U, Atom, F, FOR_ALL, FOR_ANY, RESIDUAL, PLAIN, T, U, Value,
)
from fastiam.kernel.model.ids cimport NONE, ONE, Range


cdef enum:
    NOT_RESIDUAL = -1          # no unknown key is read


# -- atoms --------------------------------------------------------------------------------------------------------------

cdef inline int null_truth(Call* c, const Atom* atom, const KeyValues* found) noexcept nogil:
    """`Null` (C15, C16), with a set operator as V16 says; values are parsed to 1 (`true`), 0 (`false`) or `U`."""
    cdef bint is_null = True, tests_null
    cdef int64_t i
    cdef int one, result = F
    for i in range(found.n):
        if found.texts[i].size > 0:
            is_null = False
    for i in range(atom.n):
        if c.t.values[atom.first + i].is_u:
            one = U
        else:
            tests_null = c.t.values[atom.first + i].number == 1
            if atom.qualifier == FOR_ALL:
                one = T if is_null or not tests_null else U
            elif atom.qualifier == FOR_ANY:
                one = F if is_null or tests_null else U
            else:
                one = tests_null == is_null
        if one == T:
            return T
        if one == U:
            result = U
    return result if atom.n > 0 else U


cdef inline int absent_truth(const Atom* atom) noexcept nogil:
    """Column `absent` of 4.3; C14 where there are no policy values."""
    if atom.qualifier == FOR_ALL:
        return T
    if atom.qualifier == FOR_ANY:
        return U if atom.flags & ATOM_IF_EXISTS else F
    if atom.flags & ATOM_IF_EXISTS:
        return T
    if atom.n == 0:
        return U
    return T if atom.flags & ATOM_NEGATED else F


cdef inline int present_truth(Call* c, const Atom* atom, const KeyValues* found) noexcept nogil:
    """The other columns of 4.3."""
    cdef int result
    cdef int64_t i
    if found.is_conflict:
        return U                                         # C6
    if atom.n == 0:                                      # C14
        if atom.qualifier != PLAIN or atom.flags & ATOM_IF_EXISTS:
            return F
        return U
    if atom.qualifier == PLAIN and (found.is_multi or found.n > 1):
        return U                                         # C20
    if atom.n >= MIN_PATTERNS and not atom.flags & ATOM_ORDERED and compares_text(atom):
        return truth_of_many(c, atom, found)
    result = F if atom.qualifier == FOR_ANY else T
    for i in range(found.n):
        if decides_result(atom, compare(c, atom, &found.texts[i]), &result):
            break
    return result


cdef inline bint reads_unknown_values(Call* c, const Atom* atom, bint collect) noexcept nogil:
    """Whether one of the policy values has an unknown variable."""
    cdef const Value* v
    cdef uint32_t i
    cdef bint found = False
    for i in range(atom.n):
        v = &c.t.values[atom.first + i]
        if v.has_variables and reads_unknown(c, c.t.pool + v.text, v.size, collect):
            found = True
    return found


cdef inline int presence_truth(Call* c, const Atom* atom, const KeyValues* found) noexcept nogil:
    """An entry whose values are fixed, for the values that its key has."""
    if atom.op == OP_NULL:
        return null_truth(c, atom, found)
    return absent_truth(atom) if found.n == 0 else present_truth(c, atom, found)


cdef inline int truth_of_unknown(Call* c, const Atom* atom) noexcept nogil:
    """OPEN, or what the entry is for every value of the unknown keys that it reads; NOT_RESIDUAL where it reads none (D72)."""
    cdef Text present = Text(b"present", 7)
    cdef KeyValues without = KeyValues(NULL, 0, False, False)
    cdef KeyValues with_value = KeyValues(&present, 1, False, False)
    cdef int found
    if atom.op == OP_NULL or atom.n == 0:
        if not is_unknown(c, atom.key):
            return NOT_RESIDUAL
        found = presence_truth(c, atom, &without)
        return found if found == presence_truth(c, atom, &with_value) else RESIDUAL
    if is_unknown(c, atom.key):
        return RESIDUAL
    if not reads_unknown_values(c, atom, False):
        return NOT_RESIDUAL
    fetch(c, atom.key, 0, &with_value)
    return RESIDUAL if with_value.n else NOT_RESIDUAL    # where the key is absent, no value matters


cdef inline bint is_at_own(const Call* c) noexcept nogil:
    """Whether the principal's account owns the resource, as far as that is known."""
    if not c.owner_known or c.principal.account == NONE:
        return False
    return c.owner.data == &c.principal.account_id[0] or same(c.owner.data, c.owner.size, c.principal.account_id, 12)


cdef inline int atom_truth(Call* c, uint32_t id) noexcept nogil:
    cdef const Atom* atom = &c.t.atoms[id]
    cdef uint32_t stored = c.s.call_truths[id]
    cdef RowInputs q = RowInputs(c.row, 0, NONE, NONE, NULL, 0)
    cdef uint8_t* slot = NULL
    cdef KeyValues found = KeyValues(NULL, 0, False, False)
    cdef int result = NOT_RESIDUAL
    promise(id < c.t.n_atoms and id < c.s.n_call_truths and atom.op <= OP_LAST and atom.qualifier <= FOR_ANY)
    if stored >> 2 == c.s.stamp:
        return stored & 3
    if c.s.atom_memo != NULL and c.unknown == NULL:
        slot = code_truth(c, atom, id)
        if slot != NULL and slot[0]:
            return slot[0] - 1
        q.principal_id = narrow32(c.principal - c.t.principals)
        if slot == NULL:
            q.resource = resource_dependencies(c.n_constants != 0, is_at_own(c))
            if q.resource & DEP_NULL_OWNER and not c.is_ad_hoc:
                q.owner = c.account + 1                  # NONE is 0
            if c.is_star or c.partition == c.principal.partition:
                q.region_end = NO_REGION + 1 if c.is_star else c.resource.data + c.colons[3]
            if c.n_constants:
                q.constants = narrow32(c.constants - c.t.constants)
            result = memoized_truth(c, id, &q)
        if result != NOT_RESIDUAL:
            return result
    if atom.flags & ATOM_U:
        result = U
    elif c.unknown != NULL:
        result = truth_of_unknown(c, atom)
        if result == RESIDUAL:
            c.saw_residual = True
    if result == NOT_RESIDUAL:
        fetch(c, atom.key, 0, &found)
        result = presence_truth(c, atom, &found)
    c.s.call_truths[id] = (c.s.stamp << 2) | <uint32_t>result
    if slot != NULL:
        store_code_truth(c, id, slot, result)
    elif c.s.atom_memo != NULL:
        memoize_truth(c, id, &q, result)
    return result


cdef inline bint conditions_hold(Call* c, uint32_t conditions, uint8_t accept) noexcept nogil:
    """Whether the truth of every atom of a block counts; `accept` is a mask of truths (F3, F4)."""
    cdef Range block
    cdef uint32_t i
    if conditions & ONE:
        return (accept >> atom_truth(c, conditions ^ ONE)) & 1
    block = c.t.condition_lists[conditions]
    for i in range(block.n):
        if not (accept >> atom_truth(c, c.t.atom_lists[block.first + i])) & 1:
            return False
    return True

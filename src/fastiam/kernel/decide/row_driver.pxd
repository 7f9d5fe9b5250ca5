"""Evaluation of one match op of a row, and of a row that match programs do not decide. Header only.

Common tests (literals of an ARN, truths that are memoized by column code) are evaluated in place. Other tests need a whole `Call`, which is
built once for each row.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fastiam.kernel.base.invariants cimport narrow32, promise
from fastiam.kernel.base.text cimport Text, equal
from fastiam.kernel.decide.attempt cimport contradicts
from fastiam.kernel.decide.blocks cimport Block, HAS_TAGS, PRINCIPAL_PLAN, ThreadState, record_of
from fastiam.kernel.decide.combine cimport decide
from fastiam.kernel.decide.fast_path cimport FACTS_COLON, FACTS_STAR, colon_offset, put_resource
from fastiam.kernel.decide.locate cimport locate_endpoint
from fastiam.kernel.decide.principal_hint cimport excludes_principal
from fastiam.kernel.decide.scratch cimport next_stamp
from fastiam.kernel.eval.conditions cimport conditions_hold
from fastiam.kernel.eval.glob cimport glob
from fastiam.kernel.eval.group_filter cimport has_literals
from fastiam.kernel.eval.literals cimport STAR, literals_match
from fastiam.kernel.eval.memo cimport RowInputs, resource_dependencies
from fastiam.kernel.eval.operators cimport resolve
from fastiam.kernel.eval.statement cimport entry_classes, entry_applies, first_applicable
from fastiam.kernel.eval.unknown cimport next_variable_token, variable_index
from fastiam.kernel.model.call cimport Call, NO_REGION
from fastiam.kernel.model.decision cimport RawDecision
from fastiam.kernel.model.tables cimport *


cdef enum:
    MAX_EXPANDED = 256         # bytes of a pattern behind its first variable, with the texts of others in it


cdef struct RowCursor:         # the row at hand
    Call* c                    # which holds it where `taken` says so
    const uint8_t* pool
    const uint16_t* colons     # of the resource; NULL: the facts have them
    uint64_t facts
    const uint8_t* text        # of the resource
    const uint8_t* end
    uint32_t i                 # of the block
    int64_t first              # the range's first row in the batch
    int64_t row                # of the range
    uint8_t taken
    uint8_t has_tags           # the record has constants of its own: nulls of columns mean less


cdef inline void load_call(ThreadState* s, RowCursor* l) noexcept nogil:
    """Put the row at hand into the call."""
    cdef Block* b = s.block
    cdef Call* c = l.c
    if l.taken:
        return
    l.taken = True
    c.row = l.row
    c.batch_row = l.first + l.row
    c.principal = &c.t.principals[b.principal_id[l.i]]
    c.action_name = b.name[l.i]
    c.action_class = b.cls[l.i]
    c.action = &c.t.classes[c.action_class]
    c.own = b.plans[PRINCIPAL_PLAN][l.i][0]
    c.resource = Text(STAR, 1) if l.facts & FACTS_STAR else b.text[l.i]
    next_stamp(c.s)
    put_resource(c, b.principal_state[l.i], l.facts, record_of(b, l.i))
    locate_endpoint(c)


# -- statements -----------------------------------------------------------------------------------------------------------

cdef inline bint op_literals_match(const RowCursor* l, const MatchOp* f) noexcept nogil:
    """`literals_match`, for an op."""
    cdef int64_t mid_at = f.prefix_size
    if f.mid_size and f.colon != NO_COLON:
        mid_at = colon_offset(l.facts, f.colon) if l.colons == NULL else <int64_t>l.colons[f.colon]
    return literals_match(
        l.pool + f.text, f.size, f.prefix_size, f.mid_offset, f.mid_size, f.min_size - f.prefix_size - f.mid_size, f.suffix_size, f.tail,
        l.text, l.end, mid_at,
    )


cdef inline bint literals_exclude(const RowCursor* l, const MatchOp* f) noexcept nogil:
    """Whether an op has literals, and a resource does not match them."""
    return has_literals(f) and (l.facts & FACTS_STAR or not op_literals_match(l, f))


cdef inline bint is_as_row_form(const Block* b, const TablesC* t, const MatchOp* f, uint32_t i, uint32_t matches, uint32_t on_match) noexcept nogil:
    """Whether `op_literals_match` agrees on an op; if more than its literals has to match, whether it matches in no other case.
    `matches` is as `find_inner` says."""
    cdef RowCursor l
    cdef bint found
    l.pool, l.colons, l.facts = t.pool, NULL, b.facts[i]
    l.text = <const uint8_t*>b.text[i].data
    l.end = l.text + b.text[i].size
    found = op_literals_match(&l, f)
    if matches > 1 or found == matches:
        return True
    return matches and on_match != STEP_MATCHED and on_match != STEP_CONDITION and on_match != STEP_PRINCIPAL


cdef inline RowInputs row_inputs(const Block* b, uint32_t i, int64_t row, bint has_tags) noexcept nogil:
    """What truths may depend on in a row of the block, whose resource has constants of its own or not."""
    cdef uint32_t constants = NONE
    cdef const char* region_end = b.text[i].data + colon_offset(b.facts[i], 3)
    if has_tags:
        constants = b.stored[i].constants
    if b.facts[i] & FACTS_STAR:
        region_end = NO_REGION + 1
    return RowInputs(row, b.principal_id[i], constants, b.owner[i], region_end, resource_dependencies(has_tags, b.differs[i] == 0))


cdef inline uint32_t classes_of(ThreadState* s, RowCursor* l, const MatchOp* f, uint8_t accept) noexcept nogil:
    """The classes in which a statement is about the principal (the resource is not `*`, which has no partition)."""
    l.c.principal = &l.c.t.principals[s.block.principal_id[l.i]]  # all that this asks for, beside the partition that they share
    l.c.partition = l.c.principal.partition
    return entry_classes(l.c, &l.c.t.entries[f.entry], accept)


cdef inline int variable_text(Call* c, uint32_t principal_id, uint32_t variable, Text* text) noexcept nogil:
    """The text of a variable for a principal: T; F: there is none (VR8); U: it depends on more than the principal."""
    cdef uint32_t key = c.t.variables[variable].key
    if c.t.keys[key].source != KEY_PRINCIPAL or c.s.sources[key] >= 0:
        return U
    c.principal = &c.t.principals[principal_id]          # all that this asks for
    return T if resolve(c, variable, text) else F        # INVARIANT: constants of principals, and defaults, lie in the pool


cdef inline int tail_matches(
    Call* c, uint32_t principal_id, const uint8_t* p, const uint8_t* p_end, const uint8_t* text, const uint8_t* end
) noexcept nogil:
    """Whether the rest of a text matches the rest of a pattern, which has more variables; U: it depends on more than the principal."""
    cdef uint8_t expanded[MAX_EXPANDED]
    cdef const uint8_t* slot = next_variable_token(p, p_end)
    cdef int64_t n = 0, size
    cdef Text value
    cdef int truth
    while p != p_end:
        size = (slot if slot != NULL else p_end) - p
        if n + size > MAX_EXPANDED:
            return U
        memcpy(expanded + n, p, <size_t>size)
        n += size
        p += size
        if slot == NULL:
            break
        truth = variable_text(c, principal_id, variable_index(slot), &value)
        if truth != T:
            return truth
        if n + value.size > MAX_EXPANDED:
            return U
        memcpy(expanded + n, value.data, <size_t>value.size)
        n += value.size
        p += VARIABLE_TOKEN_SIZE
        slot = next_variable_token(p, p_end)
    return glob(expanded, expanded + n, text, end)


cdef inline int64_t variable_position(const MatchOp* f, const uint8_t* pattern, const char* text, int64_t size, uint64_t facts) noexcept nogil:
    """The position of the first variable of a pattern of STEP_VARIABLE in a resource, whose prefix matches as far as it is compared; -1: what comes
    before does not match."""
    cdef int64_t before, start, region_end, field, n
    if not f.inner_size & WILD_MASK:
        return f.mid_offset if size >= f.mid_offset and equal(pattern + f.prefix_size, text + f.prefix_size, f.mid_offset - f.prefix_size) else -1
    before = f.inner_size >> WILD_BITS
    start = f.mid_offset - before                        # of field 6 in the pattern
    region_end = colon_offset(facts, 3)
    field = colon_offset(facts, 4) + 1
    n = field - region_end
    if size < field + before or not equal(pattern + start, text + field, before):
        return -1
    if f.inner_size & WILD_REGION:                       # the head ends before it
        if not f.inner_size & WILD_ACCOUNT and not (start - n > f.prefix_size and equal(pattern + start - n, text + region_end, n)):
            return -1
    else:
        n = start - 2                                    # as far as the colon after the region
        if region_end + 1 != n or not equal(pattern + f.prefix_size, text + f.prefix_size, n - f.prefix_size):
            return -1
    return field + before


cdef inline bint reads_across(const MatchOp* f, uint64_t facts) noexcept nogil:
    """Whether the crossing reading of a pattern counts for a resource (R5)."""
    return f.flags & MATCHOP_MAY_CROSS != 0 and facts & FACTS_COLON != 0


cdef inline int variable_matches(Call* c, uint32_t principal_id, const MatchOp* f, const Text* resource, uint64_t facts) noexcept nogil:
    """Whether a resource matches a pattern of STEP_VARIABLE, whose prefix matches as far as it is compared; U: it needs more than the principal."""
    cdef const uint8_t* pattern = c.t.pool + f.text
    cdef const uint8_t* rest
    cdef const uint8_t* text = <const uint8_t*>resource.data
    cdef Text value
    cdef int64_t position
    cdef int truth
    if reads_across(f, facts):
        return U
    truth = variable_text(c, principal_id, variable_index(pattern + f.mid_offset), &value)
    if truth != T:
        return truth
    position = variable_position(f, pattern, resource.data, resource.size, facts)
    if position < 0 or resource.size < position + value.size or not equal(value.data, text + position, value.size):
        return F
    rest = pattern + f.mid_offset + VARIABLE_TOKEN_SIZE
    text += position + value.size
    if f.inner_size & MORE_VARIABLES:
        return tail_matches(c, principal_id, rest, pattern + f.size, text, <const uint8_t*>resource.data + resource.size)
    return glob(rest, pattern + f.size, text, <const uint8_t*>resource.data + resource.size)


cdef inline bint may_cross(const MatchOp* f, const uint8_t* pool, const char* text, const char* end) noexcept nogil:
    """Whether an op that has crossing matches may match a resource with more than five colons across them: no more than if every star
    stopped nowhere. Its text is no other than that of the crossing pattern: one with variables, or that is short (R6), is none of literal
    pieces (`_pattern_op`), and what has not even these ends does not cross either."""
    return glob(pool + f.text, pool + f.text + f.size, <const uint8_t*>text, <const uint8_t*>end)


cdef inline bint needs_full_eval(const RowCursor* l, const MatchOp* f) noexcept nogil:
    """The statement has to be evaluated in full."""
    if f.first == STEP_FULL_EVAL or f.flags & MATCHOP_ENDS_ONLY or (f.flags & MATCHOP_HAS_PRINCIPAL and l.facts & FACTS_STAR):
        return True
    return reads_across(f, l.facts) and may_cross(f, l.pool, <const char*>l.text, <const char*>l.end)


cdef inline uint32_t op_match_classes(ThreadState* s, RowCursor* l, const MatchOp* f) noexcept nogil:
    """The classes in which a statement applies, on one of its patterns; 0 if it does not."""
    cdef uint8_t accept = BROAD if f.flags & MATCHOP_DENY else STRICT
    cdef uint32_t classes = CLASS_STAR
    if needs_full_eval(l, f):
        load_call(s, l)
        return entry_applies(l.c, &l.c.t.entries[f.entry], accept)
    if f.flags & MATCHOP_HAS_PRINCIPAL:
        classes = 0 if excludes_principal(s.block.principal_state[l.i], f) else classes_of(s, l, f, accept)
        if classes == 0:
            return 0
    if literals_exclude(l, f):
        return 0
    if f.conditions == NONE:
        return classes
    load_call(s, l)
    return classes if conditions_hold(l.c, f.conditions, accept) else 0


cdef inline uint32_t op_of_statement(const TablesC* t, const MatchOp* f, const StatementEntry* e) noexcept nogil:
    """The first op of a statement of a long run, which has one: they are in order."""
    cdef const MatchOp* match_ops = &t.match_ops[f.operand.first_item]
    cdef uint32_t first = 0, last = t.indexes[t.runs[f.entry].index].n_items, middle, entry = narrow32(e - t.entries)
    while first < last:
        middle = (first + last) // 2
        if match_ops[middle].entry < entry:
            first = middle + 1
        else:
            last = middle
    return f.operand.first_item + first


cdef inline const StatementEntry* first_applicable_of_run(Call* c, const MatchOp* f) noexcept nogil:
    """The first statement of a long run that applies, or NULL."""
    return first_applicable(c, &c.t.runs[f.entry], BROAD if f.flags & MATCHOP_DENY else STRICT)


cdef inline void set_row(const Block* b, RowCursor* l, int64_t at, uint32_t i) noexcept nogil:
    """Turn to a row of the block."""
    l.i = i
    l.row = at + i
    l.facts = b.facts[i]
    l.text = <const uint8_t*>b.text[i].data
    l.end = l.text + b.text[i].size
    l.taken = False
    l.has_tags = b.pending_stages[i] & HAS_TAGS != 0


cdef inline int decide_general(ThreadState* s, RowCursor* l, RawDecision* a) noexcept nogil:
    """Decide the row at hand by `kernel.decide.combine`: its resource is located, and its columns are checked (K1)."""
    load_call(s, l)
    promise(not contradicts(l.c))
    return decide(l.c, a)

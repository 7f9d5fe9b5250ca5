"""One pass over a range of rows in blocks, without the GIL. Header only.

The stages of a block: find the ids of principals, actions and resources; find the plans; decide the rows that these determine; decide the
other requests. Rows with misses become deferred rows.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcmp, memcpy, memset

from fastiam.kernel.base.invariants cimport narrow16, narrow32, narrow8
from fastiam.kernel.decide.routes cimport ROUTE_GENERAL, ROUTE_FLAGS, ROUTE_LAYERS, ROUTE_GENERAL_LOCATED, ROUTE_OWN, count_route, routed
from fastiam.kernel.base.text cimport Text, prefetch, read_ahead
from fastiam.kernel.columns.column cimport Column, item_code, item_text, row_items, value_text
from fastiam.kernel.columns.validate cimport is_readable
from fastiam.kernel.decide.attempt cimport attempt
from fastiam.kernel.decide.block_driver cimport decide_vectorized
from fastiam.kernel.decide.blocks cimport (
    OutputColumns, BLOCK, Block, LIST_BITS, SelectionVector, PRINCIPAL_PLAN, InputRange, ThreadState, is_pruning, split_by_path,
)
from fastiam.kernel.decide.row_ids cimport prefetch_value, load_plans, name_number, resolve_row_ids, locate_plans, session_number
from fastiam.kernel.decide.column_checks cimport AGREED_BITS, contradicts_fixed, contradicts_owner
from fastiam.kernel.decide.endpoints cimport apply_endpoints
from fastiam.kernel.decide.fast_path cimport (
    ACCOUNT, ACT_HARD, ACT_ON_ROLE, FACTS_GENERAL_PATH, FACTS_STAR, FACTS_OWNER_KNOWN, LIMIT_STAGES_SHIFT, PARTITION, ACCOUNT_KEY_MASK, PATH_SHIFT,
    active_limits, limits_without_program, account_key_diff,
)
from fastiam.kernel.decide.layers cimport find_records, find_special_rules, load_resource_plans
from fastiam.kernel.decide.locate cimport may_name_provider
from fastiam.kernel.decide.missing_keys cimport add_set_counts, count_block, count_call
from fastiam.kernel.decide.resource_facts cimport fetch_texts, find_facts, look_up_facts, set_owners_from_column
from fastiam.kernel.decide.row_driver cimport RowCursor, decide_general, set_row
from fastiam.kernel.decide.zone_filter cimport account_at, load_limit_plans, prune_denies
from fastiam.kernel.eval.literals cimport ANYWHERE, NOWHERE
from fastiam.kernel.model.call cimport PS_CHECK_KEYS, PS_LIMITED, Call, PrincipalState, ContextColumn
from fastiam.kernel.model.decision cimport (
    RawDecision, BAD_CONTEXT, BAD_RESOURCE, DEPENDS, DONE, LAYER_IDENTITY, NO_ACTION, NO_PRINCIPAL, REASON_NONE,
)
from fastiam.kernel.model.tables cimport *


# -- one row ------------------------------------------------------------------------------------------------------------

cdef inline int64_t append_deciding_keys(ThreadState* s) noexcept nogil:
    """Where the list of the deciding keys of the row at hand starts; equal neighbours share one."""
    cdef int64_t size = s.frame.s.n_deciding_keys + 1
    cdef const uint32_t* of = s.frame.s.deciding_keys
    cdef const uint32_t* before = s.deciding_keys + s.last_deciding_keys
    cdef uint32_t* grown
    if s.n_deciding_keys and before[0] == s.frame.s.n_deciding_keys and (size == 1 or memcmp(before + 1, of, <size_t>(size - 1) * 4) == 0):
        return (s.number << LIST_BITS) | s.last_deciding_keys
    if s.n_deciding_keys + size > s.deciding_keys_capacity:
        grown = <uint32_t*>realloc(s.deciding_keys, <size_t>(2 * (s.n_deciding_keys + size)) * 4)
        if grown == NULL:
            s.frame.s.failed = 1
            return -1
        s.deciding_keys = grown
        s.deciding_keys_capacity = 2 * (s.n_deciding_keys + size)
    s.last_deciding_keys = s.n_deciding_keys
    s.deciding_keys[s.n_deciding_keys] = s.frame.s.n_deciding_keys
    if size > 1:
        memcpy(s.deciding_keys + s.n_deciding_keys + 1, of, <size_t>(size - 1) * 4)
    s.n_deciding_keys += size
    return (s.number << LIST_BITS) | s.last_deciding_keys


cdef inline void write(ThreadState* s, const Call* c, const RawDecision* a, int64_t row) noexcept nogil:
    cdef OutputColumns* out = &s.answers
    out.outcome[row] = a.outcome
    if c.reasons:
        out.layer[row] = a.layer
        out.reason[row] = a.reason
        if a.entry != NULL:
            out.entry[row] = narrow32(a.entry - c.t.entries)
        if a.outcome == DEPENDS:
            out.deciding_list[row] = append_deciding_keys(s)


cdef inline void defer_row(ThreadState* s, const Call* c, int64_t row) noexcept nogil:
    """Put a row on the slow list, with no answer yet."""
    cdef OutputColumns* out = &s.answers
    out.outcome[row] = 255
    out.assumed[row] = False
    if c.reasons:
        out.layer[row] = 255
        out.reason[row] = 255
    s.deferred_rows[s.n_deferred] = row
    s.n_deferred += 1


cdef inline void finish(ThreadState* s, const Call* c, const RawDecision* a, int status) noexcept nogil:
    """Write the answer to the row at hand, or postpone it."""
    if status == DONE:
        s.answers.assumed[c.batch_row] = c.assumed_owner
        write(s, c, a, c.batch_row)
    else:
        defer_row(s, c, c.batch_row)


cdef inline int decide_located(Call* c, const InputRange* rows, int64_t i, RawDecision* a, bint checked) noexcept nogil:
    """A row whose principal, action and resource are known."""
    cdef Text owner = Text(NULL, 0)
    cdef int64_t lo, hi
    cdef int32_t k
    cdef int status
    if rows.owners != NULL:
        item_text(rows.owners, rows.owner_first + i, &owner)
    for k in range(c.n_columns):                         # C5: one value where the registry has one
        if c.columns[k].column.is_list and not c.columns[k].is_multi:
            row_items(c.columns[k].column, c.columns[k].first + i, &lo, &hi)
            if hi - lo > 1:
                return BAD_CONTEXT
    status = attempt(c, a, &owner, checked)
    if c.lacks_keys and status == DONE:
        count_call(c)
    return status


cdef inline int decide_row(
    const ThreadState* s, Call* c, const InputRange* rows, int64_t i, RawDecision* a, uint32_t provider, bint checked
) noexcept nogil:
    """A row on the general path; `provider` is the principal where name and action are resolved together (N3)."""
    cdef Text text
    cdef uint32_t number
    c.row = i
    c.own = c.t.cells.plans[0]
    # the action
    if not item_text(rows.actions, rows.action_first + i, &text):
        return NO_ACTION
    number = name_number(s, c.t, &text, True)
    if number == NONE:
        return NO_ACTION
    c.action_name = number
    c.action_class = c.t.name_classes[number]
    c.action = &c.t.classes[c.action_class]
    # the principal
    if not item_text(rows.principals, rows.principal_first + i, &text):
        return NO_PRINCIPAL
    number = provider
    if provider == NONE:
        if may_name_provider(text, c.action):
            number = session_number(s, c.t, &text)       # else it is resolved with the action
        else:
            number = name_number(s, c.t, &text, False)
    if number >= c.t.n_principals:                       # NONE or BROKEN
        return NO_PRINCIPAL
    c.principal = &c.t.principals[number]
    if not item_text(rows.resources, rows.resource_first + i, &c.resource):
        return BAD_RESOURCE
    return decide_located(c, rows, i, a, checked)


cdef inline void decide_general_row(ThreadState* s, Call* c, const InputRange* rows, int64_t first, int64_t at, uint32_t i) noexcept nogil:
    cdef RawDecision a
    cdef Block* b = s.block
    cdef int status
    c.batch_row = first + at + i
    if b.principal_id[i] == s.n_principal_states - 1 or c.t.classes[b.cls[i]].flags & ACT_FEDERATION:
        status = decide_row(s, c, rows, at + i, &a, NONE, False)
    else:
        c.row = at + i
        c.principal = &c.t.principals[b.principal_id[i]]
        c.action_name = b.name[i]
        c.action_class = b.cls[i]
        c.action = &c.t.classes[c.action_class]
        c.own = b.plans[PRINCIPAL_PLAN][i][0]
        status = BAD_RESOURCE
        if item_text(rows.resources, rows.resource_first + at + i, &c.resource):
            status = decide_located(c, rows, at + i, &a, False)
    finish(s, c, &a, routed(ROUTE_GENERAL, status))


# -- a block --------------------------------------------------------------------------------------------------------------

cdef inline void sort_rows(ThreadState* s, const Call* c, int64_t first, int64_t n) noexcept nogil:
    """Decide the rows that flags of plans decide, and find the path of the others.

    Without a branch on what a row holds: which way it goes is not to be foreseen.
    """
    cdef Block* b = s.block
    cdef const ActionClass* classes = c.t.classes
    cdef const MatchOp* match_ops = c.t.match_ops
    cdef uint8_t* outcome = s.answers.outcome + first
    cdef uint8_t* assumed = s.answers.assumed + first
    cdef const Plan* own
    cdef const PrincipalState* w
    cdef uint64_t f, other, seen = 0
    cdef uint32_t i, path, action
    cdef uint32_t path_shift = REASONS_SHIFT * c.reasons
    for i in range(<uint32_t>n):
        own = b.plans[PRINCIPAL_PLAN][i]
        f = b.facts[i]
        w = b.principal_state[i]
        action = classes[b.cls[i]].flags
        b.differs[i] = other = account_key_diff(w, f)    # PERF: computed again, where `prune_denies` has done so: less than a loop of its own
        path = (own.paths >> path_shift & PATH_MASK) | w.path | b.limits[i] | ((f >> PATH_SHIFT) & (PATH_LAYERED | PATH_GENERAL))
        path |= ((other | (action & (ACT_HARD | ACT_ON_ROLE))) != 0) * PATH_LAYERED
        path |= (((other & PARTITION) | (action & w.barred)) != 0) * PATH_GENERAL
        b.path[i] = narrow8(path)
        outcome[i] = (own.flags & PLAN_HAS_ALLOW) != 0   # IMPLICIT_DENY or ALLOW, where nothing else counts
        assumed[i] = (f & FACTS_OWNER_KNOWN) == 0
        seen |= f
        prefetch(match_ops + own.program)
        prefetch(match_ops + own.program + 1)
    b.has_stars = (seen & FACTS_STAR) != 0


cdef inline void check_principals(ThreadState* s, Call* c, int64_t at, int64_t n) noexcept nogil:
    """Send the rows to the general path whose column has another value than the principal fixes (K1)."""
    cdef Block* b = s.block
    cdef const ContextColumn* column
    cdef uint64_t* agreed
    cdef uint64_t code
    cdef size_t cell
    cdef bint is_coded
    cdef uint32_t i
    cdef int32_t k
    for k in range(c.n_columns):
        if c.s.cell_of[k] < 0:
            continue
        column = &c.columns[k]
        agreed = c.s.agreed + c.s.cell_of[k]
        is_coded = column.column.code_width and not column.column.is_list and column.column.n_values < 1 << AGREED_BITS
        for i in range(<uint32_t>n):
            if not b.principal_state[i].flags & PS_CHECK_KEYS:
                continue
            cell = <size_t>b.principal_id[i] * c.s.n_fixed
            code = c.s.agreed_epoch
            if is_coded:
                code += <uint64_t>(item_code(column.column, column.first + at + i) + 1)   # 0: null
                if agreed[cell] == code:
                    continue
            if contradicts_fixed(c, c.s.fixed[cell + <size_t>c.s.cell_of[k]], b.principal_id[i], column, at + i):
                b.limits[i] |= PATH_GENERAL
            elif is_coded:
                agreed[cell] = code


cdef inline void check_owners(ThreadState* s, Call* c, int64_t at, int64_t n) noexcept nogil:
    """The same of what the account that owns the resource fixes, where the owner is known."""
    cdef Block* b = s.block
    cdef const ContextColumn* column
    cdef uint64_t facts
    cdef uint32_t i, account
    cdef int32_t k
    for k in range(c.n_columns):
        column = &c.columns[k]
        if not has_trait(&c.t.keys[column.key], OF_OWNER):
            continue
        for i in range(<uint32_t>n):
            facts = b.facts[i]
            if not facts & FACTS_OWNER_KNOWN or facts & FACTS_GENERAL_PATH or b.principal_state[i].path & PATH_GENERAL:
                continue
            account = b.principal_state[i].account
            if facts & FACTS_STAR:
                b.limits[i] |= PATH_GENERAL
                continue
            if account_key_diff(b.principal_state[i], facts):
                account = account_at(s, c.t, facts & ACCOUNT_KEY_MASK)
            if contradicts_owner(c, column, at + i, facts & ACCOUNT, account):
                b.limits[i] |= PATH_GENERAL


cdef inline void apply_principal_limits(ThreadState* s, int64_t n) noexcept nogil:
    """What boundaries and session policies require of rows, and the path that these take then."""
    cdef Block* b = s.block
    cdef const Plan* own
    cdef uint32_t i, limits, seen = 0
    for i in range(<uint32_t>n):
        own = b.plans[PRINCIPAL_PLAN][i]
        limits = active_limits(b.principal_state[i], own)
        seen |= limits
        b.pending_stages[i] = narrow16(limits << LIMIT_STAGES_SHIFT)
        b.path[i] |= <uint8_t>(
            (own.paths >> REASONS_SHIFT & -<uint32_t>(limits != 0)) & PATH_PRINCIPAL_ONLY
            | (limits_without_program(own, limits) != 0) * PATH_LAYERED
        )
    b.may_need_more = seen != 0


cdef inline void prefetch_ops(const Block* b, const TablesC* t, const SelectionVector* listed) noexcept nogil:
    """Fetch the first match ops of the principals' plans of a list."""
    cdef uint32_t j
    for j in range(listed.n):
        read_ahead(t.match_ops + b.plans[PRINCIPAL_PLAN][listed.rows[j]].program + b.n_skipped_denies[listed.rows[j]])


cdef inline void mask_star_resources(Block* b, const SelectionVector* listed) noexcept nogil:
    """`*` is too short to be compared with literals of patterns, which it never matches: put a longer text in its place."""
    cdef uint32_t j
    for j in range(listed.n * b.has_stars):
        if b.facts[listed.rows[j]] & FACTS_STAR:
            b.text[listed.rows[j]] = Text(NOWHERE, ANYWHERE)


cdef inline void fetch_codes(const Call* c, int64_t row, int64_t n) noexcept nogil:
    """Prefetch the codes of the context of a block."""
    cdef const Column* column
    cdef int64_t at, last
    cdef int32_t k
    for k in range(c.n_columns):
        column = c.columns[k].column
        at = (c.columns[k].first + row) * column.code_width
        last = at + n * column.code_width
        if column.is_list or not column.code_width:
            continue
        while at < last:
            prefetch(<const char*>column.codes + at)
            at += 64


cdef inline void decide_listed(ThreadState* s, Call* c, const InputRange* rows, int64_t first, int64_t at) noexcept nogil:
    """Decide the rows whose policies are evaluated."""
    cdef Block* b = s.block
    cdef RawDecision a
    cdef RowCursor l
    cdef uint32_t j, i, n_layered = b.layered_rows.n
    l.c = c
    l.pool = c.t.pool
    l.colons = NULL
    l.first = first
    decide_vectorized(s, &l, at)
    count_route(ROUTE_OWN, b.principal_rows.n)
    count_route(ROUTE_LAYERS, b.vectorized_rows.n - (b.layered_rows.n - n_layered))
    for j in range(b.layered_rows.n):
        i = b.layered_rows.rows[j]
        set_row(b, &l, at, i)
        finish(s, c, &a, routed(ROUTE_GENERAL_LOCATED, decide_general(s, &l, &a)))


cdef inline void decide_all_general(ThreadState* s, Call* c, const InputRange* rows, int64_t first, int64_t at) noexcept nogil:
    """Decide the rows of the general path; the texts of their resources are prefetched."""
    cdef const SelectionVector* listed = &s.block.general_rows
    cdef const Column* column = rows.resources
    cdef Text text
    cdef int64_t code
    cdef uint32_t j
    for j in range(listed.n * (column.code_width != 0)):
        prefetch_value(column, max(item_code(column, rows.resource_first + at + listed.rows[j]), <int64_t>0))
    for j in range(listed.n * (column.code_width != 0)):
        code = item_code(column, rows.resource_first + at + listed.rows[j])
        if code >= 0 and value_text(column, code, &text):
            prefetch(text.data)
            prefetch(text.data + 63)
    for j in range(listed.n):
        decide_general_row(s, c, rows, first, at, listed.rows[j])


cdef inline bint are_all_general(const Block* b, int64_t n) noexcept nogil:
    """Whether all principals of a block take the general path, as those that a directory does not know."""
    cdef uint8_t paths = PATH_GENERAL
    cdef uint32_t i
    for i in range(<uint32_t>n):
        paths &= b.principal_state[i].path
    return paths != 0


cdef inline void run_block(ThreadState* s, Call* c, const InputRange* rows, int64_t first, int64_t at, int64_t n) noexcept nogil:
    """Decide `n` rows of a range that starts at row `first` of the batch, from row `at` of the range."""
    cdef Block* b = s.block
    cdef const TablesC* t = c.t
    cdef uint32_t i
    resolve_row_ids(s, t, rows, at, n)
    locate_plans(s, c, n)
    if s.is_plain:
        find_facts(s, c, rows, at, n)
    load_plans(s, t, n)
    if not s.is_plain or t.n_classes == 0 or are_all_general(b, n):
        for i in range(<uint32_t>n):
            b.general_rows.rows[i] = narrow16(i)
        b.general_rows.n = narrow32(n)
        decide_all_general(s, c, rows, first, at)
        return
    look_up_facts(s, c, rows, n)
    if rows.owners != NULL:
        set_owners_from_column(b, rows, at, n)
    if is_pruning(s):
        prune_denies(s, c, at, n)
        load_limit_plans(s, c, rows, at, n)
    else:
        memset(b.limits, 0, <size_t>n)
        memset(b.owner, 0xFF, <size_t>n * sizeof(uint32_t))
        memset(b.known_false, 0, <size_t>n * sizeof(uint64_t))
        memset(b.n_skipped_denies, 0, <size_t>n)
    if s.has_endpoints:
        apply_endpoints(s, c, rows, at, n)
    if s.limited & PS_CHECK_KEYS:
        check_principals(s, c, at, n)
    if c.gives_owners:
        check_owners(s, c, at, n)
    sort_rows(s, c, first + at, n)
    b.may_need_more = False
    if s.limited & PS_LIMITED:
        apply_principal_limits(s, n)
    else:
        memset(b.pending_stages, 0, sizeof(b.pending_stages))
    split_by_path(b, n)
    if c.reasons:
        memset(s.answers.layer + first + at, LAYER_IDENTITY, <size_t>n)
        memset(s.answers.reason + first + at, REASON_NONE, <size_t>n)
    b.vectorized_rows.n = 0
    if b.layered_rows.n:
        fetch_codes(c, at, n)
        if t.actions & (ACT_STS_ROLE | ACT_HARD):
            find_special_rules(b, t, rows)
        find_records(s, t)
        load_resource_plans(s, c, REASONS_SHIFT * c.reasons, at)
    count_route(ROUTE_FLAGS, n - b.principal_rows.n - b.layered_rows.n - b.vectorized_rows.n - b.general_rows.n)
    prefetch_ops(b, t, &b.principal_rows)
    fetch_texts(s, rows, &b.principal_rows)
    fetch_texts(s, rows, &b.layered_rows)
    fetch_texts(s, rows, &b.vectorized_rows)
    mask_star_resources(b, &b.principal_rows)
    mask_star_resources(b, &b.layered_rows)
    mask_star_resources(b, &b.vectorized_rows)
    decide_listed(s, c, rows, first, at)
    decide_all_general(s, c, rows, first, at)
    if c.lacks_keys:
        count_block(s, c, rows, first, at, n)


cdef inline bint may_read(const Call* c, const InputRange* rows, int64_t at, int64_t n) noexcept nogil:
    """Whether a block can be read as it is; what it reads is cached then."""
    cdef int32_t k
    for k in range(c.n_columns):
        if not is_readable(c.columns[k].column, c.columns[k].first + at, n):
            return False
    if rows.owners != NULL and not is_readable(rows.owners, rows.owner_first + at, n):
        return False
    return (
        is_readable(rows.principals, rows.principal_first + at, n) and is_readable(rows.actions, rows.action_first + at, n)
        and is_readable(rows.resources, rows.resource_first + at, n)
    )


cdef inline int64_t run_rows(ThreadState* s, Call* c, const InputRange* rows, int64_t first, int64_t n) noexcept nogil:
    """Decide a range of rows, up to a block that has to be checked first; how many rows were decided."""
    cdef int64_t at = 0, size
    while at < n:
        size = min(n - at, <int64_t>BLOCK)
        if not may_read(c, rows, at, size):
            break
        run_block(s, c, rows, first, at, size)
        at += size
    add_set_counts(c)
    return at

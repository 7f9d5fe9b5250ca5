"""One pass over a range of rows, without the GIL, in blocks: first the numbers of who asks and what for, then the rows of policies,
then everything that these say at once, then the requests that are left. Header only.

Each stage runs over the whole block, so that the memory that it needs was asked for by the stage before. Rows that miss something
go on the slow list.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcmp, memcpy

from fastiam._attempt cimport attempt
from fastiam._bytes cimport hash_bytes, prefetch, same, table_find
from fastiam._call cimport Call, ContextColumn
from fastiam._columns cimport TEXT_32, TEXT_64, TEXT_CONST, TEXT_VIEW, Column, Text, item_code, item_text, row_items, value_text
from fastiam._decide cimport (
    ALLOW, BAD_CONTEXT, BAD_RESOURCE, DEPENDS, DONE, IMPLICIT_DENY, LAYER_IDENTITY, NO_ACTION, NO_PRINCIPAL, REASON_NONE, Answer, find_row,
    grid_place, hashed_row, row_at,
)
from fastiam._frame cimport Frame, next_stamp
from fastiam._glob cimport five_colons
from fastiam._plain cimport (
    ACT_HARD, ACT_OWN_RULES, CALLER_CHECKS, CALLER_KNOWN, CALLER_LIMITED, CALLER_PLAIN, FACTS_LONG, FACTS_RECORD, FACTS_STAR, FACTS_TOLD,
    Caller, decide_here, decide_placed, is_here, is_same_partition, put_resource, read_caller, read_facts,
)
from fastiam._resources cimport pattern_matches
from fastiam._types cimport *


cdef enum:
    BLOCK = 512
    LIST_BITS = 48             # a list of keys that matter: number of the thread, then where it starts


cdef struct Rows:              # the chunks that hold a range of rows
    const Column* principals
    const Column* actions
    const Column* resources
    const Column* owners
    int64_t principal_first
    int64_t action_first
    int64_t resource_first
    int64_t owner_first
    const uint32_t* principal_codes   # numbers of dictionary values, or NULL
    const uint32_t* action_codes
    const uint64_t* facts      # of dictionary values, or NULL
    const uint32_t* records    # and their records


cdef struct Answers:           # where the answers go, a place a row; those of reasons only where they are asked for
    uint8_t* outcome
    uint8_t* assumed
    uint8_t* layer
    uint8_t* reason
    uint8_t* level
    uint32_t* entry
    int64_t* matter


cdef struct Block:
    uint32_t who[BLOCK]        # principals, NONE where nobody is found
    uint32_t name[BLOCK]       # action names
    uint32_t hash[BLOCK]
    uint32_t cls[BLOCK]        # action classes
    uint32_t stack[BLOCK]      # the principals' own layers
    const uint32_t* place[BLOCK]   # where the grid holds the numbers of their rows
    uint32_t row[BLOCK]        # and those numbers
    uint32_t what[BLOCK]       # dictionary values of the resources
    uint64_t facts[BLOCK]
    uint32_t record[BLOCK]     # of resources without a dictionary
    Text text[BLOCK]
    Row own[BLOCK]             # rows of the principals' own layers
    Row scp[BLOCK]
    Row rcp[BLOCK]
    uint16_t single[BLOCK]     # rows that one pattern decides
    uint16_t left[BLOCK]       # rows that policies have to be looked at for
    uint16_t placed[BLOCK]     # those with resource policies, or of another account
    uint16_t far[BLOCK]        # those that take the long way


cdef struct Side:              # what one thread of a batch has of its own
    int64_t number
    Frame* frame
    Block* block
    Caller* callers            # by number of the principal, filled as they are met; NULL: all rows take the long way
    uint32_t n_callers
    uint64_t generation        # of the tables, when they were met
    uint32_t n_counted         # keys that the counts of the frame have room for
    int64_t* slow              # rows that need the GIL
    int64_t n_slow
    int64_t room
    ContextColumn* columns
    uint64_t truths_of         # generation of the tables whose atoms truths are kept of
    uint32_t* matters          # lists of keys that matter (D74): how many, then their numbers
    int64_t n_matters
    int64_t room_matters
    int64_t last_matters       # where the last list starts
    Answers answers
    const StringTable* session_names   # that the batch itself names; NULL: none
    const uint8_t* session_pool


# -- numbers ------------------------------------------------------------------------------------------------------------

cdef inline uint32_t name_number(const Side* s, const TablesC* t, const Text* text, bint of_actions) noexcept nogil:
    cdef uint32_t found
    if of_actions:
        return table_find(&t.action_names, t.pool, text.data, text.size, t.seed)
    if s.session_names != NULL:
        found = table_find(s.session_names, s.session_pool, text.data, text.size, t.seed)
        if found != NONE:
            return found
    return table_find(&t.principal_names, t.pool, text.data, text.size, t.seed)


cdef inline void number_codes(const Column* column, int64_t first, int64_t n, const uint32_t* codes, uint32_t* out) noexcept nogil:
    """Numbers of a dictionary column; NONE for nulls."""
    cdef int64_t i, code
    cdef const uint32_t* wide = <const uint32_t*>column.codes + first
    if column.code_width == 4 and column.item_valid == NULL:
        for i in range(n):
            out[i] = codes[wide[i]]
        return
    for i in range(n):
        code = item_code(column, first + i)
        out[i] = NONE if code < 0 else codes[code]


cdef inline void number_texts(
    const Side* s, const TablesC* t, const Column* column, int64_t first, int64_t n, bint of_actions, Block* b, uint32_t* out
) noexcept nogil:
    """Numbers of a column of texts, looked up side by side."""
    cdef const StringTable* table = &t.action_names if of_actions else &t.principal_names
    cdef uint32_t at, v
    cdef int64_t i
    cdef Text one
    if column.kind == TEXT_CONST:
        at = NONE
        if item_text(column, first, &one):
            at = name_number(s, t, &one, of_actions)
        for i in range(n):
            out[i] = at
        return
    if table.n == 0 or (s.session_names != NULL and not of_actions):
        for i in range(n):
            out[i] = NONE
            if item_text(column, first + i, &one):
                out[i] = name_number(s, t, &one, of_actions)
        return
    for i in range(n):
        if not item_text(column, first + i, &b.text[i]):
            b.text[i].data = NULL
            continue
        b.hash[i] = <uint32_t>hash_bytes(b.text[i].data, b.text[i].size, t.seed) | 1
        prefetch(&table.slots[(b.hash[i] >> 1) & table.mask])
    for i in range(n):                                   # the slot that it should be in
        out[i] = (b.hash[i] >> 1) & table.mask
        v = table.slots[out[i]].value
        if v < table.n:
            prefetch(&table.texts[v])
            prefetch(&table.values[v])
    for i in range(n):
        v = table.slots[out[i]].value
        if v < table.n:
            prefetch(t.pool + table.texts[v].text)
    for i in range(n):
        at = out[i]
        out[i] = NONE
        if b.text[i].data == NULL:
            continue
        while table.slots[at].hash != 0:
            if table.slots[at].hash == b.hash[i]:
                v = table.slots[at].value
                # INVARIANT: a slot written after this snapshot names a text beyond it
                if v < table.n and same(b.text[i].data, b.text[i].size, <const char*>t.pool + table.texts[v].text, table.texts[v].size):
                    out[i] = table.values[v]
                    break
            at = (at + 1) & table.mask


cdef inline void number_rows(const Side* s, const TablesC* t, const Rows* rows, int64_t at, int64_t n) noexcept nogil:
    """Who asks, and what for."""
    cdef Block* b = s.block
    if rows.action_codes != NULL:
        number_codes(rows.actions, rows.action_first + at, n, rows.action_codes, b.name)
    else:
        number_texts(s, t, rows.actions, rows.action_first + at, n, True, b, b.name)
    if rows.principal_codes != NULL:
        number_codes(rows.principals, rows.principal_first + at, n, rows.principal_codes, b.who)
    else:
        number_texts(s, t, rows.principals, rows.principal_first + at, n, False, b, b.who)


cdef inline void seek_rows(const Side* s, const TablesC* t, int64_t n) noexcept nogil:
    """Where the numbers of the rows of the principals' own layers lie."""
    cdef Block* b = s.block
    cdef uint32_t stack
    cdef int64_t i
    for i in range(n):
        if b.who[i] >= t.n_principals or b.name[i] == NONE:
            b.who[i] = NONE
        elif s.callers != NULL:
            prefetch(&s.callers[b.who[i]])
        else:
            prefetch(&t.principals[b.who[i]])
    for i in range(n):
        if b.who[i] == NONE:
            continue
        if s.callers != NULL and s.callers[b.who[i]].flags & CALLER_KNOWN:
            stack = s.callers[b.who[i]].own_stack
        else:
            stack = t.principals[b.who[i]].own_stack
        b.stack[i] = stack
        b.cls[i] = t.name_classes[b.name[i]]
        b.place[i] = grid_place(t, stack, b.cls[i] if stack < t.n_indexed_stacks else b.name[i] | BY_NAME)
        prefetch(b.place[i])


cdef inline void number_own_rows(const Side* s, const TablesC* t, int64_t n) noexcept nogil:
    """The numbers of those rows."""
    cdef Block* b = s.block
    cdef int64_t i
    for i in range(n):
        if b.who[i] == NONE:
            b.row[i] = 0
            continue
        if b.place[i] != NULL:
            b.row[i] = b.place[i][0]
        else:
            b.row[i] = <uint32_t>hashed_row(t, b.stack[i], b.cls[i] if b.stack[i] < t.n_indexed_stacks else b.name[i] | BY_NAME)
        prefetch(&t.cells.rows[b.row[i] - 1])


cdef inline void find_facts(Side* s, Call* c, const Rows* rows, int64_t at, int64_t n) noexcept nogil:
    """What there is to know about the resources; those of a dictionary are read already."""
    cdef Block* b = s.block
    cdef const uint32_t* codes
    cdef int64_t i, code
    if rows.facts != NULL:
        if rows.resources.code_width == 4 and rows.resources.item_valid == NULL:
            codes = <const uint32_t*>rows.resources.codes + rows.resource_first + at
            for i in range(n):
                b.what[i] = codes[i]
                prefetch(&rows.facts[codes[i]])
        else:
            for i in range(n):
                code = item_code(rows.resources, rows.resource_first + at + i)
                b.what[i] = NONE if code < 0 else <uint32_t>code
        return
    for i in range(n):
        if item_text(rows.resources, rows.resource_first + at + i, &b.text[i]):
            prefetch(b.text[i].data)
            prefetch(b.text[i].data + 63)
        else:
            b.text[i] = Text(NULL, 0)
    for i in range(n):
        b.facts[i] = FACTS_LONG
        if b.text[i].data != NULL:
            c.resource = b.text[i]
            b.facts[i] = read_facts(c, &b.record[i])


cdef inline void look_up_facts(const Side* s, const Rows* rows, int64_t n) noexcept nogil:
    """Read the facts of a dictionary."""
    cdef Block* b = s.block
    cdef int64_t i
    if rows.facts == NULL:
        return
    for i in range(n):
        b.facts[i] = FACTS_LONG if b.what[i] == NONE else rows.facts[b.what[i]]


# -- one row ------------------------------------------------------------------------------------------------------------

cdef inline int64_t list_matters(Side* s) noexcept nogil:
    """Where the list of the keys that matter to the row at hand lies; equal neighbours share one."""
    cdef int64_t size = s.frame.s.n_matters + 1
    cdef const uint32_t* of = s.frame.s.matters
    cdef const uint32_t* before = s.matters + s.last_matters
    cdef uint32_t* grown
    if s.n_matters and before[0] == s.frame.s.n_matters and (size == 1 or memcmp(before + 1, of, <size_t>(size - 1) * 4) == 0):
        return (s.number << LIST_BITS) | s.last_matters
    if s.n_matters + size > s.room_matters:
        grown = <uint32_t*>realloc(s.matters, <size_t>(2 * (s.n_matters + size)) * 4)
        if grown == NULL:
            s.frame.s.failed = 1
            return -1
        s.matters = grown
        s.room_matters = 2 * (s.n_matters + size)
    s.last_matters = s.n_matters
    s.matters[s.n_matters] = s.frame.s.n_matters
    if size > 1:
        memcpy(s.matters + s.n_matters + 1, of, <size_t>(size - 1) * 4)
    s.n_matters += size
    return (s.number << LIST_BITS) | s.last_matters


cdef inline void write(Side* s, const Call* c, const Answer* a, int64_t row) noexcept nogil:
    cdef Answers* out = &s.answers
    out.outcome[row] = a.outcome
    out.assumed[row] = c.assumed_owner
    if c.reasons:
        out.layer[row] = a.layer
        out.reason[row] = a.reason
        if a.entry != NULL:
            out.entry[row] = a.entry.occurrence
            out.level[row] = a.entry.level
        if a.outcome == DEPENDS:
            out.matter[row] = list_matters(s)


cdef inline void finish(Side* s, const Call* c, const Answer* a, int status) noexcept nogil:
    """Write the answer to the row at hand, or put it on the slow list."""
    if status == DONE:
        write(s, c, a, c.batch_row)
        return
    s.slow[s.n_slow] = c.batch_row
    s.n_slow += 1


cdef inline int decide_located(Call* c, const Rows* rows, int64_t i, Answer* a, bint checked) noexcept nogil:
    """A row whose principal, action and resource are known."""
    cdef Text owner = Text(NULL, 0)
    cdef int64_t lo, hi
    cdef int32_t k
    if rows.owners != NULL:
        item_text(rows.owners, rows.owner_first + i, &owner)
    for k in range(c.n_columns):                         # C5: one value where the registry has one
        if c.columns[k].column.is_list and not c.columns[k].is_multi:
            row_items(c.columns[k].column, c.columns[k].first + i, &lo, &hi)
            if hi - lo > 1:
                return BAD_CONTEXT
    return attempt(c, a, &owner, checked)


cdef inline int decide_row(
    const Side* s, Call* c, const Rows* rows, int64_t i, Answer* a, uint32_t provider, bint checked
) noexcept nogil:
    """A row, the long way; `provider` is who asks where name and action had to be settled together (N3)."""
    cdef Text text
    cdef uint32_t number
    c.row = i
    c.own = Row(0, 0, 0, NONE)
    # the action
    if not item_text(rows.actions, rows.action_first + i, &text):
        return NO_ACTION
    number = name_number(s, c.t, &text, True)
    if number == NONE:
        return NO_ACTION
    c.action_name = number
    c.action_class = c.t.name_classes[number]
    c.action = &c.t.classes[c.action_class]
    # who asks
    if not item_text(rows.principals, rows.principal_first + i, &text):
        return NO_PRINCIPAL
    number = provider
    if provider == NONE:
        if c.action.flags & ACT_FEDERATION and not (text.size > 4 and text.data[3] == 58):
            return NO_PRINCIPAL
        number = name_number(s, c.t, &text, False)
    if number >= c.t.n_principals:                       # NONE or BROKEN
        return NO_PRINCIPAL
    c.principal = &c.t.principals[number]
    if not item_text(rows.resources, rows.resource_first + i, &c.resource):
        return BAD_RESOURCE
    return decide_located(c, rows, i, a, checked)


cdef inline void take_up(Side* s, Call* c, int64_t first, int64_t at, uint32_t i) noexcept nogil:
    """Put a row of the block into the call."""
    cdef Block* b = s.block
    c.row = at + i
    c.batch_row = first + at + i
    c.principal = &c.t.principals[b.who[i]]
    c.action_name = b.name[i]
    c.action_class = b.cls[i]
    c.action = &c.t.classes[c.action_class]
    c.own = b.own[i]
    c.resource = b.text[i]


cdef inline void decide_far(Side* s, Call* c, const Rows* rows, int64_t first, int64_t at, uint32_t i) noexcept nogil:
    cdef Answer a
    cdef Block* b = s.block
    cdef int status
    c.batch_row = first + at + i
    if b.who[i] == NONE or c.t.classes[b.cls[i]].flags & ACT_FEDERATION:
        status = decide_row(s, c, rows, at + i, &a, NONE, False)
    else:
        take_up(s, c, first, at, i)
        status = BAD_RESOURCE
        if item_text(rows.resources, rows.resource_first + at + i, &c.resource):
            status = decide_located(c, rows, at + i, &a, False)
    finish(s, c, &a, status)


# -- a block --------------------------------------------------------------------------------------------------------------

cdef inline bint layer_row(const Call* c, uint32_t stack, uint32_t cls, uint32_t name, Row* row) noexcept nogil:
    """The row of a layer that applies; False where it is not there yet."""
    row[0] = find_row(c.t, stack, cls if stack < c.t.n_indexed_stacks else name | BY_NAME)
    return row.n != 0


cdef inline void sort_rows(Side* s, Call* c, int64_t first, int64_t n, uint32_t* counts) noexcept nogil:
    """Answer what the flags of rows say at once, and put the others where they belong: `left`, `placed`, `far`."""
    cdef Block* b = s.block
    cdef const TablesC* t = c.t
    cdef const ActionClass* k
    cdef uint64_t f
    cdef Caller* w
    cdef uint32_t i, cls, n_single = 0, n_left = 0, n_placed = 0, n_far = 0
    cdef uint8_t outcome
    cdef Row own, scp, rcp
    for i in range(<uint32_t>n):
        f = b.facts[i]
        own = b.own[i] = row_at(t, b.row[i])
        if b.who[i] == NONE:
            b.far[n_far] = i
            n_far += 1
            continue
        w = &s.callers[b.who[i]]
        if not w.flags & CALLER_KNOWN:
            c.principal = &t.principals[b.who[i]]
            read_caller(c, w)
        cls = b.cls[i]
        k = &t.classes[cls]
        if (
            not w.flags & CALLER_PLAIN or f & FACTS_LONG or k.flags & ACT_OWN_RULES or own.n == 0
            or (k.flags >> (ACT_FORBID_SHIFT + w.credential)) & 1
        ):
            b.far[n_far] = i
            n_far += 1
            continue
        if f & FACTS_RECORD or w.flags & CALLER_CHECKS or not is_here(w, f):
            if is_same_partition(w, f):
                b.placed[n_placed] = i
                n_placed += 1
            else:                                        # N16
                b.far[n_far] = i
                n_far += 1
            continue
        scp = rcp = Row(0, 0, 0, NONE)
        if w.scp_stack != NONE and not layer_row(c, w.scp_stack, cls, b.name[i], &scp):
            b.far[n_far] = i
            n_far += 1
            continue
        if w.rcp_stack != NONE and k.flags & ACT_RCP and not layer_row(c, w.rcp_stack, cls, b.name[i], &rcp):
            b.far[n_far] = i
            n_far += 1
            continue
        if (own.flags | scp.flags | rcp.flags) & ROW_DENIES or k.flags & ACT_HARD or (scp.n and not scp.flags & ROW_PASSES):
            outcome = DEPENDS
        elif not own.flags & ROW_GRANTS:
            outcome = IMPLICIT_DENY
        elif own.flags & ROW_GRANTS_ALL and not w.flags & CALLER_LIMITED and not c.reasons:
            outcome = ALLOW
        elif own.only != NONE and not w.flags & CALLER_LIMITED:
            b.single[n_single] = i
            n_single += 1
            prefetch(&t.patterns[own.only])
            continue
        else:
            outcome = DEPENDS
        if outcome == DEPENDS:                           # on what policies say
            b.scp[i] = scp
            b.rcp[i] = rcp
            b.left[n_left] = i
            n_left += 1
            prefetch(&t.runs[own.first])
            continue
        s.answers.outcome[first + i] = outcome
        s.answers.assumed[first + i] = not f & FACTS_TOLD
        if c.reasons:
            s.answers.layer[first + i] = LAYER_IDENTITY
            s.answers.reason[first + i] = REASON_NONE
    counts[0] = n_left
    counts[1] = n_placed
    counts[2] = n_far
    counts[3] = n_single


cdef inline void fetch_text(const Side* s, const Rows* rows, const uint16_t* listed, uint32_t n) noexcept nogil:
    """Take up the texts of the resources of a list; those without a dictionary are there already."""
    cdef Block* b = s.block
    cdef uint32_t j, i
    if rows.facts == NULL:
        return
    if rows.resources.kind == TEXT_32:
        for j in range(n):
            prefetch(<const int32_t*>rows.resources.offsets + b.what[listed[j]])
    elif rows.resources.kind == TEXT_VIEW:
        for j in range(n):
            prefetch(rows.resources.views + 16 * <int64_t>b.what[listed[j]])
    for j in range(n):
        i = listed[j]
        value_text(rows.resources, b.what[i], &b.text[i])    # INVARIANT: a null has FACTS_LONG, and is in no such list
        prefetch(b.text[i].data)
        prefetch(b.text[i].data + 63)


cdef inline void fetch_context(const Call* c, const Entry* e, int64_t row) noexcept nogil:
    """Ask for the code of the column that the condition of an entry reads."""
    cdef int32_t at
    cdef const ContextColumn* column
    if e.conditions == NONE or not e.conditions & ONE:
        return
    at = c.s.sources[c.t.atoms[e.conditions ^ ONE].key]
    if at >= 0:
        column = &c.columns[at]
        if column.column.code_width:
            prefetch(<const char*>column.column.codes + (column.first + row) * column.column.code_width)
        elif column.column.kind == TEXT_32:
            prefetch(<const int32_t*>column.column.offsets + column.first + row)


cdef inline void fetch_entries(const Side* s, const Call* c, int64_t at, const uint16_t* listed, uint32_t n) noexcept nogil:
    """Ask for the memory that the rows of a list will need: who asks, entries, patterns, their texts, codes of conditions."""
    cdef const TablesC* t = c.t
    cdef Block* b = s.block
    cdef const Run* run
    cdef const Entry* e
    cdef uint32_t j, i
    for j in range(n):
        i = listed[j]
        prefetch(&t.principals[b.who[i]])
        prefetch(<const char*>&t.principals[b.who[i]] + 64)
        run = &t.runs[b.own[i].first]
        if run.n:
            prefetch(&t.entries[run.first])
        if b.own[i].n > 1:
            prefetch(&t.entries[run[1].first])
    for j in range(n):
        i = listed[j]
        if b.own[i].n > 1:
            run = &t.runs[b.own[i].first + 1]
            e = &t.entries[run.first]
            if run.n and run.index == NONE and e.resources != NONE and e.resources & ONE:
                prefetch(&t.patterns[e.resources ^ ONE])
    for j in range(n):
        i = listed[j]
        if b.own[i].n > 1:
            run = &t.runs[b.own[i].first + 1]
            e = &t.entries[run.first]
            if run.n and run.index == NONE and e.resources != NONE and e.resources & ONE:
                prefetch(t.pool + t.patterns[e.resources ^ ONE].text)
                fetch_context(c, e, at + i)
        if b.own[i].flags & ROW_DENIES:
            fetch_context(c, &t.entries[t.runs[b.own[i].first].first], at + i)


cdef inline void decide_single(Side* s, Call* c, const Rows* rows, int64_t first, int64_t at, uint32_t n) noexcept nogil:
    """Rows of one allow on one pattern: it matches, or nothing does."""
    cdef Block* b = s.block
    cdef const TablesC* t = c.t
    cdef const Pattern* p
    cdef const Entry* e
    cdef uint64_t f
    cdef uint32_t j, i
    cdef int64_t row
    cdef bint found
    for j in range(n):
        prefetch(t.pool + t.patterns[b.own[b.single[j]].only].text)
    fetch_text(s, rows, b.single, n)
    for j in range(n):
        i = b.single[j]
        f = b.facts[i]
        p = &t.patterns[b.own[i].only]
        c.resource = b.text[i]
        c.is_star = f & FACTS_STAR != 0
        if p.kind == PATTERN_FIELDS:
            five_colons(c.resource.data, c.resource.size, c.colons)
        found = pattern_matches(c, p)
        row = first + at + i
        s.answers.outcome[row] = ALLOW if found else IMPLICIT_DENY
        s.answers.assumed[row] = not f & FACTS_TOLD
        if c.reasons:
            s.answers.layer[row] = LAYER_IDENTITY
            s.answers.reason[row] = REASON_NONE
            if found:
                e = &t.entries[t.runs[b.own[i].first + 1].first]
                s.answers.entry[row] = e.occurrence
                s.answers.level[row] = e.level


cdef inline uint32_t record_of(const Block* b, const Rows* rows, uint32_t i) noexcept nogil:
    if not b.facts[i] & FACTS_RECORD:
        return NONE
    return b.record[i] if rows.facts == NULL else rows.records[b.what[i]]


cdef inline void run_block(Side* s, Call* c, const Rows* rows, int64_t first, int64_t at, int64_t n) noexcept nogil:
    """Decide `n` rows of a range that starts at row `first` of the batch, from row `at` of the range."""
    cdef Block* b = s.block
    cdef const TablesC* t = c.t
    cdef uint32_t counts[4]
    cdef uint32_t j, i
    cdef Answer a
    number_rows(s, t, rows, at, n)
    seek_rows(s, t, n)
    if s.callers != NULL:
        find_facts(s, c, rows, at, n)
    number_own_rows(s, t, n)
    if s.callers == NULL:
        for i in range(<uint32_t>n):
            b.own[i] = row_at(t, b.row[i])
            decide_far(s, c, rows, first, at, i)
        return
    look_up_facts(s, rows, n)
    sort_rows(s, c, first + at, n, counts)
    decide_single(s, c, rows, first, at, counts[3])
    fetch_text(s, rows, b.left, counts[0])
    fetch_entries(s, c, at, b.left, counts[0])
    for j in range(counts[0]):
        i = b.left[j]
        take_up(s, c, first, at, i)
        next_stamp(c.s)
        put_resource(c, &s.callers[b.who[i]], b.facts[i], record_of(b, rows, i))
        finish(s, c, &a, decide_here(c, &b.scp[i], &b.rcp[i], &a))
    fetch_text(s, rows, b.placed, counts[1])
    fetch_entries(s, c, at, b.placed, counts[1])
    for j in range(counts[1]):
        i = b.placed[j]
        take_up(s, c, first, at, i)
        next_stamp(c.s)
        put_resource(c, &s.callers[b.who[i]], b.facts[i], record_of(b, rows, i))
        finish(s, c, &a, decide_placed(c, &s.callers[b.who[i]], &a))
    for j in range(counts[2]):
        decide_far(s, c, rows, first, at, b.far[j])


cdef inline void run_rows(Side* s, Call* c, const Rows* rows, int64_t first, int64_t n) noexcept nogil:
    """Decide a range of rows."""
    cdef int64_t at = 0
    while at < n:
        run_block(s, c, rows, first, at, min(n - at, <int64_t>BLOCK))
        at += BLOCK

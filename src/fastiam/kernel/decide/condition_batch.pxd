"""Conditions of match ops, evaluated for all rows of a step queue from columns and memoized truths. Header only.

A row stays in the queue, with the next condition of its op, until a condition is false or none is left.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from fastiam.kernel.base.text cimport Text, prefetch, read_ahead
from fastiam.kernel.columns.column cimport item_code, item_text, row_items, value_text
from fastiam.kernel.decide.blocks cimport BLOCK, BLOCK_BITS, Block, HAS_TAGS
from fastiam.kernel.decide.row_ids cimport prefetch_value
from fastiam.kernel.decide.row_driver cimport RowCursor, row_inputs
from fastiam.kernel.decide.step_queue cimport select_step, enqueue, drain_queue
from fastiam.kernel.eval.conditions cimport presence_truth
from fastiam.kernel.eval.key_columns cimport prefetch_code, touch_text_code, row_code, find_text_code
from fastiam.kernel.eval.memo cimport RowInputs, record_known_false, memo_slot_principal_only, memo_slot, memo_truth
from fastiam.kernel.model.call cimport Call, ContextColumn, AtomMemo, DEP_PRINCIPAL_ONLY
from fastiam.kernel.eval.key_values cimport KeyValues
from fastiam.kernel.model.tables cimport *


cdef enum:
    CONDITION_INDEX_SHIFT = BLOCK_BITS  # in an item of the queue, above the row: the index of the condition of the op
    ROW_MASK = BLOCK - 1
    MAX_LIST_VALUES = 8        # values of a list


cdef struct ConditionBatch:    # the inputs of the conditions of a queue
    uint32_t atom[BLOCK]
    uint32_t more[BLOCK]       # whether the op has conditions after this one
    const ContextColumn* wide[BLOCK]   # the column that determines the truth, where codes have no memo: lists, too many values; else NULL
    Text text[BLOCK]
    uint64_t hash[BLOCK]
    uint8_t is_stored[BLOCK]   # whether a column leaves out what may be stored about the resource
    const uint64_t* memo[BLOCK]    # the memo slot of the truth, and the key; NULL: none
    uint64_t key[BLOCK]


cdef inline void load_atoms(ConditionBatch* q, const TablesC* t, const uint64_t* queue, uint32_t n) noexcept nogil:
    """Which conditions are asked."""
    cdef const MatchOp* f
    cdef Range conditions
    cdef uint32_t j, nth
    for j in range(n):
        f = t.match_ops + (queue[j] >> 32)
        q.atom[j] = f.operand.atom
        q.more[j] = 0
        if not f.conditions & ONE:
            nth = <uint32_t>queue[j] >> CONDITION_INDEX_SHIFT
            conditions = t.condition_lists[f.conditions]
            q.atom[j] = t.atom_lists[conditions.first + nth]
            q.more[j] = nth + 1 < conditions.n


cdef inline const ContextColumn* unmemoized_column(const Call* c, uint32_t id) noexcept nogil:
    cdef const Atom* atom = &c.t.atoms[id]
    cdef int32_t at = c.s.sources[atom.key]
    if at < 0 or not atom.flags & ATOM_FIXED or c.columns[at].has_code_memo:
        return NULL
    return &c.columns[at] if c.columns[at].column.is_list or c.columns[at].column.code_width else NULL


cdef inline bint is_short(const ContextColumn* column, int64_t row) noexcept nogil:
    """Whether a list has values, but not many; of none, more than the column has to be known."""
    cdef int64_t first, last
    row_items(column.column, column.first + row, &first, &last)
    return 0 < last - first <= MAX_LIST_VALUES


cdef inline void load_wide_texts(ConditionBatch* q, const Call* c, const uint64_t* queue, uint32_t n, int64_t row) noexcept nogil:
    """The texts that wide dictionaries give; they may be anywhere, so that each step prefetches what the next one reads."""
    cdef const ContextColumn* column
    cdef uint32_t j
    cdef int64_t code
    for j in range(n):
        q.wide[j] = column = unmemoized_column(c, q.atom[j])
        if column != NULL and column.column.is_list:
            q.wide[j] = column if is_short(column, row + (<uint32_t>queue[j] & ROW_MASK)) else NULL
        elif column != NULL:
            prefetch_value(column.column, max(item_code(column.column, column.first + row + (<uint32_t>queue[j] & ROW_MASK)), <int64_t>0))
    for j in range(n):
        column = q.wide[j]
        if column == NULL or column.column.is_list:
            continue
        code = item_code(column.column, column.first + row + (<uint32_t>queue[j] & ROW_MASK))
        if code < 0 or not value_text(column.column, code, &q.text[j]):
            q.wide[j] = NULL                             # a null: more than the column has to be known
        elif q.text[j].size:
            read_ahead(q.text[j].data)


cdef inline bint may_be_resource_tag(const Block* b, const Call* c, uint32_t id, uint32_t i, int64_t row) noexcept nogil:
    """Whether a condition is about a tag that its column, whose truths are memoized, leaves out in a row whose resource has some."""
    cdef const ContextColumn* column = &c.columns[c.s.atom_memo[id].column]
    return b.pending_stages[i] & HAS_TAGS and c.t.keys[c.t.atoms[id].key].is_resource_tag and row_code(column, row) == column.n_codes


cdef inline void load_memo_slots(ConditionBatch* q, const Block* b, Call* c, const uint64_t* queue, uint32_t n, int64_t row) noexcept nogil:
    """The memo slots of conditions that no column determines by its codes."""
    cdef RowInputs basis
    cdef uint32_t i, j, dependencies
    for j in range(n):
        i = <uint32_t>queue[j] & ROW_MASK
        q.memo[j] = NULL
        q.is_stored[j] = False
        if c.s.atom_memo[q.atom[j]].truths != NULL:
            q.is_stored[j] = may_be_resource_tag(b, c, q.atom[j], i, row + i)
            if not q.is_stored[j]:
                continue
        if c.has_wide and q.wide[j] != NULL:
            continue
        dependencies = c.s.atom_memo[q.atom[j]].dependencies
        if dependencies & DEP_PRINCIPAL_ONLY:
            q.memo[j] = memo_slot_principal_only(c, q.atom[j], dependencies, b.principal_id[i], &q.key[j])
        else:
            c.action = &c.t.classes[b.cls[i]]
            basis = row_inputs(b, i, row + i, b.pending_stages[i] & HAS_TAGS != 0)
            q.memo[j] = memo_slot(c, q.atom[j], &basis, &q.key[j])
        if q.memo[j] != NULL:
            prefetch(q.memo[j])


cdef inline uint32_t value_truth(Call* c, uint32_t id, const ContextColumn* column, const Text* texts, int64_t n) noexcept nogil:
    """The truth of a condition, plus 1, for texts that nothing is kept of, at least one."""
    cdef const Atom* atom = &c.t.atoms[id]
    cdef KeyValues found = KeyValues(texts, n, column.is_multi, False)
    return 1 + (U if atom.flags & ATOM_U else presence_truth(c, atom, &found))


cdef inline uint32_t list_truth(Call* c, uint32_t id, const ContextColumn* column, int64_t row) noexcept nogil:
    """The same, for a list with values, but not many."""
    cdef Text texts[MAX_LIST_VALUES]
    cdef int64_t first, last, i, n = 0
    row_items(column.column, column.first + row, &first, &last)
    for i in range(first, last):
        n += item_text(column.column, i, &texts[n])
    return value_truth(c, id, column, texts, n)


cdef inline uint32_t text_truth(Call* c, uint32_t id, const ContextColumn* column, const Text* text, uint64_t hash) noexcept nogil:
    """The same of plain text; 0 where it gets a code, but the truth is not known yet."""
    cdef int64_t code = find_text_code(column, text[0], hash)
    return c.s.atom_memo[id].truths[code] if code <= column.n_codes else value_truth(c, id, column, text, 1)


cdef inline void evaluate_conditions(Block* b, RowCursor* l, int64_t row) noexcept nogil:
    """Evaluate a condition of each op; `row` is the first one of the block in its range."""
    cdef Call* c = l.c
    cdef const uint64_t* queue = b.step_queues[STEP_CONDITION].items
    cdef const MatchOp* f
    cdef const AtomMemo* atom_memo = c.s.atom_memo
    cdef const ContextColumn* column
    cdef ConditionBatch q
    cdef RowInputs basis
    cdef uint32_t i, j, at, nth, n = drain_queue(b, STEP_CONDITION), truth, step
    cdef uint8_t accept
    load_atoms(&q, c.t, queue, n)
    if c.has_wide:
        load_wide_texts(&q, c, queue, n, row)
    if atom_memo != NULL:
        load_memo_slots(&q, b, c, queue, n, row)
    for j in range(n):
        if atom_memo == NULL or atom_memo[q.atom[j]].truths == NULL:
            continue
        column = &c.columns[atom_memo[q.atom[j]].column]
        if column.has_texts:
            q.hash[j] = touch_text_code(column, row + (<uint32_t>queue[j] & ROW_MASK), &q.text[j])
        else:
            prefetch_code(column, row + (<uint32_t>queue[j] & ROW_MASK))
    for j in range(n):
        i = <uint32_t>queue[j] & ROW_MASK
        nth = <uint32_t>queue[j] >> CONDITION_INDEX_SHIFT
        at = <uint32_t>(queue[j] >> 32)
        f = c.t.match_ops + at
        truth = 0
        if atom_memo != NULL and atom_memo[q.atom[j]].truths != NULL and not q.is_stored[j]:
            column = &c.columns[atom_memo[q.atom[j]].column]
            if column.has_texts:
                truth = text_truth(c, q.atom[j], column, &q.text[j], q.hash[j])
            else:
                truth = atom_memo[q.atom[j]].truths[row_code(column, row + i)]
        elif c.has_wide and q.wide[j] != NULL:
            column = q.wide[j]
            if column.column.is_list:
                truth = list_truth(c, q.atom[j], column, row + i)
            else:
                truth = value_truth(c, q.atom[j], column, &q.text[j], 1)
        elif atom_memo != NULL and q.memo[j] != NULL:
            truth = <uint32_t>(1 + memo_truth(q.memo[j], q.key[j]))
            if truth == F + 1 and atom_memo[q.atom[j]].filter_bits:  # memoized for another principal of the account, or before the filter was made
                basis = row_inputs(b, i, row + i, False)
                record_known_false(c, q.atom[j], &basis)
        accept = BROAD if f.flags & MATCHOP_DENY else STRICT
        step = STEP_MATCHED + q.more[j] * (STEP_CONDITION - STEP_MATCHED)
        step = select_step(b, i, at, (<uint32_t>accept << 1 >> truth) & 1, step)
        step = STEP_NEXT_CONDITION if truth == 0 else step
        enqueue(b, c.t, i | ((nth + 1) << CONDITION_INDEX_SHIFT) * (step == STEP_CONDITION), at, step)

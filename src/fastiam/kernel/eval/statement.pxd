"""Whether a statement entry applies to a call, and the first entry of a run that does, by scan or by index. Header only."""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastiam.kernel.model.decision cimport LAYER_VPCE
from fastiam.kernel.base.invariants cimport promise
from fastiam.kernel.model.call cimport Call
from fastiam.kernel.eval.key_values cimport KeyValues, fetch
from fastiam.kernel.eval.conditions cimport conditions_hold
from fastiam.kernel.eval.principal cimport UNDETERMINED_SHIFT, counted_classes, exempt, lists_no_level, principal_classes
from fastiam.kernel.eval.term_hashes cimport (
    AT_ONCE, MAX_TEXT_HASHES, HashState, init_hash_state, ngram_hashes, listed_in, literal_hashes, slot_of, text_hashes, word_hashes,
)
from fastiam.kernel.eval.resource cimport not_resources_match, resources_match, tail_has_colon
from fastiam.kernel.model.tables cimport *


cdef inline bint is_gateway(const Call* c, const StatementEntry* e) noexcept nogil:
    """The entry is in the policy of a gateway endpoint (N17)."""
    return e.layer == LAYER_VPCE and c.endpoint != NULL and c.endpoint.is_gateway


cdef inline uint32_t entry_classes(Call* c, const StatementEntry* e, uint8_t accept) noexcept nogil:
    """The match classes of the principal element that count; CLASS_STAR where there is none."""
    cdef bint gateway = is_gateway(c, e)
    cdef bint broad = accept & ACCEPT_U != 0
    cdef bint with_assumed = accept & ACCEPT_RESIDUAL != 0
    cdef uint32_t classes
    cdef int found
    if e.principals == NONE:
        return CLASS_STAR
    if e.flags & ENTRY_NOT_PRINCIPAL:
        # what prevents the statement from applying is assumed the other way round (D73)
        if e.flags & ENTRY_DENY:
            found = exempt(c, e.principals, gateway, not with_assumed)
            found = 1 - found if found != U else U
        else:
            found = lists_no_level(c, e.principals, gateway, not with_assumed)
        return CLASS_STAR if found == T or (found == U and broad) else 0
    classes = principal_classes(c, e.principals, gateway)
    if broad:
        return counted_classes(classes, e.flags & ENTRY_DENY != 0, with_assumed) | ((classes >> UNDETERMINED_SHIFT) & CLASS_ALL)
    return counted_classes(classes, e.flags & ENTRY_DENY != 0, with_assumed)


cdef inline uint32_t entry_applies(Call* c, const StatementEntry* e, uint8_t accept) noexcept nogil:
    """The classes in which a statement applies, 0 if it does not; `accept` says which truths count (F3)."""
    return entry_applies_to_pattern(c, e, e.resources, accept)


cdef inline uint32_t entry_applies_to_pattern(Call* c, const StatementEntry* e, uint32_t resources, uint8_t accept) noexcept nogil:
    """The same, on some of its patterns: it matches on one of them, or not at all."""
    cdef uint32_t classes = CLASS_STAR
    if e.flags & ENTRY_U and not accept & ACCEPT_U:
        return 0
    if resources != NONE:
        if e.flags & ENTRY_NOT_RESOURCE:
            if not not_resources_match(c, resources, accept):
                return 0
        elif not resources_match(c, resources, accept):
            return 0
    if e.principals != NONE:
        classes = entry_classes(c, e, accept)
        if classes == 0:
            return 0
    if e.conditions != NONE and not conditions_hold(c, e.conditions, accept):
        return 0
    return classes


# -- long runs: candidates by hash ----------------------------------------------------------------------------------------

cdef inline const StatementEntry* first_in_posting_list(
    Call* c, const StatementRun* run, const uint32_t* listed, uint32_t n, uint8_t accept, const StatementEntry* best
) noexcept nogil:
    """The first entry that applies on an item of a list and precedes `best`."""
    cdef const Index* index = &c.t.indexes[run.index]
    cdef const IndexItem* item
    cdef const StatementEntry* e
    cdef uint32_t i
    for i in range(n):
        promise(listed[i] < index.n_items)
        item = &c.t.index_items[index.first_item + listed[i]]
        promise(item.entry < run.n)
        e = &c.t.entries[run.first + item.entry]
        if best != NULL and e >= best:
            break                                        # lists are in the order of the run
        if entry_applies_to_pattern(c, e, item.resources, accept):
            return e
    return best


cdef inline const StatementEntry* first_slot(
    Call* c, const StatementRun* run, const Index* index, uint32_t h, uint8_t accept, const StatementEntry* best
) noexcept nogil:
    """`first_in_posting_list` over the entries under one hash."""
    cdef const PostingSlot* slot = slot_of(c.t, index, h)
    if slot == NULL:
        return best
    if slot.split != NONE:
        return first_by_condition(c, run, index, slot, accept, best)
    return first_in_posting_list(c, run, listed_in(c.t, slot), slot.n, accept, best)


cdef inline const StatementEntry* first_by_condition(
    Call* c, const StatementRun* run, const Index* index, const PostingSlot* slot, uint8_t accept, const StatementEntry* best
) noexcept nogil:
    """`first_in_posting_list` over entries that ask for different texts of a key: where it has one text, those that ask for another do not count."""
    cdef const ConditionSplit* split = &c.t.index_splits[slot.split]
    cdef const PostingSlot* listed
    cdef KeyValues found
    cdef uint32_t hashes[MAX_TEXT_HASHES]
    cdef uint32_t k, n = NONE
    if c.unknown != NULL:
        return first_in_posting_list(c, run, listed_in(c.t, slot), slot.n, accept, best)
    fetch(c, split.key, 0, &found)
    if found.n:
        if found.n == 1 and not found.is_multi and not found.is_conflict:
            n = text_hashes(c.t, index, slot, &found.texts[0], hashes)
        if n == NONE:                                    # U, or several texts
            return first_in_posting_list(c, run, listed_in(c.t, slot), slot.n, accept, best)
        for k in range(n):
            listed = slot_of(c.t, index, hashes[k])
            if listed != NULL:
                best = first_in_posting_list(c, run, listed_in(c.t, listed), listed.n, accept, best)
    if best != NULL and not c.reasons:
        return best
    return first_in_posting_list(c, run, &c.t.index_lists[split.others], split.n_others, accept, best)


cdef inline const StatementEntry* first_candidate(
    Call* c, const StatementRun* run, const Index* index, const uint32_t* hashes, uint32_t n, uint8_t accept, const StatementEntry* best
) noexcept nogil:
    """The same, over hashes of a request."""
    cdef uint32_t k
    for k in range(n):
        best = first_slot(c, run, index, hashes[k], accept, best)
        if best != NULL and not c.reasons:
            break
    return best


cdef inline const StatementEntry* first_by_ngram(
    Call* c, const StatementRun* run, const Index* index, const TermShape* shape, uint8_t accept, const StatementEntry* best
) noexcept nogil:
    """Entries that some bytes of field 6 point to."""
    cdef const char* p = c.resource.data + c.colons[4] + 1
    cdef int64_t n = c.resource.data + c.resource.size - shape.size - p + 1, size
    cdef uint32_t hashes[AT_ONCE]
    while n > 0 and (best == NULL or c.reasons):
        size = min(n, <int64_t>AT_ONCE)
        best = first_candidate(c, run, index, hashes, ngram_hashes(c.t, index, shape[0], p, size, hashes), accept, best)
        p += size
        n -= size
    return best


cdef inline const StatementEntry* first_by_word(
    Call* c, const StatementRun* run, const Index* index, uint8_t accept, const StatementEntry* best
) noexcept nogil:
    """Entries that the words of field 6 point to."""
    cdef const char* tail = c.resource.data + c.colons[4] + 1
    cdef int64_t size = c.resource.data + c.resource.size - tail, at = 0
    cdef uint32_t hashes[AT_ONCE]
    while at < size and (best == NULL or c.reasons):
        best = first_candidate(c, run, index, hashes, word_hashes(c.t, index, tail, size, &at, hashes), accept, best)
    return best


cdef inline const StatementEntry* first_shaped(
    Call* c, const StatementRun* run, const Index* index, uint8_t accept, const StatementEntry* best
) noexcept nogil:
    """Entries that the hashes of the resource point to."""
    cdef const TermShape* shapes = &c.t.shapes[index.first_shape]
    cdef HashState h
    cdef uint32_t hashes[AT_ONCE]
    cdef uint32_t i
    init_hash_state(&h, c.t, c.resource.data, c.resource.size, &c.colons[0])
    for i in range(index.n_shapes):
        if shapes[i].kind == TERM_WORD:
            best = first_by_word(c, run, index, accept, best)
        elif shapes[i].kind < TERM_WORD:
            best = first_candidate(c, run, index, hashes, literal_hashes(c.t, index, shapes[i], &h, hashes), accept, best)
        elif shapes[i].kind == TERM_NGRAM or (accept & ACCEPT_U and tail_has_colon(c)):
            best = first_by_ngram(c, run, index, &shapes[i], accept, best)
        if best != NULL and not c.reasons:
            return best
    return best


cdef inline const StatementEntry* first_indexed(Call* c, const StatementRun* run, uint8_t accept) noexcept nogil:
    """As `first_applicable`, for a run with an index."""
    cdef const Index* index = &c.t.indexes[run.index]
    cdef const StatementEntry* best = NULL
    if index.always.split != NONE:
        best = first_by_condition(c, run, index, &index.always, accept, best)
    elif index.always.n:
        best = first_in_posting_list(c, run, listed_in(c.t, &index.always), index.always.n, accept, best)
    if c.is_star or (best != NULL and not c.reasons):
        return best
    if accept & ACCEPT_U and index.n_crossing and tail_has_colon(c):
        best = first_in_posting_list(c, run, &c.t.index_lists[index.crossing], index.n_crossing, accept, best)
        if best != NULL and not c.reasons:
            return best
    return first_shaped(c, run, index, accept, best)


cdef inline const StatementEntry* first_applicable(Call* c, const StatementRun* run, uint8_t accept) noexcept nogil:
    """The first entry of a run that applies (D51), or NULL; any one that applies where the reason is not requested."""
    cdef const StatementEntry* e = &c.t.entries[run.first]
    cdef uint32_t i
    promise(run.first + run.n <= c.t.n_entries)
    if run.n == 0:
        return NULL
    if run.flags & RUN_ALL and not c.reasons:
        return e + run.n - 1                             # INVARIANT: the entry that always counts is the last
    if run.index != NONE:
        return first_indexed(c, run, accept)
    for i in range(run.n):
        if entry_applies(c, e + i, accept):
            return e + i
    return NULL

"""Facts of the resources of a block, one word each, and their resource records. Header only."""
from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcpy, memset

from fastiam.kernel.base.arn cimport account_number
from fastiam.kernel.base.invariants cimport narrow16, narrow32, narrow8
from fastiam.kernel.base.text cimport Text, first_bit, load8, mix, byte_positions, prefetch, read_ahead
from fastiam.kernel.columns.column cimport Column, TEXT_32, item_code, item_text, value_text, whole_codes
from fastiam.kernel.decide.blocks cimport BLOCK, Block, PREFETCH_NAMES, SelectionVector, IS_PARENT_RECORD, InputRange, ThreadState
from fastiam.kernel.decide.row_ids cimport prefetch_value, load_texts
from fastiam.kernel.decide.fast_path cimport ACCOUNT, FACTS_GENERAL_PATH, FACTS_STAR, FACTS_OWNER_KNOWN, colon_offset, read_facts, add_record_facts
from fastiam.kernel.decide.locate cimport find_prefix_record, needs_exact_record
from fastiam.kernel.model.call cimport Call
from fastiam.kernel.model.string_table cimport touch_name, prefetch_slot, touch_text, hashed_find, table_find, table_hash
from fastiam.kernel.model.tables cimport *


cdef enum:
    N_SERVICES = 32


cdef struct ServiceEntry:      # the short name of one, and what is stored about its resources
    uint64_t first             # the first and the last eight bytes; of shorter names all, at the upper and at the lower end
    uint64_t last
    int64_t size
    uint32_t mode


cdef struct RecordLookups:     # names under which something may be stored about a resource; of two of one row, the first that is found counts
    Text name[2 * BLOCK]
    uint32_t hash[2 * BLOCK]
    uint32_t guess[2 * BLOCK]  # where the table may hold it
    uint16_t row[2 * BLOCK]
    uint8_t mode[2 * BLOCK]    # of names of MODE_FACTS and those like it, else 0
    uint8_t is_parent[2 * BLOCK]   # of what holds the resource, a bucket
    uint32_t n
    ServiceEntry services[N_SERVICES]  # cached services, each in the slot of its hash


cdef inline const StringTable* names_of(const TablesC* t, uint32_t mode) noexcept nogil:
    return &t.fact_names if mode else &t.record_names


cdef inline void add_lookup(
    const TablesC* t, RecordLookups* lookups, uint32_t row, uint32_t mode, const char* data, int64_t size, bint is_parent
) noexcept nogil:
    cdef uint32_t n = lookups.n
    lookups.name[n] = Text(data, size)
    lookups.hash[n] = table_hash(data, size, t.seed)
    lookups.row[n] = narrow16(row)
    lookups.mode[n] = narrow8(mode)
    lookups.is_parent[n] = is_parent
    lookups.n += 1
    prefetch_slot(names_of(t, mode), lookups.hash[n])


cdef inline uint32_t service_mode(const TablesC* t, RecordLookups* lookups, const Text* text, int start, int end) noexcept nogil:
    """Where to look for what is stored about resources of this service, NONE if nothing is."""
    cdef const char* name = text.data + start
    cdef int64_t size = end - start, spare
    cdef uint64_t first, last
    cdef ServiceEntry* service
    if size == 0 or size > 16 or start + 8 > text.size:
        return table_find(&t.services, t.pool, name, size, t.seed)
    spare = 64 - 8 * min(size, <int64_t>8)               # bits that are not of the name
    first = load8(name) << spare
    last = load8(name + size - 8) >> spare                # INVARIANT: eight bytes of the ARN precede it
    service = &lookups.services[(mix(first ^ last * <uint64_t>0x9E3779B97F4A7C15ULL) >> 16) & (N_SERVICES - 1)]
    if service.first != first or service.last != last or service.size != size:
        service[0] = ServiceEntry(first, last, size, table_find(&t.services, t.pool, name, size, t.seed))
    return service.mode


cdef inline const char* first_slash(const char* p, int64_t size, int64_t after) noexcept nogil:
    """The first slash of an ARN of 16 bytes or more behind a place among its first 64, NULL: there is none."""
    cdef uint64_t bits = byte_positions(p, size, 47) & (~<uint64_t>0 << after)
    if bits:
        return p + first_bit(bits)
    return <const char*>memchr(p + 64, 47, <size_t>(size - 64)) if size > 64 else NULL


cdef inline void add_record_lookups(
    const TablesC* t, RecordLookups* lookups, uint32_t row, uint32_t mode, const Text* text, uint64_t facts
) noexcept nogil:
    """Put the names under which something may be stored about a resource on the list, as `find_record` looks them up."""
    cdef const char* slash = NULL
    cdef int64_t region_end = colon_offset(facts, 3), account_end = colon_offset(facts, 4)
    if (mode == MODE_BUCKET or mode == MODE_OBJECT) and account_end - region_end == 1 and text.data[region_end - 1] == 58:
        slash = first_slash(text.data, text.size, account_end)       # neither region nor account
    elif mode != MODE_EXACT:
        add_lookup(t, lookups, row, mode, text.data, text.size, False)
        return
    if slash == NULL or mode == MODE_OBJECT:
        add_lookup(t, lookups, row, 0, text.data, text.size, False)
    if slash != NULL:
        add_lookup(t, lookups, row, 0, text.data, slash - text.data, True)


cdef inline void resolve_lookups(const TablesC* t, RecordLookups* lookups, uint64_t* facts, uint32_t* records) noexcept nogil:
    """Look up what is on the list, side by side."""
    cdef uint32_t j, i, number
    cdef int64_t last
    cdef bint is_large = t.n_records >= PREFETCH_NAMES
    for j in range(lookups.n * is_large):
        lookups.guess[j] = touch_name(names_of(t, lookups.mode[j]), lookups.hash[j])
    for j in range(lookups.n * is_large):
        if lookups.guess[j] != NONE:
            prefetch(t.records + touch_text(names_of(t, lookups.mode[j]), t.pool, lookups.guess[j]))
    for j in range(lookups.n):
        i = lookups.row[j]
        if records[i] != NONE:
            continue
        number = hashed_find(names_of(t, lookups.mode[j]), t.pool, lookups.name[j].data, lookups.name[j].size, lookups.hash[j])
        if number == NONE and lookups.mode[j]:
            last = colon_offset(facts[i], 4) + 1
            if needs_exact_record(lookups.mode[j], lookups.name[j].data + last, lookups.name[j].size - last):
                continue
            number = find_prefix_record(t, lookups.name[j].data, lookups.name[j].size, last)
            if number == NONE:
                facts[i] = FACTS_GENERAL_PATH
        if number != NONE:
            records[i] = number | lookups.is_parent[j] * IS_PARENT_RECORD
            facts[i] = add_record_facts(t, facts[i], number, lookups.is_parent[j])


cdef inline void read_block_facts(Call* c, const Text* texts, int64_t n, uint64_t* facts, uint32_t* records) noexcept nogil:
    """What there is to know about the resources of a block."""
    cdef RecordLookups lookups
    cdef uint16_t stored[BLOCK]                          # rows that may have stored attributes, by their services
    cdef uint32_t modes[BLOCK]
    cdef uint32_t i, j, n_stored = 0
    cdef int start, end
    cdef bint may_store = c.t.services.n != 0
    lookups.n = 0
    memset(lookups.services, 0, sizeof(lookups.services))
    memset(records, 0xFF, <size_t>n * 4)                 # NONE
    for i in range(<uint32_t>n):
        facts[i] = read_facts(texts[i].data, texts[i].size, &start, &end)   # a null has no bytes
        if may_store and not facts[i] & (FACTS_GENERAL_PATH | FACTS_STAR):
            stored[n_stored] = narrow16(i)
            modes[n_stored] = service_mode(c.t, &lookups, &texts[i], start, end)
            n_stored += modes[n_stored] != NONE          # no branch: which service comes next is not to be foreseen
    for j in range(n_stored):
        i = stored[j]
        add_record_lookups(c.t, &lookups, i, modes[j], &texts[i], facts[i])
    resolve_lookups(c.t, &lookups, facts, records)


cdef inline void mark_values(const Column* column, int64_t n, uint8_t* marks) noexcept nogil:
    """Mark the values of a dictionary that the rows of a chunk have; what is not a value, or a null, behind them. Codes may be unchecked."""
    cdef const uint32_t* codes = whole_codes(column, 0)
    cdef uint64_t n_values = <uint64_t>column.n_values
    cdef int64_t i
    if codes != NULL:
        for i in range(n):
            marks[min(<uint64_t>codes[i], n_values)] = 1
        return
    for i in range(n):
        marks[min(<uint64_t>item_code(column, i), n_values)] = 1


cdef inline void read_used_facts(
    Call* c, const Column* chunk, int64_t first, int64_t last, uint64_t* facts, uint32_t* records, const uint8_t* used
) noexcept nogil:
    """`read_all_facts` of the values that are marked."""
    cdef Text texts[BLOCK]
    cdef uint64_t block_facts[BLOCK]
    cdef uint32_t block_records[BLOCK]
    cdef int64_t value[BLOCK]
    cdef int64_t n, i
    while first < last:
        n = 0
        while first < last and n < BLOCK:
            value[n] = first
            n += used[first]
            first += 1
        for i in range(n):
            if value_text(chunk, value[i], &texts[i]):
                prefetch(texts[i].data)
            else:
                texts[i] = Text(NULL, 0)
        read_block_facts(c, texts, n, block_facts, block_records)
        for i in range(n):
            facts[value[i]] = block_facts[i]
            records[value[i]] = block_records[i]


cdef inline void read_all_facts(
    Call* c, const Column* chunk, int64_t first, int64_t last, uint64_t* facts, uint32_t* records, const uint8_t* used
) noexcept nogil:
    """The facts of some values of a dictionary, block after block; where `used` is given, of those that it marks."""
    cdef Text texts[BLOCK]
    cdef Column plain = chunk[0]
    cdef int64_t n
    if used != NULL:
        read_used_facts(c, chunk, first, last, facts, records, used)
        return
    plain.code_width = 0                                 # its values as rows
    plain.item_valid = NULL
    while first < last:
        n = min(last - first, <int64_t>BLOCK)
        load_texts(&plain, first, n, texts)
        read_block_facts(c, texts, n, facts + first, records + first)
        first += n


cdef inline void find_facts(ThreadState* s, Call* c, const InputRange* rows, int64_t at, int64_t n) noexcept nogil:
    """What there is to know about the resources; those of a dictionary are read already."""
    cdef Block* b = s.block
    cdef const uint32_t* codes
    cdef const uint64_t* facts = rows.facts
    cdef uint32_t what
    cdef int64_t i, code
    b.records = NULL if facts == NULL else rows.records
    if facts == NULL:
        load_texts(rows.resources, rows.resource_first + at, n, b.text)
        return
    codes = whole_codes(rows.resources, rows.resource_first + at)
    if codes != NULL:
        memcpy(b.what, codes, <size_t>n * 4)
        for i in range(n):
            prefetch(facts + codes[i])
        return
    for i in range(n):
        code = item_code(rows.resources, rows.resource_first + at + i)
        what = NONE if code < 0 else narrow32(code)
        b.what[i] = what
        if what != NONE:
            prefetch(facts + what)


cdef inline void look_up_facts(ThreadState* s, Call* c, const InputRange* rows, int64_t n) noexcept nogil:
    """Read them."""
    cdef Block* b = s.block
    cdef const uint64_t* facts = rows.facts
    cdef int64_t i
    if facts != NULL and whole_codes(rows.resources, 0) != NULL:
        for i in range(n):
            b.facts[i] = facts[b.what[i]]
        return
    if facts != NULL:
        for i in range(n):
            b.facts[i] = FACTS_GENERAL_PATH if b.what[i] == NONE else facts[b.what[i]]
        return
    read_block_facts(c, b.text, n, b.facts, b.record)


cdef inline void set_owners_from_column(Block* b, const InputRange* rows, int64_t at, int64_t n) noexcept nogil:
    """Let a column give the owners of the resources, where nothing else does (D23). A value that contradicts what is known, or what `*` is taken for,
    sends its row to the general path."""
    cdef Text owner
    cdef uint64_t number, compared, facts
    cdef int64_t i
    for i in range(n):
        facts = b.facts[i]
        if facts & FACTS_GENERAL_PATH or not item_text(rows.owners, rows.owner_first + at + i, &owner):
            continue
        compared = b.principal_state[i].account_key if facts & FACTS_STAR else facts
        if not account_number(owner.data, owner.size, &number):
            b.facts[i] = FACTS_GENERAL_PATH
        elif facts & (FACTS_OWNER_KNOWN | FACTS_STAR):
            b.facts[i] = facts | FACTS_OWNER_KNOWN if compared & ACCOUNT == number else <uint64_t>FACTS_GENERAL_PATH
        else:
            b.facts[i] = facts & ~<uint64_t>ACCOUNT | number | FACTS_OWNER_KNOWN


cdef inline void fetch_texts(const ThreadState* s, const InputRange* rows, const SelectionVector* listed) noexcept nogil:
    """Take up the texts of the resources of a list; those without a dictionary are there already."""
    cdef Block* b = s.block
    cdef const int32_t* offsets = <const int32_t*>rows.resources.offsets
    cdef int64_t at
    cdef uint32_t j, i
    if rows.facts == NULL:
        return
    if rows.resources.kind == TEXT_32:
        for j in range(listed.n):
            prefetch(offsets + b.what[listed.rows[j]])
        for j in range(listed.n):
            i = listed.rows[j]
            at = offsets[b.what[i]]
            b.text[i] = Text(rows.resources.data + at, offsets[b.what[i] + 1] - at)  # INVARIANT: a null has FACTS_GENERAL_PATH: it is in no list
            prefetch(b.text[i].data)
            prefetch(b.text[i].data + 63)
    else:
        for j in range(listed.n):
            prefetch_value(rows.resources, b.what[listed.rows[j]])
        for j in range(listed.n):
            i = listed.rows[j]
            value_text(rows.resources, b.what[i], &b.text[i])
            prefetch(b.text[i].data)
            prefetch(b.text[i].data + 63)
    for j in range(listed.n):                            # a dictionary has more pages than a processor knows the places of
        i = listed.rows[j]
        read_ahead(b.text[i].data)
        read_ahead(b.text[i].data + b.text[i].size - 1)

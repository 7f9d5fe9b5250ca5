"""Term hashes of a resource, with which an index of a long run finds the patterns that may match it. Header only."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from libc.string cimport memset

from fastiam.kernel.base.arn cimport cut_arn
from fastiam.kernel.base.text cimport Text, breaks, first_bit, hash_bytes, load4, load8, mix, byte_positions
from fastiam.kernel.base.values cimport read_address
from fastiam.kernel.model.tables cimport *


cdef enum:
    AT_ONCE = 64               # hashes of a resource
    MAX_SIZES = 4              # of one kind of shape of a split
    MAX_TEXT_HASHES = AT_ONCE + 3 * MAX_SIZES + 1  # hashes: of its slashes, of three kinds, of all of it


cdef struct HashState:         # a resource, and what was hashed of it
    const char* arn
    int64_t size
    const uint16_t* colons     # the first five
    int64_t at                 # `before` is of so much of its field 6
    uint64_t before            # starts as the seed
    uint32_t have              # which of `fields` are there, as bits
    uint64_t fields[8]


cdef inline uint32_t shape_hash(uint64_t fields, uint64_t piece, const TermShape* shape) noexcept nogil:
    """Of a pattern. The lowest two bits are those of no text of a split, and of no empty slot."""
    cdef uint64_t h = fields ^ piece ^ (<uint64_t>shape.kind << 16) ^ shape.size
    return (<uint32_t>((h * <uint64_t>0x9E3779B97F4A7C15ULL) >> 32) & <uint32_t>0xFFFFFFFC) | 1


cdef inline uint32_t split_hash(uint32_t h, uint32_t key, uint8_t kind, const char* piece, int64_t size, uint64_t seed) noexcept nogil:
    """Of a text that a condition asks for, or how it begins or ends, among entries with the hash `h`."""
    return <uint32_t>hash_bytes(piece, size, seed ^ (<uint64_t>kind << 60) ^ (<uint64_t>key << 32) ^ h) | 3


cdef inline void mask_address(uint8_t* address, uint32_t n) noexcept nogil:
    """Leave `n` bits of an address, 128 at most."""
    if n & 7:
        address[n >> 3] &= <uint8_t>(0xFF << (8 - (n & 7)))
    memset(address + ((n + 7) >> 3), 0, 16 - ((n + 7) >> 3))


cdef inline uint64_t prefix_hash(const char* tail, int64_t size, int64_t* at, uint64_t* before) noexcept nogil:
    """Of the first `size` bytes of a field 6, before which eight bytes can be read. `before` is of all eights before `at`, which are
    hashed once for prefixes that come in the order of their sizes."""
    cdef uint64_t last = load8(tail + size - 8)
    if size <= 8:
        return last >> (64 - 8 * size) if size else 0
    while at[0] + 8 < size:
        before[0] = mix(before[0] ^ load8(tail + at[0]))
        at[0] += 8
    return before[0] ^ last


cdef inline uint32_t ngram_hash(const char* p, const TermShape* shape) noexcept nogil:
    """Of four or eight bytes; cheap, for it is asked at every place of a resource."""
    cdef uint64_t h = (load8(p) if shape.size == 8 else load4(p)) ^ (<uint64_t>(shape.kind + shape.size) << 32)
    return (<uint32_t>((h * <uint64_t>0x9E3779B97F4A7C15ULL) >> 32) & <uint32_t>0xFFFFFFFC) | 1


cdef inline int spare_bits(int64_t n) noexcept nogil:
    """How many bits of eight bytes do not count where `n` of them do, at least one."""
    return <int>(64 - 8 * min(n, <int64_t>8)) & 63


cdef inline uint32_t word_hash(const char* p, int64_t n) noexcept nogil:
    """Of a word of field 6, before which eight bytes can be read: of its first eight, its last eight, and how many it has."""
    cdef const char* last = p + n - 8
    cdef uint64_t h = (load8(min(p, last)) >> spare_bits(n)) * <uint64_t>0xC2B2AE3D27D4EB4FULL
    h ^= (load8(last) >> spare_bits(n)) ^ <uint64_t>n << 56
    return (<uint32_t>((h * <uint64_t>0x9E3779B97F4A7C15ULL) >> 32) & <uint32_t>0xFFFFFFFC) | 1


cdef inline uint64_t field_end(const char* arn, int64_t start, int64_t end) noexcept nogil:
    """The last eight bytes of some, or all, and how many these are; `arn` has eight."""
    cdef uint64_t last = load8(arn + end - 8) if end >= 8 else load8(arn) << (64 - 8 * end)
    return (last >> spare_bits(end - start)) ^ <uint64_t>(end - start) << 56


cdef inline uint64_t fields_hash(const char* arn, const uint16_t* colons, uint8_t fields) noexcept nogil:
    """Of some of the fields 2 to 5 of an ARN or a pattern, by how they end."""
    cdef uint64_t h = fields
    if fields & TERM_SERVICE:
        h ^= mix(field_end(arn, 0, colons[2]))
    if fields & TERM_REGION:
        h ^= mix(field_end(arn, colons[2], colons[3]) + 1)
    if fields & TERM_ACCOUNT:
        h ^= mix(field_end(arn, colons[3], colons[4]) + 2)
    return h


# -- of a resource: those under which an index has something, as far as its filter shows; without a branch on the result --------

cdef inline void init_hash_state(HashState* h, const TablesC* t, const char* arn, int64_t size, const uint16_t* colons) noexcept nogil:
    h.arn, h.size, h.colons = arn, size, colons
    h.at, h.before, h.have = 0, t.seed, 0


cdef inline bint may_contain(const uint64_t* filter, uint8_t shift, uint32_t h) noexcept nogil:
    """Whether some entries may be under a hash; most hashes of requests end here."""
    return (filter[h >> shift >> 6] >> (h >> shift & 63)) & 1


cdef inline uint32_t path_hashes(
    const uint64_t* filter, uint8_t shift, const TermShape* shape, HashState* h, uint64_t fields, uint64_t seed, uint32_t* out
) noexcept nogil:
    """Of the text before each slash among the first 64 bytes of field 6; how many there are."""
    cdef const char* tail = h.arn + h.colons[4] + 1
    cdef uint64_t slashes = byte_positions(tail, h.arn + h.size - tail, 47), before = seed
    cdef int64_t at = 0                                  # the hashes of longer prefixes are independent of these
    cdef uint32_t n = 0
    while slashes:
        out[n] = shape_hash(fields, prefix_hash(tail, first_bit(slashes) + 1, &at, &before), shape)
        n += may_contain(filter, shift, out[n])
        slashes &= slashes - 1
    return n


cdef inline uint32_t literal_hashes(const TablesC* t, const Index* index, TermShape shape, HashState* h, uint32_t* out) noexcept nogil:
    """Of pieces at known places of field 6: AT_ONCE at most; how many there are. Shapes come in their order."""
    cdef const uint64_t* filter = &t.index_filters[index.first_filter]
    cdef const char* tail = h.arn + h.colons[4] + 1
    cdef int64_t size = h.arn + h.size - tail
    cdef uint64_t piece
    if shape.size > size:
        return 0
    if not h.have & (1 << shape.fields):
        h.have |= 1 << shape.fields
        h.fields[shape.fields] = fields_hash(h.arn, h.colons, shape.fields)
    if shape.kind == TERM_PATH_PREFIX:
        return path_hashes(filter, index.filter_shift, &shape, h, h.fields[shape.fields], t.seed, out)
    if shape.kind == TERM_PREFIX:
        piece = prefix_hash(tail, shape.size, &h.at, &h.before)
    elif shape.kind == TERM_EXACT:
        piece = hash_bytes(tail, size, t.seed)
    else:
        piece = hash_bytes(tail + size - shape.size, shape.size, t.seed)
    out[0] = shape_hash(h.fields[shape.fields], piece, &shape)
    return may_contain(filter, index.filter_shift, out[0])


cdef inline uint32_t ngram_hashes(const TablesC* t, const Index* index, TermShape shape, const char* p, int64_t n, uint32_t* out) noexcept nogil:
    """Of the bytes at `n` places, AT_ONCE at most; how many there are."""
    cdef const uint64_t* filter = &t.index_filters[index.first_filter]
    cdef uint8_t shift = index.filter_shift
    cdef int64_t i
    cdef uint32_t found = 0
    for i in range(n):
        out[found] = ngram_hash(p + i, &shape)
        found += may_contain(filter, shift, out[found])
    return found


cdef inline uint32_t word_hashes(const TablesC* t, const Index* index, const char* p, int64_t size, int64_t* at, uint32_t* out) noexcept nogil:
    """Of words from one on that starts at a place, which is moved on; how many there are: AT_ONCE at most."""
    cdef const uint64_t* filter = &t.index_filters[index.first_filter]
    cdef uint8_t shift = index.filter_shift
    cdef int64_t left = size - at[0], start = 0, end
    cdef uint64_t bits = breaks(p + at[0], left)
    cdef uint32_t n = 0
    if left < AT_ONCE:
        bits |= <uint64_t>1 << left                      # the end of all
    elif bits == 0:                                      # longer than what is hashed
        end = AT_ONCE
        while end < left and not breaks(p + at[0] + end, 1):
            end += 1
        out[0] = word_hash(p + at[0], end)
        at[0] += end + 1
        return may_contain(filter, shift, out[0])
    while bits:
        end = first_bit(bits)
        out[n] = word_hash(p + at[0] + start, end - start)   # of no word nothing counts
        n += (end > start) & may_contain(filter, shift, out[n])
        start = end + 1
        bits &= bits - 1
    at[0] += start
    return n


# -- of a text that a request has of a key ---------------------------------------------------------------------------------------

cdef inline uint32_t slash_hashes(
    const uint64_t* filter, uint8_t shift, uint32_t h, uint32_t key, const Text* text, uint64_t seed, uint32_t* out
) noexcept nogil:
    """Of the text before each slash among the first 64 bytes; how many there are."""
    cdef uint64_t slashes = byte_positions(text.data, text.size, 47)
    cdef uint32_t n = 0
    while slashes:
        out[n] = split_hash(h, key, TERM_PATH_PREFIX, text.data, first_bit(slashes) + 1, seed)
        n += may_contain(filter, shift, out[n])
        slashes &= slashes - 1
    return n


cdef inline uint32_t text_hashes(const TablesC* t, const Index* index, const PostingSlot* slot, const Text* text, uint32_t* out) noexcept nogil:
    """Of a text that a request has of the key of a split: MAX_TEXT_HASHES at most; how many there are. NONE: it is not an address, or not an ARN,
    for which conditions are `U`."""
    cdef const uint64_t* filter = &t.index_filters[index.first_filter]
    cdef const ConditionSplit* split = &t.index_splits[slot.split]
    cdef const TermShape* shapes = &t.shapes[split.first_shape]
    cdef uint8_t address[16]
    cdef const char* piece
    cdef int64_t size
    cdef uint32_t i, n = 0
    cdef bint is_read = False
    cdef uint16_t colons[5]
    if split.of_arns and not cut_arn(<const uint8_t*>text.data, text.size, colons):
        return NONE
    for i in range(split.n_shapes):
        piece, size = text.data, shapes[i].size
        if shapes[i].kind == TERM_NETWORK:               # INVARIANT: the longest one comes first
            if not is_read and not read_address(<const uint8_t*>text.data, text.size, address):
                return NONE
            is_read = True
            mask_address(address, shapes[i].size)
            piece, size = <const char*>address, 16
        elif shapes[i].kind == TERM_PATH_PREFIX:
            n += slash_hashes(filter, index.filter_shift, slot.hash, split.key, text, t.seed, out + n)
            continue
        elif shapes[i].kind == TERM_EXACT:
            size = text.size
        elif size > text.size:
            continue
        elif shapes[i].kind == TERM_SUFFIX:
            piece += text.size - size
        out[n] = split_hash(slot.hash, split.key, shapes[i].kind, piece, size, t.seed)
        n += may_contain(filter, index.filter_shift, out[n])
    return n


# -- the posting lists ------------------------------------------------------------------------------------------------------

cdef inline const PostingSlot* slot_of(const TablesC* t, const Index* index, uint32_t h) noexcept nogil:
    """The posting list of a hash, or NULL."""
    cdef const PostingSlot* slots = &t.index_slots[index.first_slot]
    cdef uint32_t at = h >> index.slot_shift
    while slots[at].hash != 0:
        if slots[at].hash == h:
            return &slots[at]
        at = (at + 1) & index.mask
    return NULL


cdef inline const uint32_t* listed_in(const TablesC* t, const PostingSlot* slot) noexcept nogil:
    return &slot.first if slot.n == 1 else &t.index_lists[slot.first]

"""Group filters: which match ops of a program are tested together by their fingerprints (`kernel.eval.group_filter`)."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memchr, memcmp, memcpy, memmove, memset

from fastiam.kernel.base.invariants cimport narrow16, narrow32, narrow8
from fastiam.kernel.eval.group_filter cimport FINGERPRINT_BYTES, MAX_GROUP, field_fingerprint, has_literals
from fastiam.kernel.model.tables cimport *
from fastiam.kernel.plan.patterns cimport MAX_COLON


cdef enum:
    MIN_GROUP = 3              # ops of a group: a filter costs a probe
    MIN_FIELD = 3              # bytes of the sixth field that are worth a look


cdef inline uint8_t spare_of(uint32_t least):
    """How many bits of eight bytes do not count in a mark that is made of so many bytes."""
    return narrow8(64 - 8 * min(least, <uint32_t>FINGERPRINT_BYTES))


cdef inline bint are_of_service(const uint8_t* pool, const MatchOp* one, const MatchOp* other):
    """Whether two patterns are about one service: an action is mostly for resources of one, which no filter passes over for another."""
    cdef const uint8_t* p = pool + one.text
    cdef const uint8_t* end = p
    cdef int _
    for _ in range(3):                                   # INVARIANT: five colons (`sixth_field`)
        end = <const uint8_t*>memchr(end, 58, one.size) + 1
    return other.size >= end - p and memcmp(p, pool + other.text, <size_t>(end - p)) == 0


cdef uint32_t group_ops(Planner self, MatchOp* match_ops, uint32_t first, uint32_t n) except? 0xFFFFFFFE:
    """Insert an op that selects which may match before some that follow one another, from `first` on; how many all are then.

    INVARIANT: there is room for them, one for each three.
    """
    cdef uint32_t least, end, field, other
    while first < n:
        least, end = MAX_COLON, first
        while end < n and end - first < MAX_GROUP:
            field = field_bytes(self, &match_ops[end])
            if field < MIN_FIELD or not are_of_service(<const uint8_t*>self.pool.data, match_ops + first, match_ops + end):
                break
            if end - first >= MIN_GROUP and weakens_fingerprint(self, match_ops + first, end - first, least, field):
                break
            least = min(least, field)
            end += 1
        if end - first < MIN_GROUP:
            first = max(end, first + 1)
            continue
        other = distinguishing_bytes(self, match_ops + first, end - first, least)
        memmove(&match_ops[first + 1], &match_ops[first], (n - first) * sizeof(MatchOp))
        write_group(self, &match_ops[first], end - first, least, other)
        first = end + 1
        n += 1
    return n


cdef uint32_t n_equal_fingerprints(Planner self, const MatchOp* match_ops, uint32_t n, uint32_t least, uint32_t other):
    """How many of some ops have the same fingerprint, at most; its parts end after so many bytes of the sixth field."""
    cdef uint16_t marks[MAX_GROUP]
    cdef uint32_t i, j, n_equal, most = 0
    for i in range(n):
        marks[i] = fingerprint_of(self, match_ops + i, least, other)
    for i in range(n):
        n_equal = 0
        for j in range(n):
            n_equal += marks[i] == marks[j]
        most = max(most, n_equal)
    return most


cdef bint weakens_fingerprint(Planner self, const MatchOp* match_ops, uint32_t n, uint32_t least, uint32_t field):
    """Whether fingerprints of so few bytes as one more op has distinguish those of a group less well."""
    return field < least and (
        n_equal_fingerprints(self, match_ops, n, field, field) > n_equal_fingerprints(self, match_ops, n, least, least)
    )


cdef uint32_t distinguishing_bytes(Planner self, const MatchOp* match_ops, uint32_t n, uint32_t least):
    """After how many bytes of the sixth field, at most `least`, the other part of the fingerprints of some ops ends that distinguishes them
    best."""
    cdef uint32_t size, n_equal, best = least, fewest = n_equal_fingerprints(self, match_ops, n, least, least)
    for size in range(least - 1, MIN_FIELD - 1, -1):
        if fewest == 1:
            break
        if differ_before(self, match_ops, n, size):  # else what ends a byte earlier distinguishes them as well
            n_equal = n_equal_fingerprints(self, match_ops, n, least, size)
            if n_equal < fewest:
                best, fewest = size, n_equal
    return best


cdef bint differ_before(Planner self, const MatchOp* match_ops, uint32_t n, uint32_t size):
    """Whether the last of so many bytes of the sixth field differs between some ops."""
    cdef uint8_t first = sixth_field(self, match_ops)[size - 1]
    cdef uint32_t i
    for i in range(1, n):
        if sixth_field(self, match_ops + i)[size - 1] != first:
            return True
    return False


cdef uint16_t fingerprint_of(Planner self, const MatchOp* f, uint32_t least, uint32_t other):
    """The fingerprint of an op."""
    cdef const char* field = <const char*>sixth_field(self, f)
    return field_fingerprint(field + least, spare_of(least), field + other, spare_of(other))


cdef const uint8_t* sixth_field(Planner self, const MatchOp* f):
    """The position of the sixth field of its pattern, as if every colon separated fields: so it is in a resource."""
    cdef const uint8_t* p = <const uint8_t*>self.pool.data + f.text
    cdef int _
    for _ in range(5):                               # INVARIANT: five colons, and no slot before the fifth (`kernel.saved.verify`)
        p = <const uint8_t*>memchr(p, 58, f.size) + 1
    return p


cdef uint32_t field_bytes(Planner self, const MatchOp* f):
    """How many literal bytes the sixth field of a pattern starts with; 0 where it must not be grouped."""
    cdef const uint8_t* end = <const uint8_t*>self.pool.data + f.text + f.size
    cdef const uint8_t* field
    cdef const uint8_t* p
    if not has_literals(f) or f.flags & MATCHOP_HAS_PRINCIPAL:
        return 0
    p = field = sixth_field(self, f)
    while p < end and p[0] < TOKEN_VARIABLE:
        p += 1
    return narrow32(p - field)


cdef int write_group(Planner self, MatchOp* group, uint32_t n, uint32_t least, uint32_t other) except -1:
    """Make the first op, which occurs twice, that of a group."""
    cdef uint32_t i, at = self.pool.n
    cdef uint16_t marks[MAX_GROUP]
    memset(marks, 0, sizeof(marks))
    group.suffix_size = spare_of(least)
    group.mid_offset, group.mid_size = narrow16(other), spare_of(other)
    for i in range(1, n + 1):
        marks[i - 1] = fingerprint_of(self, group + i, least, other)
        group.flags |= group[i].flags & MATCHOP_MAY_CROSS
    memcpy(self._push(&self.pool, sizeof(marks)), marks, sizeof(marks))
    group.flags &= ~<uint8_t>MATCHOP_ENDS_ONLY
    group.first, group.prefix_size, group.min_size, group.text, group.size = STEP_GROUP_FILTER, narrow8(n), narrow16(least), at, 0
    return 0

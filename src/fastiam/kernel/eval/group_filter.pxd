"""Group filters: a fingerprint test that skips several match ops at once. Header only.

A group op precedes its match ops in a program. `text` is the position of their fingerprints in the pool, `prefix_size` their number. `min_size` is
the number of literal bytes at the start of the sixth field of all their patterns. A fingerprint is a hash of the last eight of these bytes, without
the lowest `suffix_size` bits, and of the eight that end after `mid_offset` bytes, without the lowest `mid_size` bits: patterns whose last bytes are
the same differ there.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastiam.kernel.base.text cimport first_bit, load8, mix, sixteen_shorts
from fastiam.kernel.model.match_ops cimport MATCHOP_MAY_CROSS, MatchOp, STEP_ENDS, STEP_ENDS_AND_INNER, STEP_LITERALS


cdef enum:
    MAX_GROUP = 16             # ops of a group
    FINGERPRINT_BYTES = 8      # of each of the two parts that a fingerprint is made of


cdef inline bint has_literals(const MatchOp* f) noexcept nogil:
    return f.first == STEP_LITERALS or f.first == STEP_ENDS or f.first == STEP_ENDS_AND_INNER


cdef inline uint16_t field_fingerprint(const char* end, uint8_t spare, const char* other_end, uint8_t other_spare) noexcept nogil:
    """A number for the eight bytes before each of two places, without so many bits."""
    return <uint16_t>mix((load8(end - FINGERPRINT_BYTES) >> spare) + 31 * (load8(other_end - FINGERPRINT_BYTES) >> other_spare))


cdef inline uint32_t group_skip(
    const MatchOp* group, const uint8_t* pool, const char* text, int64_t size, int64_t colon, bint has_colon
) noexcept nogil:
    """How many ops of a group cannot match before the first one that may, given the position of the fifth colon of a resource, and whether
    there are more.

    The part of their patterns in the sixth field is compared, which excludes no match across colons.
    """
    cdef int64_t field = colon + 1, end = field + group.min_size
    cdef uint64_t may = 1 if has_colon and group.flags & MATCHOP_MAY_CROSS else 0
    if FINGERPRINT_BYTES <= field + group.mid_offset and end <= size:
        may |= sixteen_shorts(
            pool + group.text, field_fingerprint(text + end, group.suffix_size, text + field + group.mid_offset, group.mid_size)
        )
    return <uint32_t>first_bit(may | <uint64_t>1 << group.prefix_size)

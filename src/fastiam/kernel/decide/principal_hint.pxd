"""Principal hints: skip the allows of a resource policy whose principals cannot include the requesting principal. Header only.

A match op has a hint (`Whom`) and an account; the state of the principal has its account and a fingerprint of its name.
"""
from libc.stdint cimport uint32_t, uint64_t

from fastiam.kernel.model.call cimport MARK_AT, Caller
from fastiam.kernel.model.tables cimport *


cdef enum:
    MOST_OPEN = 64             # flats that are told apart


cdef extern from *:
    """
    #define OTHERS(k) ~(1u | 1u << (k))
    #define OTHERS_4(k) OTHERS(k), OTHERS((k) + 1), OTHERS((k) + 2), OTHERS((k) + 3)
    static const uint32_t fastiam_other_marks[32] = {
        0, OTHERS(1), OTHERS(2), OTHERS(3), OTHERS_4(4), OTHERS_4(8), OTHERS_4(12), OTHERS_4(16), OTHERS_4(20), OTHERS_4(24), OTHERS_4(28)};
    """
    const uint32_t* OTHER_MARKS "fastiam_other_marks"    # by a WHOM_MARK, a bit for each that who has it surely does not go by


cdef inline uint32_t is_idle(const Caller* caller, const Flat* f, uint32_t here) noexcept nogil:
    """Whether an allow surely changes nothing for who asks: it is about others, or, where they are `here`, about their account alone. Without
    a branch."""
    cdef uint32_t whom = f.sieve, account = <uint32_t>caller.place, others = OTHER_MARKS[caller.way >> MARK_AT]
    cdef uint32_t other = f.atom != account
    other ^= (other ^ ((f.atom & account_bit(account)) == 0)) & (whom >> WHOM_SEVERAL_AT)
    return (whom >> WHOM_TOLD_AT & 1) & (other | (others >> (whom & WHOM_MARK)) | (here & whom >> WHOM_ACCOUNT_AT))


cdef inline uint32_t is_about_others(const Caller* caller, const Flat* f) noexcept nogil:
    """Whether a flat is surely about others: all that its principal element names is of another account, or, of an allow, one of the same that
    goes by another name."""
    if f.flags & FLAT_DENIES:
        return ((f.flags & FLAT_PRINCIPALS) != 0) & (f.atom != 0) & (f.atom != <uint32_t>caller.place)
    return is_idle(caller, f, 0)


cdef inline uint64_t open_allows(const Caller* caller, const TablesC* t, const Row* row, uint32_t here) noexcept nogil:
    """The allows of a row that may change something for the principal, as bits; all bits where there are more than those."""
    cdef const Flat* f = t.flats + row.flat + row.denies
    cdef uint64_t allows = 0
    cdef uint32_t k, n = row.n_flats - row.denies
    if n > MOST_OPEN:
        return ~<uint64_t>0
    for k in range(n):
        allows |= <uint64_t>(is_idle(caller, f + k, here) ^ 1) << k
    return allows

"""Match programs: the patterns of a plan as fixed-size match ops, and the hints and filters that skip them. Header only."""
from libc.stdint cimport int8_t, uint8_t, uint16_t, uint32_t


cdef enum Sieve:               # conditions of denies as bits: those of a row deny nothing where none of its bits may hold
    SIEVE_BITS = 63
    OWN_SIEVE_BITS = 40        # so many at most are for other layers than SCPs and RCPs
    SIEVE_NONE = 63            # of a deny of which nothing can be told ahead: this bit may always hold
    SIEVE_ANY = 0x8000000000000000  # that bit: of a row that has such denies


cdef enum FlatFlag:
    FLAT_DENIES = 1
    FLAT_CROSSES = 2           # where `U` counts, and the resource has more than five colons, the crossing reading may match (R5)
    FLAT_PRINCIPALS = 4        # it says whom it is about
    FLAT_ENDS = 8              # its pieces are but the ends of the pattern: where they stand, the statement has to be looked at as a whole
    FLAT_LAYER_SHIFT = 4       # the layer, in the upper half
    NO_COLON = 5               # the middle follows the head


cdef enum:                     # where a row stands with its flats (`kernel.decide.block_driver`)
    TURN_NEXT = 0              # look at this one, which has literal pieces; the one before did not apply
    TURN_OVER = 1              # none applies
    TURN_DONE = 2              # this one applies
    TURN_ASKS = 3              # if its conditions hold
    TURN_INNER = 4             # if a piece stands in between, too
    TURN_MORE = 5              # if the conditions after the first one hold
    TURN_WHOM = 6              # if it is about who asks, and its conditions hold
    TURN_ODD = 7               # its statement has to be looked at as a whole
    TURN_HEAD = 8              # TURN_NEXT, of a pattern without a middle, and with short ends
    TURN_HEAD_INNER = 9        # that, with the piece in between
    TURN_WHOSE = 10            # if a variable behind its head stands for what the resource has there, and the rest matches
    TURN_GROUP = 11            # no statement: which of the flats that follow may match, by some bytes of the resource's sixth field
    TURN_INDEX = 12            # no statement, but all of a long run: which of them may match is told by its index
    TURN_RUN = 13              # that, where too much is to be looked at, and one by one is as good
    N_TURNS = 14
    TURN_BITS = 4
    TURN_MASK = 15


cdef struct Flat:              # one resource pattern of a statement in half a cache line; or a group filter, or a run
    uint32_t entry             # of TURN_INDEX: the run
    uint32_t conditions        # ONE | atom, or a list; NONE: no condition. Of TURN_INDEX: its index
    uint32_t atom              # the first of these; with FLAT_PRINCIPALS, the account that it is about, or bits of several: `is_idle`. Of TURN_INDEX:
    # the flat of the first item of the index, each of which has one
    uint32_t text              # from here: of the pattern, where there are pieces (`has_pieces`)
    uint16_t size
    uint16_t least             # so many bytes a resource has that matches
    uint16_t mid_at            # where the middle starts; where the head ends, if there is none
    uint8_t head
    uint8_t mid
    uint8_t suffix
    uint8_t inner              # of the first piece with a star before it, as far as `kernel.eval.literals` compares
    uint8_t colon
    uint8_t sieve              # of a deny: the bit of `sieve_blocks` for its conditions; of an allow: `Whom`
    int8_t rest                # what follows the pieces, as `Rest`; below 0: nothing may
    uint8_t turn               # what comes where its pieces at known places stand; upper half: where the one in between does, too
    uint8_t first              # the first turn: a look at its pieces, or what comes at once for want of them
    uint8_t flags


cdef enum Whom:                # an allow is about
    WHOM_MARK = 31             # a number for the only role or user of the account that is named; 0: several are
    WHOM_ACCOUNT_AT = 5        # this bit: accounts alone are, which by itself lets nobody of them do anything with what is their account's (6.4)
    WHOM_TOLD_AT = 6           # this bit: `atom` says which account; else whom it is about is not told
    WHOM_SEVERAL_AT = 7        # this bit: which ones, by their bits (`account_bit`)


cdef enum Open:                # of a pattern of TURN_WHOSE
    OPEN_REGION = 1            # any region
    OPEN_ACCOUNT = 2           # any account
    OPEN_MASK = 3
    OPEN_MORE = 4              # it has more variables than the first
    OPEN_BITS = 3


cdef inline uint32_t principal_fingerprint(uint32_t word) noexcept nogil:
    """A number of five bits, not 0, for the name of a role or user."""
    cdef uint32_t mark = (word * <uint32_t>0x9E3779B1) >> 27
    return mark | (mark == 0)


cdef inline uint32_t account_bit(uint32_t number) noexcept nogil:
    """A bit for an account, by the lower half of its number: an allow that names several accounts has the bits of all of them."""
    return <uint32_t>1 << ((number * <uint32_t>0x9E3779B1) >> 27)

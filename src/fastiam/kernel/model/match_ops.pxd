"""Match programs: the patterns of a plan as fixed-size match ops, and the hints and filters that skip them. Header only."""
from libc.stdint cimport int8_t, uint8_t, uint16_t, uint32_t


cdef enum DenyFilter:          # conditions of denies as bits: those of a row deny nothing where none of its bits may hold
    FILTER_BITS = 63
    NON_ORG_FILTER_BITS = 40   # so many at most are for other layers than SCPs and RCPs
    FILTER_BIT_ALWAYS = 63     # of a deny with a condition that cannot be known ahead: this bit may always be set
    FILTER_ALWAYS = 0x8000000000000000  # that bit: of a row that has such denies


cdef enum MatchOpFlag:
    MATCHOP_DENY = 1
    MATCHOP_MAY_CROSS = 2      # where `U` counts, and the resource has more than five colons, the crossing reading may match (R5)
    MATCHOP_HAS_PRINCIPAL = 4  # it has a principal element
    MATCHOP_ENDS_ONLY = 8      # its literals are only the ends of the pattern: where they match, the statement has to be evaluated in full
    MATCHOP_LAYER_SHIFT = 4    # the layer, in the upper half


cdef enum:
    NO_COLON = 5               # in `MatchOp.colon`: the middle follows the prefix


cdef enum:                     # the next step of a row with its ops (`kernel.decide.block_driver`)
    STEP_LITERALS = 0          # match this one, which has literals; the one before did not apply
    STEP_NO_MATCH = 1          # none applies
    STEP_MATCHED = 2           # this one applies
    STEP_CONDITION = 3         # if its conditions hold
    STEP_INNER_LITERAL = 4     # if an inner literal occurs, too
    STEP_NEXT_CONDITION = 5    # if the conditions after the first one hold
    STEP_PRINCIPAL = 6         # if it is about the principal, and its conditions hold
    STEP_FULL_EVAL = 7         # its statement has to be evaluated in full
    STEP_ENDS = 8              # STEP_LITERALS, of a pattern without a middle, and with short ends
    STEP_ENDS_AND_INNER = 9    # that, with the piece in between
    STEP_VARIABLE = 10         # if a variable behind its head stands for what the resource has there, and the rest matches
    STEP_GROUP_FILTER = 11     # no statement: which of the ops that follow may match, by some bytes of the resource's sixth field
    STEP_INDEX_PROBE = 12      # no statement, but all of a long run: its index finds which of them may match
    STEP_SCAN_RUN = 13         # that, where too many would be found, and one by one is as good
    N_STEPS = 14
    STEP_BITS = 4
    STEP_MASK = 15


cdef union MatchOpOperand:     # what a match op refers to
    uint32_t atom              # without MATCHOP_HAS_PRINCIPAL: the first of its conditions
    uint32_t account           # with it: the lower half of the number of the account that it is about; 0: not known (`PrincipalHint`)
    uint32_t account_bits      # with HINT_SEVERAL_SHIFT: the bits of several (`account_bit`)
    uint32_t first_item        # of STEP_INDEX_PROBE: the op of the first item of the index, each of which has one


cdef union SkipTest:           # what may show that a match op need not be evaluated
    uint8_t filter_bit         # of a deny: the bit of `filter_conditions` for its conditions
    uint8_t hint               # of an allow: `PrincipalHint`


cdef struct MatchOp:           # one resource pattern of a statement in half a cache line; or a group filter, or a run
    uint32_t entry             # of STEP_INDEX_PROBE: the run
    uint32_t conditions        # ONE | atom, or a list; NONE: no condition. Of STEP_INDEX_PROBE: its index
    MatchOpOperand operand
    uint32_t text              # from here: of the pattern, where there are pieces (`has_literals`)
    uint16_t size
    uint16_t min_size          # so many bytes a resource has that matches
    uint16_t mid_offset        # where the middle starts; where the head ends, if there is none
    uint8_t prefix_size
    uint8_t mid_size
    uint8_t suffix_size
    uint8_t inner_size         # of the first piece with a star before it, as far as `kernel.eval.literals` compares
    uint8_t colon
    SkipTest skip
    int8_t tail                # what follows the pieces, as `TailKind`; below 0: nothing may
    uint8_t on_match           # the step after its anchored literals match; upper half: after the inner one does, too
    uint8_t first              # the first step: the match of its literals, or what comes first because there are none
    uint8_t flags


cdef enum PrincipalHint:       # an allow is about
    HINT_FINGERPRINT = 31      # a number for the only role or user of the account that is named; 0: several are
    HINT_ACCOUNT_SHIFT = 5     # this bit: only accounts are, which by itself allows their principals nothing on what is their account's (6.4)
    HINT_KNOWN_SHIFT = 6       # this bit: the operand gives the account; else the principals are not known
    HINT_SEVERAL_SHIFT = 7     # this bit: which ones, by their bits (`account_bit`)


cdef enum WildcardFields:      # of a pattern of STEP_VARIABLE
    WILD_REGION = 1            # any region
    WILD_ACCOUNT = 2           # any account
    WILD_MASK = 3
    MORE_VARIABLES = 4         # it has more variables than the first
    WILD_BITS = 3


cdef inline uint32_t principal_fingerprint(uint32_t symbol) noexcept nogil:
    """A number of five bits, not 0, for the name of a role or user."""
    cdef uint32_t mark = (symbol * <uint32_t>0x9E3779B1) >> 27
    return mark | (mark == 0)


cdef inline uint32_t account_bit(uint32_t number) noexcept nogil:
    """A bit for an account, by the lower half of its number: an allow that names several accounts has the bits of all of them."""
    return <uint32_t>1 << ((number * <uint32_t>0x9E3779B1) >> 27)

"""Condition atoms, their operators and values, and three-valued truth. Header only."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t


cdef enum Relation:            # of numbers and dates: context ? policy
    REL_EQ = 0
    REL_LT = 1
    REL_LE = 2
    REL_GT = 3
    REL_GE = 4


cdef enum Qualifier:
    PLAIN = 0
    FOR_ALL = 1
    FOR_ANY = 2


cdef enum AtomFlag:
    ATOM_NEGATED = 1
    ATOM_IF_EXISTS = 2
    ATOM_U = 4                 # `U` whatever the request
    ATOM_FIXED = 8             # no value has a variable: the value of the key says it all
    ATOM_ORDERED = 16          # values ascend, for halving, and one that is U comes last: texts by size, then bytes, folded where the operator
    # folds; numbers, dates; base64 by the size of what it stands for, then by its bytes; networks, which are disjoint, by their first address


cdef enum Truth:               # chosen so that `1 << truth` is a mask
    F = 0
    T = 1
    U = 2
    RESIDUAL = 3               # rests on an unknown key (D72)


cdef enum:
    STRICT = 0b010             # mask of truths that count: T
    BROAD = 0b110              # T and U
    ACCEPT_U = 0b0100
    ACCEPT_RESIDUAL = 0b1000   # residual tests help the statement to apply: optimistic for an Allow, pessimistic for a Deny (D73)


cdef struct Value:             # one policy value of an atom, parsed for its operator
    uint32_t text
    uint32_t size
    int64_t number             # seconds (date), 0 or 1 (bool), prefix length (IP)
    int32_t nanos
    uint8_t is_u               # cannot be parsed: compares `U`
    uint8_t has_variables
    uint8_t unresolved         # malformed variable: equals nothing
    uint8_t address[16]        # IP, IPv4 as ::ffff:a.b.c.d


cdef struct Atom:
    uint32_t key
    uint32_t first             # values
    uint32_t n
    uint8_t op
    uint8_t relation
    uint8_t qualifier
    uint8_t flags

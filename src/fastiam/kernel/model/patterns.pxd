"""Resource patterns. Header only.

In the text of a pattern, bytes that never occur in UTF-8 represent tokens.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t


cdef enum:
    TOKEN_ONE = 0xFF           # `?`
    TOKEN_STAR = 0xFE          # `*`
    TOKEN_VARIABLE = 0xFD      # a variable: four more bytes, seven bits each, least first, give its index
    VARIABLE_TOKEN_SIZE = 5    # of that, in all


cdef enum PatternKind:
    PATTERN_ANY = 0            # matches every resource, `*` included
    PATTERN_LITERALS = 1       # literal bytes at known places; region and account may be `*`, field 6 anything
    PATTERN_FIELDS = 2         # other wildcards in fields 2 to 5: field by field
    PATTERN_CROSSING = 3       # whole string; a star that ends a field crosses colons (R5)
    PATTERN_VARIABLES = 4      # has variables: expanded first, then field by field
    PATTERN_CROSSING_VARIABLES = 5  # has variables: expanded first, then as PATTERN_CROSSING
    PATTERN_NEVER = 6          # matches nothing
    PATTERN_UNRESOLVED = 7     # a variable that never resolves (V29)


cdef enum TailKind:            # what follows the pieces of PATTERN_LITERALS
    TAIL_NONE = 0
    TAIL_ANY = 1
    TAIL_SUFFIX = 2            # anything, then the suffix
    TAIL_INNER = 3             # anything, `need - suffix` literal bytes, anything, then the suffix
    TAIL_GLOB = 4              # other wildcards, then the suffix
    TAIL_LITERALS = 5          # of an op: a glob of stars only


cdef enum PatternFlag:
    MATCH_IS_U = 1             # a match counts only where `U` does
    MATCH_IS_U_IN_IAM = 2      # the same, where the service of the request is iam (R9)
    CROSSES_SHORT = 4          # its crossing reading may match any resource, not only those with more than five colons


cdef struct Pattern:
    uint32_t text              # in the pool
    uint32_t crossing          # the pattern of the crossing reading (R5), NONE: it matches no more
    uint8_t kind
    uint8_t flags
    uint8_t colon              # of the resource, where `mid` starts
    uint8_t tail               # Rest
    uint16_t prefix_size       # PATTERN_LITERALS: literal bytes at the start
    uint16_t mid_size          # literal bytes from `colon` on, with which the last `*` before field 6 ends; 0: there is none
    uint16_t suffix_size       # literal bytes at the end
    uint16_t min_rest_size     # at least so many bytes follow head and mid
    uint16_t colons[5]         # the positions of the first five colons of the pattern (six-field kinds)
    uint16_t literal_fields    # bit i: field i + 2 has no token
    uint32_t size


cdef struct Variable:          # `${key, 'default'}`
    uint32_t key
    uint32_t default_text      # NONE: no default
    uint32_t default_size

"""Search for many patterns in one pass over a text."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastiam.kernel.model.call cimport Call
from fastiam.kernel.eval.key_values cimport KeyValues
from fastiam.kernel.model.conditions cimport Atom


cdef enum:
    ROOT = 0
    NO_PATTERN = 0xFFFFFFFF        # ends a list of patterns
    MIN_PATTERNS = 16         # policy values that may be worth a set


cdef struct Node:              # of the trie of all pieces
    uint32_t parent
    uint32_t depth
    uint32_t fail              # the node of the longest end of this one's text that has a node, too
    uint32_t out               # the same, of those that are pieces; ROOT: none
    uint32_t first             # patterns that begin with this piece
    uint32_t waiting           # patterns that wait for it in this text, as `stamp` says
    uint32_t seen              # the text in which `first` went on
    uint32_t stamp
    uint16_t symbol
    uint8_t is_piece


cdef struct Edge:
    uint64_t key               # node << 16 | symbol, plus 1; 0: empty
    uint32_t node


cdef struct Member:            # a pattern
    int64_t text               # in `texts`
    int64_t size
    int64_t since              # symbols of this text that its pieces before the next one have taken
    uint32_t first_piece
    uint32_t n_pieces
    uint32_t current           # of the piece that it waits for
    uint32_t next              # in a list of those that wait
    uint32_t next_first        # in a list of those that begin alike
    uint8_t has_ones           # `?` counts as `*`: the whole pattern is compared once its pieces are found


cdef struct Growing:
    char* data
    uint64_t n
    uint64_t room


cdef struct PatternSet:
    Growing nodes              # Node
    Growing pieces             # uint32_t, nodes
    Growing members            # Member
    Growing texts              # of the members
    Edge* edges
    uint64_t mask
    uint32_t stamp
    uint8_t of_arns
    uint8_t has_any            # a pattern that matches everything
    uint8_t has_broken         # one that is not an ARN
    uint8_t failed             # no memory: the set must not be asked


cdef int truth_of_many(Call* c, const Atom* atom, const KeyValues* found) noexcept nogil

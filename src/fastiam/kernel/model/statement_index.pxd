"""Inverted indexes of long statement runs. Header only."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastiam.kernel.model.ids cimport Range


cdef enum TermKind:            # what of field 6 is hashed
    TERM_EXACT = 0             # all of it
    TERM_PREFIX = 1
    TERM_PATH_PREFIX = 2       # a prefix that ends with one of the slashes among its first 64 bytes
    TERM_SUFFIX = 3
    TERM_WORD = 4              # letters and digits (`breaks`) between two bytes that are none, or an end
    TERM_NGRAM = 5             # four or eight bytes anywhere in it
    TERM_CROSSING = 6          # the same, of the crossing reading (R5)
    TERM_NETWORK = 7           # of the text of a split, which is an address: its first bits


cdef enum TermField:           # fields that are hashed beside it
    TERM_REGION = 1
    TERM_ACCOUNT = 2
    TERM_SERVICE = 4           # with the partition


cdef struct TermShape:         # patterns that are found by the same hash
    uint16_t size              # bytes of field 6 that are hashed; 0 where their number varies
    uint8_t kind
    uint8_t fields


cdef struct IndexItem:         # what an index finds: a statement of a run, on one of its patterns or as a whole
    uint32_t entry             # of the run
    uint32_t resources         # as in an `StatementEntry`


cdef struct DraftPattern:      # a pattern of an item, while an index is made
    uint32_t item
    uint32_t pattern
    uint8_t grams              # which part of `kernel/plan/index_terms.pyx` are its grams
    uint8_t has_good_term      # its best way is good
    Range terms
    uint64_t best              # 0: none
    uint32_t n_best            # how many patterns share it


cdef struct TermCount:
    uint64_t term
    uint32_t n                 # how many patterns it finds; 0: empty


cdef struct PostingSlot:       # items that are found under one hash
    uint32_t hash              # 0: empty
    uint32_t first             # the only one, or where they are listed in `index_lists`
    uint32_t n
    uint32_t split             # `index_splits`; NONE: none


cdef struct ConditionSplit:    # of the items under one hash: those that require texts of a key are under the hashes of these, too
    uint32_t key
    uint32_t others            # `index_lists`: the others
    uint32_t n_others
    uint32_t first_shape       # what of a text is hashed
    uint16_t n_shapes
    uint16_t of_arns           # a condition compares ARNs: of another text it says `U`


cdef struct Index:             # candidates of a long run: too many, never too few
    uint32_t first_item        # in the order of their statements
    uint32_t n_items
    uint32_t first_shape
    uint32_t n_shapes
    uint32_t first_slot
    uint32_t mask
    uint32_t first_filter      # `index_filters`: a bit for the highest bits of every hash that there is
    uint8_t slot_shift
    uint8_t filter_shift
    uint8_t has_fields         # some shape has
    uint8_t has_deny_filter    # denies, each of which has a bit of a deny filter
    PostingSlot always         # items that no hash finds
    uint32_t crossing          # those that may match a resource with more than five colons where `U` counts (R5)
    uint32_t n_crossing

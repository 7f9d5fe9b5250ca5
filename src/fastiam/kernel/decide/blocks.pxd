"""State of a block of rows. Header only."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from fastiam.kernel.base.text cimport Text
from fastiam.kernel.columns.column cimport Column
from fastiam.kernel.decide.scratch cimport Frame
from fastiam.kernel.model.call cimport PrincipalState, ContextColumn, HAS_ORG_LIMITS
from fastiam.kernel.model.tables cimport *


cdef enum:
    BLOCK_BITS = 9
    BLOCK = 1 << BLOCK_BITS
    LIST_BITS = 48             # a list of deciding keys: number of the thread, then where it starts


cdef struct InputRange:        # the chunks that hold a range of rows
    const Column* principals
    const Column* actions
    const Column* resources
    const Column* owners
    int64_t principal_first
    int64_t action_first
    int64_t resource_first
    int64_t owner_first
    const uint32_t* principal_codes   # numbers of dictionary values, or NULL
    const uint32_t* action_codes
    const uint64_t* facts      # of dictionary values, or NULL
    const uint32_t* records    # and their records, with IS_PARENT_RECORD


cdef struct OutputColumns:     # where the answers go, a place a row; those of reasons only where they are asked for
    uint8_t* outcome
    uint8_t* assumed
    uint8_t* layer
    uint8_t* reason
    uint32_t* entry            # `entries` of the reported statements
    int64_t* deciding_list


cdef struct SelectionVector:   # rows of a block that go the same way
    uint16_t rows[BLOCK]
    uint32_t n


cdef enum:                     # the plans that may count for a request, in the order in which their denies are evaluated (D50)
    RCP_PLAN = 0
    SCP_PLAN = 1
    RESOURCE_PLAN = 2          # of the resource's policies
    PRINCIPAL_PLAN = 3         # of the principal's own layers
    N_LAYER_PLANS = 4
    LEVEL_ALLOWS = 4           # the stages after these denies, in their order: first the levels of SCPs (`levels_left`)
    RESOURCE_ALLOW_STAGE = 7
    PRINCIPAL_ALLOW_STAGE = 8
    BOUNDARY_STAGE = 9
    SESSION_STAGE = 10
    LEVEL_STAGES = 7 << LEVEL_ALLOWS
    LIMIT_STAGES = 1 << BOUNDARY_STAGE | 1 << SESSION_STAGE
    IS_CROSS_ACCOUNT = 1 << 11  # in `pending_stages`: another account owns the resource; no grant of its policies is enough
    STAGES = IS_CROSS_ACCOUNT - 1
    HAS_TAGS = 1 << 12         # what is stored about the resource has constants of its own
    RESOURCE_MUST_ALLOW = 1 << 13  # the resource's policies have to allow, as those of another account have to
    NEEDS_MORE_STAGES = LEVEL_STAGES | LIMIT_STAGES | IS_CROSS_ACCOUNT | RESOURCE_MUST_ALLOW  # an allow may not be all that a row needs


cdef enum:
    MAX_PENDING = 10           # ops, or ranges of them, that a row keeps for later


cdef struct StepQueue:         # (row, op) pairs of a block that wait for the same step
    uint64_t items[BLOCK]      # op << 32 | row; of STEP_CONDITION, the index of the condition above the row
    uint64_t padding[8]        # queues whose ends are a whole page apart would share a cache set


cdef struct Block:
    uint32_t principal_id[BLOCK]  # principals, NONE where there is none
    PrincipalState* principal_state[BLOCK]  # what is known of them
    uint32_t name[BLOCK]       # action names
    uint32_t hash[BLOCK]       # of the names at hand
    uint32_t cls[BLOCK]        # action classes
    const uint32_t* plan_cell[BLOCK]  # where the grid holds the number of a plan
    uint32_t zero              # a class where there is none
    uint32_t what[BLOCK]       # dictionary values of the resources
    uint64_t facts[BLOCK]
    uint64_t differs[BLOCK]    # what the place of the resource has other than the caller's (`account_key_diff`)
    uint32_t record[BLOCK]     # of texts without a dictionary, with IS_PARENT_RECORD
    const ResourceRecord* stored[BLOCK]
    ResourceRecord nothing     # where nothing is stored
    MatchOp no_op              # where there are no allows
    Text text[BLOCK]           # of the resources; for the rows that are listed, except those of `general_rows`, NOWHERE instead of `*`
    const Plan* plans[N_LAYER_PLANS][BLOCK]
    uint32_t owner[BLOCK]      # whose the resource is, as `RowInputs` has it
    uint64_t known_false[BLOCK]  # bits of `filter_conditions` that are known not to hold
    uint8_t n_skipped_denies[BLOCK]  # how many ops of the principal's plan are denies that are known false
    uint8_t limits[BLOCK]      # PATH_* that SCPs, RCPs and endpoints leave
    uint8_t path[BLOCK]        # and all that is known
    uint8_t has_stars          # some row asks for `*`
    SelectionVector principal_rows  # the others are decided by flags; before that, rows whose names most likely are in the caches
    SelectionVector layered_rows
    SelectionVector general_rows
    SelectionVector vectorized_rows  # of `layered_rows`: ops of several plans, one after the other, decide
    StepQueue step_queues[N_STEPS]
    uint64_t* queue_ends[N_STEPS]  # of these
    uint32_t range_end[BLOCK]  # behind the ops at hand of a row
    uint16_t pending_stages[BLOCK]  # what comes after them, as bits
    Range pending_ranges[BLOCK][MAX_PENDING]  # ops that come after those at hand, the next ones last: what an index has found, or what is not skipped
    uint8_t n_pending[BLOCK]
    uint8_t has_pending        # some row has such
    uint8_t stage[BLOCK]       # what these are of
    uint8_t may_need_more      # an allow may not be all that some row needs
    const uint32_t* records    # of the values of the resources' dictionary; NULL: there is none


cdef enum:
    N_OWNERS = 2048


cdef struct OwnerCacheEntry:   # an account by its place, as it was found
    uint64_t account_key       # 0: nothing
    uint32_t account


cdef struct LookupCaches:      # memo by account number; dropped with `principal_states`; saves 13 % of the instructions of coded columns
    OwnerCacheEntry owners[N_OWNERS]


cdef enum:
    OF_SESSION = 0x80000000    # in the size of a name: the batch itself names it
    IS_PARENT_RECORD = 0x80000000  # beside the record of a resource: it is of what holds the resource, a bucket
    PARENT_SHIFT = 31
    MAX_LINES = 32768
    PREFETCH_NAMES = 4096      # of so many, the texts may be beyond the second-level cache


cdef struct NameMemoLine:      # names whose hashes share a place: one cache line
    uint32_t tag[4]            # hashes, 0: none
    uint32_t size[4]
    uint32_t text[4]           # in the pool
    uint32_t number[4]


cdef struct NameMemo:          # memo of text columns by name; dropped with `principal_states`; gives 1.3 to 1.44 times
    NameMemoLine* lines
    uint32_t mask
    void* memory


cdef struct ThreadState:       # what one thread of a batch has of its own
    int64_t number
    Frame* frame
    Block* block
    PrincipalState* principal_states  # by number of the principal, filled on first use; the last one has no principal
    uint32_t n_principal_states
    uint8_t is_plain           # rows may take the fast path; else all of them take the general path
    uint8_t has_endpoints      # some column says which endpoint rows come through
    uint8_t limited            # by which limits: BY_*, and flags of principal states
    uint8_t pruning_pays       # resource policies have so many denies that pruning pays
    LookupCaches* seen
    NameMemo memos[2]          # principals, actions
    uint32_t n_counted         # keys that the counts of the frame have room for
    int64_t* deferred_rows     # rows that need the GIL
    int64_t n_deferred
    int64_t room
    ContextColumn* columns
    uint64_t memo_generation   # generation of the tables whose atoms truths are kept of
    uint32_t memo_n_principals  # how many principals there were: one that is new may fix a key that none fixed before
    uint32_t n_filtered        # `filter_conditions` that are known
    uint32_t* deciding_keys    # lists of deciding keys (D74): how many, then their numbers
    int64_t n_deciding_keys
    int64_t deciding_keys_capacity
    int64_t last_deciding_keys  # where the last list starts
    OutputColumns answers
    const StringTable* session_names   # that the batch itself names; NULL: none
    const uint8_t* session_pool


cdef inline bint is_pruning(const ThreadState* s) noexcept nogil:
    """Whether denies are pruned (`kernel.decide.zone_filter`)."""
    return s.pruning_pays or s.limited & HAS_ORG_LIMITS


cdef extern from *:
    """
    /* the rows of a block by the highest of the bits 1, 2 and 4 of their ways: 16 rows at a time */
    static inline void fastiam_list(
        uint8_t* ways, int64_t n, uint16_t* one, uint32_t* n_one, uint16_t* two, uint32_t* n_two, uint16_t* four, uint32_t* n_four
    ) {
        uint32_t a = 0, b = 0, c = 0;
    #if defined(__SSE2__)
        memset(ways + n, 0, (size_t)(-n & 15));
        for (int64_t i = 0; i < n; i += 16) {
            __m128i w = _mm_loadu_si128((const __m128i*)(ways + i));
            uint32_t fours = (uint32_t)_mm_movemask_epi8(_mm_slli_epi16(w, 5));
            uint32_t twos = (uint32_t)_mm_movemask_epi8(_mm_slli_epi16(w, 6)) & ~fours;
            uint32_t ones = (uint32_t)_mm_movemask_epi8(_mm_slli_epi16(w, 7)) & ~fours & ~twos;
            for (; ones; ones &= ones - 1) one[a++] = (uint16_t)(i + fastiam_first_bit(ones));
            for (; twos; twos &= twos - 1) two[b++] = (uint16_t)(i + fastiam_first_bit(twos));
            for (; fours; fours &= fours - 1) four[c++] = (uint16_t)(i + fastiam_first_bit(fours));
        }
    #else
        for (int64_t i = 0; i < n; i++) {
            one[a] = two[b] = four[c] = (uint16_t)i;
            a += (ways[i] & 7) == 1; b += (ways[i] & 6) == 2; c += (ways[i] & 4) != 0;
        }
    #endif
        *n_one = a; *n_two = b; *n_four = c;
    }
    """
    void fastiam_list(
        uint8_t* paths, int64_t n, uint16_t* one, uint32_t* n_one, uint16_t* two, uint32_t* n_two, uint16_t* four, uint32_t* n_four
    ) noexcept nogil


cdef inline void split_by_path(Block* b, int64_t n) noexcept nogil:
    fastiam_list(
        &b.path[0], n, b.principal_rows.rows, &b.principal_rows.n, b.layered_rows.rows, &b.layered_rows.n, b.general_rows.rows, &b.general_rows.n
    )


cdef inline uint32_t record_of(const Block* b, uint32_t i) noexcept nogil:
    """The record of the resource of a row, or of what holds it; NONE: there is none."""
    cdef uint32_t record = b.record[i] if b.records == NULL else b.records[b.what[i]]
    return record if record == NONE else record & ~IS_PARENT_RECORD


cdef inline uint32_t is_parent_record(const Block* b, uint32_t i) noexcept nogil:
    """Whether that record is of what holds the resource."""
    return (b.record[i] if b.records == NULL else b.records[b.what[i]]) >> PARENT_SHIFT

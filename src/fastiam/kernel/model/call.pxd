"""One request during its evaluation, and what a thread needs meanwhile. Header only."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastiam.kernel.base.text cimport Text
from fastiam.kernel.columns.column cimport Column
from fastiam.kernel.model.actions cimport ActionClass
from fastiam.kernel.model.keys cimport Constant
from fastiam.kernel.model.plan cimport Plan
from fastiam.kernel.model.principals cimport Principal
from fastiam.kernel.model.resources cimport Endpoint
from fastiam.kernel.model.string_table cimport PoolText
from fastiam.kernel.model.tables cimport TablesC


cdef enum:
    TAG_AT = 15                # len("aws:RequestTag/")


cdef struct ContextEntry:      # a context key of a single call
    uint32_t key
    int32_t first              # `entry_texts`
    int32_t n
    uint8_t is_multi
    uint8_t is_conflict        # C6
    Text tag                   # `aws:RequestTag/k`: the `k` as the caller writes it


cdef enum:
    MAX_CODED_TEXT = 56        # bytes of a text that gets a code
    MIN_TEXT_CODES = 1 << 7
    MAX_TEXT_CODES = 1 << 13


cdef struct TextCode:          # a text of a plain column that has a code: one cache line
    uint32_t tag               # of its hash, 0: none
    uint16_t size
    uint16_t code
    char text[MAX_CODED_TEXT]


cdef struct TextCodes:         # memo of text columns by text; dropped with the batch; gives 1.2 to 1.4 times
    TextCode* lines
    uint32_t mask              # of their number, a power of two: twice the codes that there is room for
    uint32_t n


cdef struct ContextColumn:     # a context key of a batch, in the chunk that has the row
    const Column* column
    int64_t first              # the row of the chunk that is row 0 of the range
    uint32_t key
    uint8_t is_multi
    uint8_t is_checked         # as `Key` has it
    uint8_t has_code_memo      # truths of conditions are kept by its codes
    int64_t n_codes            # the code of a null; values have smaller ones
    uint8_t has_texts          # of a plain column: its texts get codes on first use
    TextCodes* texts           # those; NULL: there was none at this place yet
    uint64_t* known_false      # by code: the bits of `filter_conditions` that are known not to hold; NULL: of this column none are
    uint64_t prunable_bits     # those that this column determines
    uint32_t* endpoints        # by code: the endpoint that `aws:SourceVpce` names, as far as it was looked up; NULL: of this column none is
    const uint8_t* valid       # then: a bit for each item, or one byte for all of them, as the mask of a byte's place shows
    int64_t valid_mask
    Text tag


cdef enum Dependency:          # what the truth of an atom depends on in a batch, beside the value that a column has
    DEP_COMPUTED = 1           # it is known
    DEP_MEMOIZABLE = 2         # on nothing but what is listed here
    DEP_PRINCIPAL = 4          # on the principal
    DEP_NULL_PRINCIPAL = 8     # that, where no column has a value
    DEP_NULL_OTHER = 16        # on more than that then
    DEP_NULL_RESOURCE_KEYS = 32  # on constants of the resource, then; if it has none, on nothing more
    DEP_CROSS_BATCH = 64       # on the principal only: in the next batch, too, if no column gives the key there
    DEP_NULL_OWNER = 128       # on the owner of the resource, then; if that is the principal's account, on nothing more
    DEP_NULL_REGION = 256      # on the region of the resource, then
    DEP_NULL_CALLED_VIA = 512  # on whether `aws:CalledVia` has a value, then
    DEP_TEMPLATE_KEY = 1024    # where on the principal, on keys that vary among principals of one template
    DEP_PRINCIPAL_ONLY = 4096  # on nothing but the principal, if on that: no column gives the key, no resource determines it


cdef struct AtomMemo:          # of an atom: what it is for each value of its column
    uint8_t* truths            # by code, then of a null, then 0: truth plus 1, 0 where it is not known yet; NULL: none are kept
    uint32_t column
    uint16_t dependencies      # DEP_*
    uint64_t filter_bits       # the bits that do not hold where it does not


cdef enum:
    N_REGIONS = 256
    MAX_REGION = 23


cdef extern from *:
    """
    static const char fastiam_no_region[] = "::";   /* its second byte ends a region that is not there */
    """
    const char* NO_REGION "fastiam_no_region"


cdef struct Region:            # one that has a number
    char text[MAX_REGION]
    uint8_t size               # 0: none


cdef struct Buffer:
    uint8_t* data
    int64_t capacity


cdef struct PrincipalState:    # of a principal, as far as this batch is concerned
    uint64_t account_key
    uint32_t principal_set
    uint32_t scp_set         # NONE: SCPs do not apply
    uint32_t account           # its own, in `accounts`; NONE: not modelled
    uint32_t rcp_set         # of its own account, NONE: none
    uint32_t barred            # actions with these flags may have rules of their own for it
    uint8_t flags
    uint8_t path               # PATH_* that all its requests go, at least; from FINGERPRINT_SHIFT on its HINT_FINGERPRINT, 0: none
    uint16_t known_false_id    # in `known_false_table`


cdef enum PrincipalStateFlag:
    PS_LOADED = 1              # this is filled in
    PS_FAST = 2                # a user or role of an account in a partition that is known, or PS_NO_ACCOUNT
    PS_BOUNDARY = 4            # has a boundary
    PS_SESSION = 8             # has session policies
    PS_CHECK_KEYS = 16         # a column gives a key that this principal fixes (K1)
    PS_NO_ACCOUNT = 128        # a service, or anonymous: the resource's policies alone can allow
    PS_ANONYMOUS = 32
    PS_LIMITED = PS_BOUNDARY | PS_SESSION


cdef enum:
    FINGERPRINT_SHIFT = 3      # in `PrincipalState.path`, above PATH_MASK


cdef enum LimitFlag:           # of all principals of a batch, with PS_BOUNDARY and PS_SESSION
    HAS_ORG_LIMITS = 1         # SCPs or RCPs limit some principal
    LIMITED_TEMPLATE = 32      # and that principal has a template


cdef enum:
    N_KNOWN_FALSE = 1 << 13


cdef struct KnownFalse:        # bits of `filter_conditions` that are known not to hold, of some callers
    uint64_t anywhere
    uint64_t own_account       # where the principal's account owns the resource


cdef enum Lack:                # of a key
    LACK_NONE = 0              # a column supplies it, or no plan reads it
    LACK_ALWAYS = 1            # it is absent, or has its default, whatever else a row has
    LACK_BY_ROW = 2


cdef struct KeyCount:          # rows whose plans read a key that no column supplies (D75)
    int64_t n_rows
    int64_t last_row           # the last one that was counted alone, plus 1
    uint8_t lack               # Lack


cdef struct SetCount:          # rows that read a set of keys and no other one
    uint32_t n_rows
    uint8_t lack               # the highest of its keys


cdef struct Scratch:           # what a thread needs while it decides; reused from call to call
    # memo by atom; dropped with each call (`stamp`): a call evaluates each atom once
    uint32_t* call_truths      # truth of an atom: stamp << 2 | truth
    # memo by atom and column code; dropped when codes or tables change (`free_atom_memo`); gives 1.4 to 2.4 times
    AtomMemo* atom_memo        # of a batch: truths of each atom by the codes of its column; or NULL
    uint32_t n_atom_memo
    # memo by principal; dropped with the tables, or when columns have other keys (`_PrincipalStates.fits`); small batches of 2,000 roles: 1.8 times
    PrincipalState* principal_states  # of a batch, by number of the principal
    # memo by principal and column; dropped with `principal_states`; K1: a check is one compare of texts
    PoolText* fixed            # of each of those who are PS_CHECK_KEYS, what each checked column has to say (`kernel.decide.column_checks`)
    # memo beside `fixed`: the dictionary code of a column that was last found to agree; dropped with each range of rows; gives 10 to 15 %
    uint64_t* agreed           # agreed_epoch | code
    uint64_t agreed_epoch
    uint32_t n_fixed           # texts of one
    const int32_t* cell_of     # of each column, which of these; -1: none
    uint32_t* template_ids     # of those of them that are known, one more than the principal that is their template; else 0
    # deny filters by principal, owner and region; dropped with `principal_states`; with those of codes 1.3 (all layers) to 2.2 times (perimeters)
    KnownFalse* known_false_table  # the entries that `known_false_id` is an index of, each in the slot of its hash; the first one is nothing
    uint64_t template_bits     # bits whose conditions read template keys
    uint64_t* known_false_by_owner  # of each account, plus 1, and before it of those not modelled: those of its resources for all other principals
    uint32_t n_owned           # entries of `known_false_by_owner`
    uint64_t* known_false_by_region  # of each region by its number, for its resources; the first are those of all of them
    int64_t atom_memo_bytes    # what the truths in `atom_memo` take
    # memo by atom with principal, record, owner, region or text code; dropped by `memo_epoch`, or with `principal_states`; gives 1.3 to 4.9 times
    uint64_t* truth_memo       # and truths by a key: key << 2 | truth
    uint32_t truth_memo_mask
    uint32_t n_evicted         # of these were evicted for lack of capacity
    uint32_t memo_epoch        # of the keys that mean something
    Region* regions            # that these keys name by their place
    int32_t* sources           # slot or column of a key, -1: not given
    KeyCount* key_counts       # by key
    # counts by set of keys; added to those of its keys after each range of rows, for most rows read one set
    SetCount* set_counts       # by number of the set
    uint32_t* counted_sets     # those that rows of this range read
    uint32_t n_counted_sets
    uint32_t n_set_counts      # that there is room for
    uint32_t n_call_truths
    uint32_t n_sources
    uint32_t stamp
    int32_t failed             # out of memory: the call must not be believed
    Text* texts[2]             # items of a multivalued key: [0] of a condition, [1] of a variable
    int64_t n_texts[2]
    Buffer expanded[2]         # a pattern or value with its variables: [0] pattern, [1] value
    Buffer folded[2]           # case folded: [0] context, [1] policy
    uint8_t has_unknown_variable  # the last expanded text has an unknown variable, read as `*`
    uint32_t* deciding_keys    # keys on which the answer depends (D74)
    uint32_t n_deciding_keys
    uint32_t deciding_keys_capacity
    char time_text[32]         # derived texts of this call
    char epoch_text[24]
    char age_text[24]
    char owner_text[12]


cdef struct Call:
    const TablesC* t
    Scratch* s
    const Principal* principal
    const ActionClass* action
    uint32_t action_class
    uint32_t action_name
    Plan own                   # the plan of the principal's own layers, where it was looked up ahead
    Text resource
    uint16_t colons[5]         # of the resource
    uint8_t reasons            # the reported statement is asked for (D51)
    uint8_t resource_governs   # RECORD_* flags that say when the resource policies count
    uint8_t is_star            # resource `*`
    uint8_t tail_has_colon     # COLON_UNKNOWN until it is needed
    uint8_t is_iam             # service of the resource
    uint8_t is_iam_entity      # an IAM user or role
    uint8_t is_kms_key
    uint8_t is_role            # an IAM role
    uint32_t partition         # of the resource, a word; NONE for `*`
    uint8_t is_ad_hoc           # profiles given as they are: nothing is looked up in a directory
    uint8_t owner_known
    uint8_t assumed_owner
    uint8_t owner_override
    uint8_t unknown_owner      # and such requests are denied (D23)
    uint8_t blocks_public
    uint8_t endpoint_state     # ENDPOINT_*
    uint8_t accept[2]          # masks of truths that count: [0] for Allow, [1] for Deny
    Text owner                 # account id
    uint32_t resource_set    # NONE: no resource policy
    uint32_t rcp_set         # NONE: RCPs do not apply
    uint32_t account           # of the owner, in `accounts`; NONE: not modelled
    const Constant* constants  # of the resource
    uint32_t n_constants
    const Endpoint* endpoint   # NULL: none
    const ContextEntry* context_entries  # single call
    const Text* entry_texts
    int32_t n_context_entries
    const ContextColumn* columns   # batch; NULL in a single call
    int32_t n_columns
    uint8_t has_wide           # truths of some column are not kept by its codes, or it has lists
    uint8_t has_texts          # some column is plain text
    uint8_t gives_tags         # some column gives tags of resources, which a record may contradict (K1)
    uint8_t lacks_keys         # no column supplies some key that plans read: rows are counted under it
    uint8_t gives_owners       # some column gives the account of the resource, or its organization
    int64_t row                # of the range
    int64_t batch_row
    int64_t now                # INT64_MIN: not read yet
    const uint8_t* unknown     # how each key is declared unknown, DECLARED_*; NULL: nothing is
    uint8_t unknown_tags       # some `aws:RequestTag/*` is
    uint8_t best               # residual tests are taken towards an allow (D73)
    uint8_t saw_residual       # a residual test was evaluated
    uint8_t endpoint_is_unknown  # ENDPOINT_UNKNOWN because `aws:SourceVpce` is unknown (D71)


cdef enum:
    COLON_UNKNOWN = 2


cdef enum EndpointState:
    ENDPOINT_NONE = 0
    ENDPOINT_KNOWN = 1
    ENDPOINT_UNKNOWN = 2       # D40: the layer is U

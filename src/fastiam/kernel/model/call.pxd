"""One request during its evaluation, and the sources of its context keys. Header only.

The value of a key is what the request gives (an entry of a single call, or a column of a batch), else what principal, resource and endpoint fix,
else what is derived, else a default (spec 5.1, 5.4). Values are texts (C24); nothing is copied.
"""
from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcmp
from libc.time cimport time

from fastiam.kernel.base.format cimport day_of, put_day_of, put_integer, put_time_of
from fastiam.kernel.base.invariants cimport promise
from fastiam.kernel.base.text cimport Text
from fastiam.kernel.base.values cimport Instant, read_instant
from fastiam.kernel.columns.column cimport Column, item_text, row_items
from fastiam.kernel.model.actions cimport ACT_GLOBAL, ACT_PASS_ROLE, ActionClass
from fastiam.kernel.model.ids cimport NONE
from fastiam.kernel.model.keys cimport (
    CONSTANT_CONFLICT, CONSTANT_MULTI, Constant, KEY_CALLED_FIRST, KEY_CALLED_LAST, KEY_CALLER, KEY_DEFAULT, KEY_ENDPOINT, KEY_EPOCH, KEY_IAM_TAG,
    KEY_MFA, KEY_MFA_AGE, KEY_PRINCIPAL, KEY_REGION, KEY_RESOURCE, KEY_RESOURCE_ACCOUNT, KEY_RESOURCE_ORG, KEY_RESOURCE_ORG_PATHS, KEY_SOURCE_ORG,
    KEY_SOURCE_ORG_PATHS, KEY_TAG_KEYS, KEY_TIME, KEY_VIA_SERVICE, Key,
)
from fastiam.kernel.model.plan cimport Plan
from fastiam.kernel.model.principals cimport KIND_USER, Principal
from fastiam.kernel.model.resources cimport Endpoint
from fastiam.kernel.model.string_table cimport PoolText, table_find
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
    int64_t* missing_key_counts  # rows whose plans read a key which no column supplies (D75), or NULL
    uint32_t* lacking          # those of these keys that some plan reads
    uint32_t* lacking_bit      # of each key, which of these it is; NONE: none
    uint64_t* always_absent    # of each 64 of these, those that are absent, or their default, whatever else a row has
    uint32_t n_lacking
    # memo by set of keys; dropped with each range of rows; gives 25 ns a row that lacks keys
    uint64_t* read_masks       # of each 64 of these, those that are in each of `read_sets`
    uint64_t n_read_masks
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
    Plan own                   # the row of the principal's own layers, where it was looked up ahead
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


cdef struct KeyValues:
    const Text* texts
    int64_t n
    bint is_multi
    bint is_conflict


cdef inline bint reserve(Buffer* buffer, int64_t size, int32_t* failed) noexcept nogil:
    cdef uint8_t* grown
    if size <= buffer.capacity:
        return True
    grown = <uint8_t*>realloc(buffer.data, <size_t>(2 * size))
    if grown == NULL:
        failed[0] = 1
        return False
    buffer.data = grown
    buffer.capacity = 2 * size
    return True


cdef inline bint reserve_texts(Scratch* s, int depth, int64_t n) noexcept nogil:
    cdef Text* grown
    if n <= s.n_texts[depth]:
        return True
    grown = <Text*>realloc(s.texts[depth], <size_t>(2 * n) * sizeof(Text))
    if grown == NULL:
        s.failed = 1
        return False
    s.texts[depth] = grown
    s.n_texts[depth] = 2 * n
    return True


cdef inline int64_t instant(Call* c) noexcept nogil:
    """The time of the call; the clock is read once, and only where it is needed (K5)."""
    if c.now == INT64_MIN:
        c.now = time(NULL)
    return c.now


cdef inline Text field(const Call* c, int i) noexcept nogil:
    """Field 2 to 5 of the resource ARN: `i` from 0 (partition) to 3 (account)."""
    return Text(c.resource.data + c.colons[i] + 1, c.colons[i + 1] - c.colons[i] - 1)


cdef inline void one_text(Call* c, int depth, const char* data, int64_t size, KeyValues* out) noexcept nogil:
    if reserve_texts(c.s, depth, 1):
        c.s.texts[depth][0] = Text(data, size)
        out.texts = c.s.texts[depth]
        out.n = 1


cdef inline void from_constant(Call* c, const Constant* constant, int depth, KeyValues* out) noexcept nogil:
    cdef int32_t i
    if not reserve_texts(c.s, depth, constant.n + 1):
        return
    for i in range(constant.n):
        c.s.texts[depth][i] = Text(
            <const char*>c.t.pool + c.t.const_texts[constant.first + i].text, c.t.const_texts[constant.first + i].size
        )
    out.texts = c.s.texts[depth]
    out.n = constant.n
    out.is_multi = constant.form & CONSTANT_MULTI
    out.is_conflict = constant.form & CONSTANT_CONFLICT


cdef inline bint search(Call* c, const Constant* constants, uint32_t n, uint32_t key, int depth, KeyValues* out) noexcept nogil:
    cdef uint32_t i
    for i in range(n):
        if constants[i].key == key:
            from_constant(c, &constants[i], depth, out)
            return True
    return False


cdef inline void column_values(Call* c, const ContextColumn* column, int depth, KeyValues* out) noexcept nogil:
    """The values of a row; nulls in a list are not there."""
    cdef int64_t first, last, i
    row_items(column.column, column.first + c.row, &first, &last)
    if not reserve_texts(c.s, depth, last - first):
        return
    for i in range(first, last):
        if item_text(column.column, i, &c.s.texts[depth][out.n]):
            out.n += 1
    out.texts = c.s.texts[depth]
    out.is_multi = column.is_multi


cdef inline void given(Call* c, uint32_t key, int depth, KeyValues* out) noexcept nogil:
    """What the caller gives for a key; `n` is 0 if nothing."""
    cdef int32_t at = c.s.sources[key]
    promise(key < c.s.n_sources and at < (c.n_columns if c.columns != NULL else c.n_context_entries))
    out.n = 0
    out.is_multi = False
    out.is_conflict = False
    if at < 0:
        return
    if c.columns != NULL:
        column_values(c, &c.columns[at], depth, out)
        return
    out.texts = c.entry_texts + c.context_entries[at].first
    out.n = c.context_entries[at].n
    out.is_multi = c.context_entries[at].is_multi
    out.is_conflict = c.context_entries[at].is_conflict


cdef inline void tag_keys(Call* c, int depth, KeyValues* out) noexcept nogil:
    """`aws:TagKeys`: the names of the `aws:RequestTag/` keys that are given."""
    cdef int32_t i
    cdef KeyValues tag
    cdef int64_t n = 0
    cdef int other = 1 - depth
    if not reserve_texts(c.s, depth, c.n_context_entries + c.n_columns):
        return
    for i in range(c.n_context_entries):
        if c.context_entries[i].tag.data != NULL:        # never of a key that is declared absent
            c.s.texts[depth][n] = c.context_entries[i].tag
            n += 1
    for i in range(c.n_columns):
        if c.columns[i].tag.data != NULL:
            given(c, c.columns[i].key, other, &tag)
            if tag.n > 0:
                c.s.texts[depth][n] = c.columns[i].tag
                n += 1
    out.texts = c.s.texts[depth]
    out.n = n
    out.is_multi = True


cdef inline int write_time(int64_t seconds, char* out) noexcept nogil:
    """`YYYY-MM-DDTHH:MM:SSZ`, or 0 where the year has no four digits."""
    cdef int64_t days = day_of(seconds)
    if not -719528 <= days <= 2932896:                   # years 0000 to 9999
        return 0
    return <int>(put_time_of(put_day_of(out, days), <uint32_t>(seconds - days * 86400), 0) - out)


cdef inline void time_value(Call* c, bint as_epoch, int depth, KeyValues* out) noexcept nogil:
    """`aws:CurrentTime` or `aws:EpochTime`: from the other one if the caller gives that, else from `now` (K5)."""
    cdef KeyValues other
    cdef Instant read
    cdef int64_t seconds
    cdef int size
    given(c, c.t.key_time if as_epoch else c.t.key_epoch, depth, &other)
    if other.n > 0:
        if other.n != 1 or not read_instant(<const uint8_t*>other.texts[0].data, other.texts[0].size, &read) or read.nanos:
            out[0] = other
            return
        seconds = read.seconds
    else:
        seconds = instant(c)
    out.is_multi = other.is_multi
    size = 0 if as_epoch else write_time(seconds, c.s.time_text)
    if size > 0:
        one_text(c, depth, c.s.time_text, size, out)
    elif as_epoch or other.n == 0:
        one_text(c, depth, c.s.epoch_text, put_integer(c.s.epoch_text, seconds) - c.s.epoch_text, out)
    else:
        out[0] = other


cdef inline void region_value(Call* c, int depth, KeyValues* out) noexcept nogil:
    """`aws:RequestedRegion`: the region field, else `us-east-1` for a global service in partition `aws` (5.4, K6)."""
    cdef Text region
    if not c.is_star:
        region = field(c, 2)
        if region.size > 0:
            one_text(c, depth, region.data, region.size, out)
            return
        region = field(c, 0)
        if region.size != 3 or memcmp(region.data, b"aws", 3) != 0:
            return
    else:
        if c.principal.partition == NONE:
            return                                       # no partition is known, so not `aws` (K6)
        region.size = c.t.symbols[c.principal.partition].size
        if region.size != 3 or memcmp(c.t.pool + c.t.symbols[c.principal.partition].text, b"aws", 3) != 0:
            return
    if c.action.flags & ACT_GLOBAL:
        one_text(c, depth, b"us-east-1", 9, out)


cdef inline void org_value(Call* c, uint32_t account, bint paths, int depth, KeyValues* out) noexcept nogil:
    cdef uint32_t constant
    promise(account == NONE or account < c.t.n_accounts)
    if account != NONE:
        constant = c.t.accounts[account].org_paths if paths else c.t.accounts[account].org
        if constant != NONE:
            from_constant(c, &c.t.constants[constant], depth, out)


cdef inline uint32_t source_account(Call* c, int depth) noexcept nogil:
    """The account that `aws:SourceAccount` names, in `accounts`, or NONE."""
    cdef KeyValues source
    given(c, c.t.key_source_account, depth, &source)
    if source.n != 1:
        return NONE
    return table_find(&c.t.account_names, c.t.pool, source.texts[0].data, source.texts[0].size, c.t.seed)


cdef inline void derive(Call* c, const Key* k, uint32_t key, int depth, KeyValues* out) noexcept nogil:
    """The value of a key that the caller does not give."""
    cdef KeyValues other
    if search(c, &c.t.constants[c.principal.constants], c.principal.n_constants, key, depth, out):
        return
    if k.source == KEY_CALLER or k.source == KEY_PRINCIPAL:
        return
    if k.source == KEY_RESOURCE:
        search(c, c.constants, c.n_constants, key, depth, out)
    elif k.source == KEY_RESOURCE_ACCOUNT:
        if not search(c, c.constants, c.n_constants, key, depth, out) and c.owner_known and not c.is_ad_hoc:
            one_text(c, depth, c.owner.data, c.owner.size, out)
    elif k.source == KEY_RESOURCE_ORG or k.source == KEY_RESOURCE_ORG_PATHS:
        if not search(c, c.constants, c.n_constants, key, depth, out) and not c.is_ad_hoc:
            org_value(c, c.account, k.source == KEY_RESOURCE_ORG_PATHS, depth, out)
    elif k.source == KEY_ENDPOINT:
        if c.endpoint != NULL:
            search(c, &c.t.constants[c.endpoint.constants], c.endpoint.n_constants, key, depth, out)
    elif k.source == KEY_TIME or k.source == KEY_EPOCH:
        time_value(c, k.source == KEY_EPOCH, depth, out)
    elif k.source == KEY_REGION:
        region_value(c, depth, out)
    elif k.source == KEY_DEFAULT:
        from_constant(c, &c.t.constants[k.other], depth, out)
    elif k.source == KEY_VIA_SERVICE:
        given(c, c.t.key_called_via, depth, &other)
        if other.n > 0:
            one_text(c, depth, b"true", 4, out)
        else:
            one_text(c, depth, b"false", 5, out)
    elif k.source == KEY_CALLED_FIRST or k.source == KEY_CALLED_LAST:
        given(c, c.t.key_called_via, depth, &other)
        if other.n > 0 and not other.is_conflict:
            out.texts = other.texts if k.source == KEY_CALLED_FIRST else other.texts + other.n - 1
            out.n = 1
    elif k.source == KEY_TAG_KEYS:
        tag_keys(c, depth, out)
    elif k.source == KEY_SOURCE_ORG or k.source == KEY_SOURCE_ORG_PATHS:
        if not c.is_ad_hoc:
            org_value(c, source_account(c, depth), k.source == KEY_SOURCE_ORG_PATHS, depth, out)
    elif k.source == KEY_MFA_AGE:
        if c.principal.mfa_at != INT64_MIN:
            one_text(c, depth, c.s.age_text, put_integer(c.s.age_text, instant(c) - c.principal.mfa_at) - c.s.age_text, out)
    elif k.source == KEY_MFA and c.principal.kind == KIND_USER:    # 7.6: a service calls for a user without a session
        given(c, c.t.key_called_via, depth, &other)
        if other.n > 0:
            one_text(c, depth, b"false", 5, out)


cdef inline bint is_withheld(const Call* c, const Key* k) noexcept nogil:
    """Tags of what iam:PassRole passes are absent, also where they are given."""
    return k.is_resource_tag and c.action.flags & ACT_PASS_ROLE


cdef inline void fetch(Call* c, uint32_t key, int depth, KeyValues* out) noexcept nogil:
    """The values of a key; `n` is 0 where it is absent. `depth` picks the scratch list: 0 condition, 1 variable."""
    cdef const Key* k = &c.t.keys[key]
    promise(key < c.t.n_keys)
    out.n = 0
    out.is_multi = False
    out.is_conflict = False
    if is_withheld(c, k):
        return
    given(c, key, depth, out)
    if out.n > 0:
        return
    if k.source == KEY_IAM_TAG:
        if c.is_iam_entity:
            given(c, k.other, depth, out)
            if out.n == 0:
                derive(c, &c.t.keys[k.other], k.other, depth, out)
    else:
        derive(c, k, key, depth, out)

"""Fast path of a batch: a user or role, an action without special rules, a resource of its own account. Header only.

Inputs that do not depend on the row are computed once: a `PrincipalState` for each principal of a batch, the facts of each resource of a dictionary.
Invariant: the result equals that of `kernel.decide.combine`. Every row that may differ takes the general path.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp

from fastiam.kernel.base.arn cimport account_number, account_text, twelve_digits
from fastiam.kernel.base.text cimport Text, first_bit, byte_positions, sixteen
from fastiam.kernel.decide.column_checks cimport read_fixed
from fastiam.kernel.decide.combine cimport cut_resource
from fastiam.kernel.decide.locate cimport apply_record, clear_record, find_account, symbol_text
from fastiam.kernel.model.call cimport (
    PS_NO_ACCOUNT, PS_ANONYMOUS, PS_BOUNDARY, PS_CHECK_KEYS, PS_LOADED, PS_LIMITED, PS_FAST, PS_SESSION, Call, PrincipalState, FINGERPRINT_SHIFT,
)
from fastiam.kernel.eval.key_values cimport field
from fastiam.kernel.model.match_ops cimport principal_fingerprint
from fastiam.kernel.model.string_table cimport table_find
from fastiam.kernel.model.tables cimport *


cdef enum:
    NUMBER_BITS = 40           # an account id as a number


cdef enum:                     # actions that have rules of their own
    ACT_OWN_RULES = (
        ACT_CALLER_IDENTITY | ACT_SESSION_TOKEN | ACT_PASS_ROLE | ACT_SET_SOURCE_IDENTITY | ACT_STS_ROLE | ACT_RETIRE_GRANT
        | ACT_SCP_EXEMPT | ACT_NEEDS_RESOURCE | ACT_FEDERATION | ACT_TRUST
    )
    ACT_HARD = ACT_HARD_POLICY | ACT_HARD_RESERVED | ACT_HARD_LINKED | ACT_HARD_ALIAS
    ACT_ON_ROLE = ACT_PASS_ROLE | ACT_STS_ROLE | ACT_TRUST  # the special rules that the layered path evaluates


cdef enum:                     # facts of a resource, independent of the principal: 64 bits, so that many of them fit in the caches
    ACCOUNT_KEY_MASK = 0x3FFFFFFFFFF  # partition << NUMBER_BITS | account, where it is known
    PARTITION = 0x30000000000
    ACCOUNT = 0xFFFFFFFFFF     # the account of services, too: no account has more than twelve digits
    ANONYMOUS_ACCOUNT = 0xFFFFFFFFFE  # and that of who is anonymous: no policy names it, as it may name services
    FACTS_OWNER_KNOWN = 0x040000000000  # the owner is known: by the record, or the account field
    FACTS_STAR = 0x080000000000
    FACTS_HAS_RECORD = 0x100000000000  # there is a record, which says more than who owns it; or there has to be one
    FACTS_GENERAL_PATH = 0x200000000000  # the general path: not an ARN, another partition, a record that must be read
    COMPARED_SHIFT = 42        # two bits, owner known and star: which part of the account key counts
    PATH_SHIFT = 43            # three bits, of which the upper ones are PATH_LAYERED where a record holds something, and PATH_GENERAL
    FACTS_COLON = 0x400000000000  # more than five colons
    FACTS_KMS_KEY = 0x800000000000  # a key of KMS: its policies have to allow, also within the account (6.3)
    COLON_BITS = 6             # of the place of a colon
    COLON_3_AT = 48            # the positions of the colons after region and account
    COLON_4_AT = COLON_3_AT + COLON_BITS
    FACTS_NO_COLONS = 0xFFF000000000000  # these are nowhere
    LAST_BIT = 0x8000000000000000


cdef enum:
    LIMITS_AT = 3              # PS_BOUNDARY is PLAN_BOUNDARY_ALLOWS_ALL >> 3, and so on
    LIMIT_STAGES_SHIFT = 7     # and 1 << BOUNDARY_STAGE >> 7


cdef inline uint64_t partition_number(const char* p, int64_t size) noexcept nogil:
    """1 to 3 for the public partitions of AWS, 0 for others."""
    if size == 3 and memcmp(p, b"aws", 3) == 0:
        return 1
    if size == 6 and memcmp(p, b"aws-cn", 6) == 0:
        return 2
    return 3 if size == 10 and memcmp(p, b"aws-us-gov", 10) == 0 else 0


cdef inline bint is_kms_key(const char* p, int64_t size, int service_end, int tail) noexcept nogil:
    """Of an ARN by the colon after its service and by where field 6 starts."""
    return memcmp(p + service_end - 4, b":kms:", 5) == 0 and size - tail >= 4 and memcmp(p + tail, b"key/", 4) == 0


cdef inline uint64_t partition_of(const char* p, int* size) noexcept nogil:
    """The number of the partition of an ARN of 16 bytes or more, and how long the ARN is up to there; 0 if it is another one."""
    size[0] = 8
    if memcmp(p, b"arn:aws:", 8) == 0:
        return 1
    size[0] = 11
    if memcmp(p, b"arn:aws-cn:", 11) == 0:
        return 2
    size[0] = 15
    return 3 if memcmp(p, b"arn:aws-us-gov:", 15) == 0 else 0


cdef inline uint64_t later_colons(const char* p, int64_t size) noexcept nogil:
    """Not 0 if there is a colon behind the first 64 bytes: without a branch where few bytes are."""
    if size > 80:
        return memchr(p + 64, 58, <size_t>(size - 64)) != NULL
    return sixteen(p + size - 16, 58) >> min(16, 80 - <int>size)


cdef inline uint64_t read_facts(const char* p, int64_t size, int* service_start, int* service_end) noexcept nogil:
    """The facts that the text of a resource gives, and where its service starts and ends.

    The general path takes what is rare: less than 16 bytes (see `kernel.eval.literals`), or five colons that are not in the first 64. No
    branch asks what is not to be foreseen, such as whether there is an account.
    """
    cdef uint64_t number, facts, bits, known
    cdef int region_end, account_end, account
    cdef bint is_number
    if size < 16:
        return FACTS_STAR | FACTS_NO_COLONS if size == 1 and p[0] == 42 else <uint64_t>FACTS_GENERAL_PATH
    facts = partition_of(p, service_start) << NUMBER_BITS
    bits = byte_positions(p, size, 58) & (~<uint64_t>0 << service_start[0])
    service_end[0] = first_bit(bits | LAST_BIT)
    bits &= bits - 1
    region_end = first_bit(bits | LAST_BIT)
    bits &= bits - 1
    account_end = first_bit(bits | LAST_BIT)
    if facts == 0 or bits == 0:
        return FACTS_GENERAL_PATH
    account = account_end - region_end - 1
    known = 0 - <uint64_t>(account != 0)
    is_number = twelve_digits(p + min(region_end + 1, <int>size - 12), &number)
    if known & ((account != 12) | (not is_number)):
        return FACTS_GENERAL_PATH
    bits = (bits & (bits - 1)) | later_colons(p, size)
    facts |= (<uint64_t>region_end << COLON_3_AT) | (<uint64_t>account_end << COLON_4_AT)
    if is_kms_key(p, size, service_end[0], account_end + 1):
        facts |= <uint64_t>FACTS_KMS_KEY | <uint64_t>FACTS_HAS_RECORD
    return facts | (known & (number | FACTS_OWNER_KNOWN)) | (<uint64_t>(bits != 0) * FACTS_COLON)


cdef inline uint64_t add_record_facts(const TablesC* t, uint64_t facts, uint32_t record, bint is_parent) noexcept nogil:
    """The facts of a resource with what is stored about it, or about what holds it, whose tags are not its own."""
    cdef const ResourceRecord* r = &t.records[record]
    cdef uint64_t numbered = -<uint64_t>((r.flags & RECORD_HAS_ACCOUNT_NUMBER) != 0)
    cdef uint64_t holds = (r.policy_set != NONE) | ((r.flags & RECORD_BLOCKS_PUBLIC) != 0) if is_parent else (r.flags & RECORD_HAS_ATTRIBUTES) != 0
    facts &= ~(numbered & ACCOUNT)
    facts |= numbered & (<uint64_t>r.number_high << 32 | r.number)
    return facts | <uint64_t>(r.account != NONE) * FACTS_OWNER_KNOWN | holds * FACTS_HAS_RECORD


cdef inline int64_t colon_offset(uint64_t facts, int colon) noexcept nogil:
    """The position of the colon after the region of a resource (3), or after its account (4); 0 for 5, which is none."""
    return (facts >> (COLON_3_AT - 3 * COLON_BITS + COLON_BITS * colon)) & ((1 << COLON_BITS) - 1)


cdef inline void init_accountless_principal(const Call* c, PrincipalState* principal_state, bint is_service) noexcept nogil:
    """The state of a service or an anonymous principal in step queues: one of another account than any resource has, with no policies of its own
    asked.

    The general path takes what depends on a service's names row by row, and on the partition of the principal: it has none (6.4, K6). So it
    does where an endpoint, which does not count for a service, may not let a row pass.
    """
    if is_service and c.s.sources[c.t.key_service_names] >= 0:
        return
    principal_state.account_key = <uint64_t>1 << NUMBER_BITS | (<uint64_t>ACCOUNT if is_service else <uint64_t>ANONYMOUS_ACCOUNT)  # of partition aws
    principal_state.scp_set = NONE
    principal_state.barred |= ACT_GLOBAL
    principal_state.flags |= PS_FAST | PS_NO_ACCOUNT | (0 if is_service else PS_ANONYMOUS)
    principal_state.path = PATH_LAYERED


cdef inline void load_principal_state(Call* c, PrincipalState* principal_state) noexcept nogil:
    """What there is to know about `c.principal` in this batch."""
    cdef const Principal* p = c.principal
    cdef Text text
    cdef uint64_t number = 0, partition = 0
    cdef bint needs_full_eval
    principal_state.flags = PS_LOADED
    principal_state.path = PATH_GENERAL
    principal_state.principal_set = p.principal_set
    principal_state.scp_set = p.scp_set if p.flags & P_HAS_SCP else <uint32_t>NONE
    principal_state.account = NONE
    principal_state.rcp_set = NONE
    principal_state.barred = ACT_OWN_RULES & ~<uint32_t>ACT_ON_ROLE | (<uint32_t>1 << (ACT_FORBID_SHIFT + p.credential))
    if not p.flags & P_KNOWN or p.flags & (P_EXTRA_BOUNDARY | P_EXTRA_SESSION):
        return
    if read_fixed(c, principal_state - c.s.principal_states, &needs_full_eval):
        principal_state.flags |= PS_CHECK_KEYS
    if needs_full_eval:
        return
    if p.kind == KIND_SVC or p.kind == KIND_ANON:
        init_accountless_principal(c, principal_state, p.kind == KIND_SVC)
    if not (p.kind == KIND_USER or p.kind == KIND_ROLE):
        return
    if p.account == NONE or p.partition == NONE or not account_number(p.account_id, 12, &number):
        return
    text = symbol_text(c.t, p.partition)
    partition = partition_number(text.data, text.size)
    if partition == 0:
        return
    principal_state.account_key = (partition << NUMBER_BITS) | number
    principal_state.flags |= PS_FAST
    if p.flags & P_HAS_BOUNDARY:
        principal_state.flags |= PS_BOUNDARY
    if p.flags & P_HAS_SESSION:
        principal_state.flags |= PS_SESSION
    principal_state.account = p.account_index
    if p.account_index == NONE and c.t.n_accounts:
        principal_state.account = table_find(&c.t.account_names, c.t.pool, p.account_id, 12, c.t.seed)
    if principal_state.account != NONE:
        principal_state.rcp_set = c.t.accounts[principal_state.account].rcp_set
    principal_state.path = 0
    if (p.role == NONE) != (p.user_arn == NONE):
        principal_state.path = <uint8_t>(principal_fingerprint(p.role if p.user_arn == NONE else p.user_arn) << FINGERPRINT_SHIFT)


cdef inline uint32_t active_limits(const PrincipalState* principal_state, const Plan* own) noexcept nogil:
    """Which of boundary and session policies do not allow everything of an action, without a branch."""
    return principal_state.flags & PS_LIMITED & ~(own.flags >> LIMITS_AT)


cdef inline uint32_t limits_without_program(const Plan* own, uint32_t limits) noexcept nogil:
    """Those of some limits for which there is no program."""
    return limits & -<uint32_t>((own.flags & PLAN_LIMITS_HAVE_PROGRAM) == 0)


cdef extern from *:
    """
    /* of facts, by FACTS_OWNER_KNOWN and FACTS_STAR: N16 where the owner is unknown, and nothing for `*` */
    static const uint64_t fastiam_compared[4] = {0x30000000000, 0x3FFFFFFFFFF, 0, 0};
    """
    const uint64_t* COMPARED "fastiam_compared"


cdef inline uint64_t account_key_diff(const PrincipalState* principal_state, uint64_t facts) noexcept nogil:
    """What the place of a resource has other than the caller's; 0 where `is_same_owner`. Without a branch."""
    return (facts ^ principal_state.account_key) & COMPARED[(facts >> COMPARED_SHIFT) & 3]


cdef inline bint is_same_owner(const PrincipalState* principal_state, uint64_t facts) noexcept nogil:
    """The resource belongs to the principal's account, or its owner is unknown."""
    return account_key_diff(principal_state, facts) == 0


cdef inline void put_resource(Call* c, const PrincipalState* principal_state, uint64_t facts, uint32_t record) noexcept nogil:
    """Put the resource into the call, as `locate_resource` would: it is an ARN of the caller's partition, or `*`."""
    cut_resource(c)
    clear_record(c)
    c.partition = NONE if c.is_star else c.principal.partition
    c.owner_known = True
    c.assumed_owner = not facts & FACTS_OWNER_KNOWN
    if c.assumed_owner or c.is_star:
        c.owner = Text(&c.principal.account_id[0], 12)
    elif record != NONE and c.t.records[record].account != NONE:
        c.owner = symbol_text(c.t, c.t.records[record].account)
    elif c.colons[4] - c.colons[3] > 1:
        c.owner = field(c, 3)
    else:
        c.owner = Text(&c.s.owner_text[0], 12)           # a column gives it
        account_text(facts & ACCOUNT, &c.s.owner_text[0])
    find_account(c, principal_state.account if is_same_owner(principal_state, facts) else <uint32_t>NONE)
    if record != NONE:
        apply_record(c, record)

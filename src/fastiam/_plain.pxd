"""The usual request of a batch: a user or role of one partition, an action without rules of its own, in its own account. Header only.

What does not depend on the row is worked out once: a `Caller` for each principal of a batch, the facts of each resource of a
dictionary. Law: a row is decided here exactly as `_decide` would; whatever is not surely usual goes the long way.
"""
from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp

from fastiam._bytes cimport first_bit, load4, load8, places, table_find
from fastiam._call cimport Call, field
from fastiam._columns cimport Text
from fastiam._decide cimport DONE, cut_resource
from fastiam._locate cimport find_record, use_record, word_text
from fastiam._types cimport *
from fastiam._unknown cimport known_absent


cdef enum:
    NUMBER_BITS = 40           # an account id as a number


cdef enum:                     # actions that have rules of their own
    ACT_OWN_RULES = (
        ACT_CALLER_IDENTITY | ACT_SESSION_TOKEN | ACT_PASS_ROLE | ACT_SET_SOURCE_IDENTITY | ACT_STS_ROLE | ACT_RETIRE_GRANT
        | ACT_SCP_EXEMPT | ACT_NEEDS_RESOURCE | ACT_FEDERATION | ACT_TRUST
    )
    ACT_HARD = ACT_HARD_POLICY | ACT_HARD_RESERVED | ACT_HARD_LINKED | ACT_HARD_ALIAS


cdef enum:                     # facts of a resource, whoever asks for it: one word, so that many of them fit in the caches
    PLACE = 0x3FFFFFFFFFF      # partition << NUMBER_BITS | account, where it is told
    PARTITION = 0x30000000000
    FACTS_TOLD = 0x040000000000  # something tells the owner: the record, or the account field
    FACTS_STAR = 0x080000000000
    FACTS_RECORD = 0x100000000000  # there is a record
    FACTS_LONG = 0x200000000000  # the long way: no ARN, another partition, a key of KMS, a record that must be asked for
    COMPARED_AT = 42           # two bits, told and star: which part of the place counts
    WAYS_AT = 43               # three bits, of which the upper ones are WAY_NEAR where there is a record, and WAY_FAR
    FACTS_COLON = 0x400000000000  # more than five colons
    COLON_BITS = 6             # of the place of a colon
    COLON_3_AT = 48            # where the colons after region and account lie
    COLON_4_AT = COLON_3_AT + COLON_BITS
    FACTS_NO_ROOM = 0xFFF000000000000  # these are nowhere


cdef enum CallerFlag:
    CALLER_KNOWN = 1           # this is filled in
    CALLER_PLAIN = 2           # a user or role of an account in a partition that is known
    CALLER_BOUND = 4           # has a boundary
    CALLER_SESSION = 8         # has session policies
    CALLER_CHECKS = 16         # a column gives a key that this principal fixes (K1)
    CALLER_LIMITED = CALLER_BOUND | CALLER_SESSION


cdef enum:
    LIMITS_AT = 3              # CALLER_BOUND is ROW_BOUND_ALL >> 3, and so on


cdef struct Caller:            # of a principal, as far as this batch is concerned
    uint64_t place
    uint32_t own_stack
    uint32_t scp_stack         # NONE: SCPs do not apply
    uint32_t account           # its own, in `accounts`; NONE: not modelled
    uint32_t rcp_stack         # of its own account, NONE: none
    uint32_t barred            # actions with these flags may have rules of their own for it
    uint8_t flags
    uint8_t way                # WAY_* that all its requests go, at least


cdef inline uint64_t partition_number(const char* p, int64_t size) noexcept nogil:
    """1 to 3 for the partitions that AWS has for everybody, 0 for others."""
    if size == 3 and p[0] == 97 and p[1] == 119 and p[2] == 115:
        return 1
    if size == 6 and p[0] == 97 and p[1] == 119 and p[2] == 115 and p[3] == 45 and p[4] == 99 and p[5] == 110:
        return 2
    if size == 10 and p[0] == 97 and p[1] == 119 and p[2] == 115 and p[3] == 45 and p[4] == 117 and p[5] == 115 and p[6] == 45:
        return 3 if p[7] == 103 and p[8] == 111 and p[9] == 118 else 0
    return 0


cdef inline bint account_number(const char* p, int64_t size, uint64_t* number) noexcept nogil:
    """The number of an account id of twelve digits; False if it is none."""
    cdef uint64_t a, b
    if size != 12:
        return False
    a = load8(p) ^ <uint64_t>0x3030303030303030
    b = (load4(p + 8) ^ 0x30303030) << 32                # eight digits, of which the first four are zeros
    if ((a | b) | ((a + <uint64_t>0x7676767676767676) | (b + <uint64_t>0x7676767676767676))) & <uint64_t>0x8080808080808080:
        return False
    number[0] = eight_digits(a) * 10000 + eight_digits(b)
    return True


cdef inline uint64_t eight_digits(uint64_t digits) noexcept nogil:
    """The number that eight bytes from 0 to 9 write, the first one lowest in the word."""
    digits = digits * 10 + (digits >> 8)
    return (
        ((digits & <uint64_t>0x000000FF000000FF) * <uint64_t>0x000F424000000064)
        + (((digits >> 16) & <uint64_t>0x000000FF000000FF) * <uint64_t>0x0000271000000001)
    ) >> 32


cdef inline bint is_kms_key(const char* p, const uint16_t* colons, int64_t size) noexcept nogil:
    return (
        colons[2] - colons[1] == 4 and memcmp(p + colons[1] + 1, b"kms", 3) == 0
        and size - colons[4] > 4 and memcmp(p + colons[4] + 1, b"key/", 4) == 0
    )


cdef inline uint64_t read_facts(Call* c, uint32_t* record) noexcept nogil:
    """What there is to know about `c.resource`; the call is used to look it up.

    The long way takes whatever is rare: less than 16 bytes (see `_pieces`), or five colons that do not lie in the first 64.
    """
    cdef const char* p = c.resource.data
    cdef int64_t size = c.resource.size, account
    cdef uint64_t number = 0, facts, bits
    cdef Text text
    cdef int i
    record[0] = NONE
    if size == 1 and p[0] == 42:
        return FACTS_STAR | FACTS_NO_ROOM
    if size < 16 or memcmp(p, b"arn:", 4) != 0:
        return FACTS_LONG
    bits = places(p, size, 58)
    for i in range(5):
        if bits == 0:
            return FACTS_LONG
        c.colons[i] = <uint16_t>first_bit(bits)
        bits &= bits - 1
    c.is_star = False
    if is_kms_key(p, c.colons, size) or find_record(c, record) != DONE:
        return FACTS_LONG
    account = c.colons[4] - c.colons[3] - 1
    facts = partition_number(p + 4, c.colons[1] - 4) << NUMBER_BITS
    if facts == 0:
        return FACTS_LONG
    facts |= (<uint64_t>c.colons[3] << COLON_3_AT) | (<uint64_t>c.colons[4] << COLON_4_AT)
    if account:
        if not account_number(p + c.colons[3] + 1, account, &number):
            return FACTS_LONG
        facts |= FACTS_TOLD
    if bits or (size > 64 and memchr(p + 64, 58, <size_t>(size - 64)) != NULL):
        facts |= FACTS_COLON
    if record[0] != NONE:
        facts |= FACTS_RECORD
        if c.t.records[record[0]].account != NONE:
            text = word_text(c.t, c.t.records[record[0]].account)
            account_number(text.data, text.size, &number)
            facts |= FACTS_TOLD
    return facts | number


cdef inline int64_t colon_place(uint64_t facts, int colon) noexcept nogil:
    """Where the colon after the region of a resource (3), or after its account (4), lies; 0 for 5, which is none."""
    return (facts >> (COLON_3_AT - 3 * COLON_BITS + COLON_BITS * colon)) & ((1 << COLON_BITS) - 1)


cdef inline bint fixes(Call* c, uint32_t key) noexcept nogil:
    """Whether what a column gives for a key can contradict what is known of who asks (K1)."""
    cdef const Constant* own = &c.t.constants[c.principal.constants]
    cdef const Key* k = &c.t.keys[key]
    cdef uint32_t i
    if k.source == KEY_MFA_AGE and c.principal.mfa_at != INT64_MIN:
        return True
    for i in range(c.principal.n_constants):
        if own[i].key == key:
            return not own[i].is_open
    return known_absent(c, k, key)


cdef inline void read_caller(Call* c, Caller* caller) noexcept nogil:
    """What there is to know about `c.principal` in this batch."""
    cdef const Principal* p = c.principal
    cdef Text text
    cdef uint64_t number = 0, partition = 0
    cdef int32_t i
    caller.flags = CALLER_KNOWN
    caller.way = WAY_FAR
    caller.own_stack = p.own_stack
    caller.scp_stack = p.scp_stack if p.flags & P_HAS_SCP else <uint32_t>NONE
    caller.account = NONE
    caller.rcp_stack = NONE
    caller.barred = ACT_OWN_RULES | (<uint32_t>1 << (ACT_FORBID_SHIFT + p.credential))
    if not p.flags & P_KNOWN or p.flags & (P_EXTRA_BOUNDARY | P_EXTRA_SESSION) or not (p.kind == KIND_USER or p.kind == KIND_ROLE):
        return
    if p.account == NONE or p.partition == NONE or not account_number(p.account_id, 12, &number):
        return
    text = word_text(c.t, p.partition)
    partition = partition_number(text.data, text.size)
    if partition == 0:
        return
    caller.place = (partition << NUMBER_BITS) | number
    caller.flags |= CALLER_PLAIN
    if p.flags & P_HAS_BOUNDARY:
        caller.flags |= CALLER_BOUND
    if p.flags & P_HAS_SESSION:
        caller.flags |= CALLER_SESSION
    caller.account = p.account_index
    if p.account_index == NONE and c.t.n_accounts:
        caller.account = table_find(&c.t.account_names, c.t.pool, p.account_id, 12, c.t.seed)
    if caller.account != NONE:
        caller.rcp_stack = c.t.accounts[caller.account].rcp_stack
    for i in range(c.n_columns):
        if c.t.keys[c.columns[i].key].is_checked and fixes(c, c.columns[i].key):
            caller.flags |= CALLER_CHECKS
    caller.way = WAY_NEAR if caller.flags & CALLER_CHECKS else 0


cdef inline uint32_t limits_left(const Caller* caller, const Row* own) noexcept nogil:
    """Which of boundary and session policies do not allow everything of an action, without a branch."""
    return caller.flags & CALLER_LIMITED & ~(own.flags >> LIMITS_AT)


cdef inline bint is_here(const Caller* caller, uint64_t facts) noexcept nogil:
    """The resource belongs to the caller's own account, or nothing tells whose it is."""
    if facts & FACTS_TOLD:
        return caller.place == facts & PLACE
    return facts & FACTS_STAR or caller.place >> NUMBER_BITS == (facts & PLACE) >> NUMBER_BITS


cdef inline void put_resource(Call* c, const Caller* caller, uint64_t facts, uint32_t record) noexcept nogil:
    """Put the resource into the call, as `locate_resource` would: it is an ARN of the caller's partition, or `*`."""
    cut_resource(c)
    c.partition = NONE if c.is_star else c.principal.partition
    c.resource_stack = NONE
    c.resource_governs = 0
    c.blocks_public = False
    c.n_constants = 0
    c.owner_known = True
    c.owner_override = False
    c.unknown_owner = False
    c.assumed_owner = not facts & FACTS_TOLD
    if c.assumed_owner:
        c.owner = Text(&c.principal.account_id[0], 12)
    elif facts & FACTS_RECORD and c.t.records[record].account != NONE:
        c.owner = word_text(c.t, c.t.records[record].account)
    else:
        c.owner = field(c, 3)
    c.account = caller.account
    if not is_here(caller, facts):
        c.account = table_find(&c.t.account_names, c.t.pool, c.owner.data, c.owner.size, c.t.seed)
    c.rcp_stack = NONE if c.account == NONE else c.t.accounts[c.account].rcp_stack
    if facts & FACTS_RECORD:
        use_record(c, record)

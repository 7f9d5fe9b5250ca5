"""The usual request of a batch: a user or role of one partition, an action without rules of its own, in its own account. Header only.

What does not depend on the row is worked out once: a `Caller` for each principal of a batch, the facts of each resource of a
dictionary. Law: a row is decided here exactly as `_decide` would; whatever is not surely usual goes the long way.
"""
from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from fastiam._bytes cimport table_find
from fastiam._call cimport Call, field
from fastiam._columns cimport Text
from fastiam._decide cimport (
    ALLOW, DONE, IMPLICIT_DENY, LAYER_IDENTITY, LAYER_SCP, LAYER_SERVICE, REASON_HARD_RULE, REASON_NONE, UNCHECKED, Answer, cut_resource,
    decide, denied, every_level_allows, hard_rule, segment_allow, verdict, within_limits,
)
from fastiam._locate cimport find_record, may_contradict, use_record, word_text
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
    FACTS_TOLD = 0x040000000000  # something tells the owner: the record, or the account field
    FACTS_RECORD = 0x080000000000  # there is a record
    FACTS_LONG = 0x100000000000  # the long way: no ARN, another partition, a key of KMS, a record that must be asked for
    FACTS_STAR = 0x200000000000


cdef enum CallerFlag:
    CALLER_KNOWN = 1           # this is filled in
    CALLER_PLAIN = 2           # a user or role of an account in a partition that is known
    CALLER_LIMITED = 4         # has a boundary or session policies
    CALLER_CHECKS = 8          # a column gives a key that this principal fixes (K1)


cdef struct Caller:            # of a principal, as far as this batch is concerned
    uint64_t place
    uint32_t own_stack
    uint32_t scp_stack         # NONE: SCPs do not apply
    uint32_t account           # its own, in `accounts`; NONE: not modelled
    uint32_t rcp_stack         # of its own account, NONE: none
    uint8_t flags
    uint8_t credential


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
    cdef uint64_t n = 0
    cdef uint32_t digit
    cdef int i
    if size != 12:
        return False
    for i in range(12):
        digit = <uint32_t><uint8_t>p[i] - 48
        if digit > 9:
            return False
        n = 10 * n + digit
    number[0] = n
    return True


cdef inline uint64_t read_facts(Call* c, uint32_t* record) noexcept nogil:
    """What there is to know about `c.resource`; the call is used to look it up."""
    cdef Text text
    cdef uint64_t number = 0, facts
    record[0] = NONE
    if not cut_resource(c):
        return FACTS_LONG
    if c.is_star:
        return FACTS_STAR
    if c.is_kms_key or find_record(c, record) != DONE:
        return FACTS_LONG
    text = field(c, 0)
    facts = partition_number(text.data, text.size) << NUMBER_BITS
    if facts == 0:
        return FACTS_LONG
    text = field(c, 3)
    if account_number(text.data, text.size, &number):
        facts |= FACTS_TOLD
    if record[0] != NONE:
        facts |= FACTS_RECORD
        if c.t.records[record[0]].account != NONE:
            text = word_text(c.t, c.t.records[record[0]].account)
            account_number(text.data, text.size, &number)
            facts |= FACTS_TOLD
    return facts | number


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
    caller.own_stack = p.own_stack
    caller.scp_stack = p.scp_stack if p.flags & P_HAS_SCP else <uint32_t>NONE
    caller.account = NONE
    caller.rcp_stack = NONE
    caller.credential = p.credential
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
    if p.flags & (P_HAS_BOUNDARY | P_HAS_SESSION):
        caller.flags |= CALLER_LIMITED
    caller.account = p.account_index
    if p.account_index == NONE and c.t.n_accounts:
        caller.account = table_find(&c.t.account_names, c.t.pool, p.account_id, 12, c.t.seed)
    if caller.account != NONE:
        caller.rcp_stack = c.t.accounts[caller.account].rcp_stack
    for i in range(c.n_columns):
        if c.t.keys[c.columns[i].key].is_checked and fixes(c, c.columns[i].key):
            caller.flags |= CALLER_CHECKS


cdef inline bint is_here(const Caller* caller, uint64_t facts) noexcept nogil:
    """The resource belongs to the caller's own account, or nothing tells whose it is."""
    if facts & FACTS_TOLD:
        return caller.place == facts & PLACE
    return facts & FACTS_STAR or caller.place >> NUMBER_BITS == (facts & PLACE) >> NUMBER_BITS


cdef inline bint is_same_partition(const Caller* caller, uint64_t facts) noexcept nogil:
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


cdef inline int decide_here(Call* c, const Row* scp, const Row* rcp, Answer* a) noexcept nogil:
    """A request in the caller's own account, on a resource of which nothing is stored (6.4 `same_account`)."""
    cdef const Entry* e
    if (rcp.flags & ROW_DENIES and denied(c, rcp[0], a)) or (scp.flags & ROW_DENIES and denied(c, scp[0], a)):
        return DONE
    if c.own.flags & ROW_DENIES and denied(c, c.own, a):
        return DONE
    if scp.n and not scp.flags & ROW_PASSES and not every_level_allows(c, scp[0]):
        return verdict(a, IMPLICIT_DENY, LAYER_SCP, REASON_NONE, NULL)
    if c.action.flags & ACT_HARD and hard_rule(c):
        return verdict(a, IMPLICIT_DENY, LAYER_SERVICE, REASON_HARD_RULE, NULL)
    e = segment_allow(c, c.own, 0) if c.own.flags & ROW_GRANTS else NULL
    if e == NULL:
        return verdict(a, IMPLICIT_DENY, LAYER_IDENTITY, REASON_NONE, NULL)
    if not within_limits(c, c.own, a):
        return DONE
    return verdict(a, ALLOW, LAYER_IDENTITY, REASON_NONE, e)


cdef inline int decide_placed(Call* c, const Caller* caller, Answer* a) noexcept nogil:
    """Any request whose resource is placed."""
    cdef uint32_t i
    if caller.flags & CALLER_CHECKS or c.n_constants:
        for i in range(<uint32_t>c.n_columns):
            if c.t.keys[c.columns[i].key].is_checked and may_contradict(c, c.columns[i].key):
                return UNCHECKED
    return decide(c, a)

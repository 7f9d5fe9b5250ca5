"""Lookup of the resource and the endpoint of a call in the tables of a directory (D23, 6.10, D40, K1). Header only."""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp

from fastiam.kernel.base.arn cimport account_number
from fastiam.kernel.base.invariants cimport promise
from fastiam.kernel.base.text cimport Text, same
from fastiam.kernel.eval.unknown cimport is_declared, known_absent
from fastiam.kernel.model.call cimport Call, ENDPOINT_KNOWN, ENDPOINT_NONE, ENDPOINT_UNKNOWN
from fastiam.kernel.eval.key_values cimport KeyValues, constant_of, field, given, source_account
from fastiam.kernel.model.decision cimport BAD_OWNER, DONE, NO_FACTS
from fastiam.kernel.model.string_table cimport table_find
from fastiam.kernel.model.tables cimport *


cdef enum:
    OTHER_PARTITION = 0xFFFFFFFE   # a word that no principal has


cdef inline bint may_name_provider(Text name, const ActionClass* action) noexcept nogil:
    """Whether the principal is identified by a name and the action (N3), a `provider_key`, and not only by a name: a federated provider."""
    return action.flags & ACT_FEDERATION and not (name.size >= 4 and memcmp(name.data, b"arn:", 4) == 0)


cdef inline Text symbol_text(const TablesC* t, uint32_t symbol) noexcept nogil:
    return Text(<const char*>t.pool + t.symbols[symbol].text, t.symbols[symbol].size)


cdef inline uint32_t bucket_record(Call* c, bint objects) noexcept nogil:
    """The record of an S3 object's bucket, or of the object itself for its tags."""
    cdef const char* tail = c.resource.data + c.colons[4] + 1
    cdef int64_t size = c.resource.size - c.colons[4] - 1
    cdef const char* slash = <const char*>memchr(tail, 47, <size_t>size)
    cdef uint32_t found = NONE
    if slash == NULL or objects:
        found = table_find(&c.t.record_names, c.t.pool, c.resource.data, c.resource.size, c.t.seed)
    if found == NONE and slash != NULL:
        found = table_find(&c.t.record_names, c.t.pool, c.resource.data, slash - c.resource.data, c.t.seed)
    return found


cdef inline bint needs_exact_record(uint32_t mode, const char* last, int64_t size) noexcept nogil:
    """Whether an ARN has no governing resource but itself (6.10), by its last field: no record must be looked up where none is stored."""
    cdef int64_t i, marks = 0
    if mode == MODE_SECRET:
        if size < 8 or last[size - 7] != 45:
            return False
        for i in range(size - 6, size):                  # characters, not bytes
            marks |= last[i] & 0x80
        return marks == 0
    for i in range(size):
        marks += (last[i] == 47) | (last[i] == 58)
    return mode > MODE_FACTS and marks <= (mode != MODE_WHOLE)


cdef inline uint32_t find_prefix_record(const TablesC* t, const char* arn, int64_t size, int64_t last) noexcept nogil:
    """The record of all resources that have none of their own and begin as this one does, up to a mark of its last field, which starts
    at `last`: a `start_key` of `kernel.plan.names`. NONE: the directory was not asked for one of them yet."""
    cdef uint32_t record = NONE, marks = 0
    cdef int64_t i
    for i in range(last, size):
        if arn[i] == 47 or arn[i] == 58:
            record = table_find(&t.fact_names, t.pool, arn + START_AT, i + 1 - START_AT, t.seed)
            marks += 1
            if record != NONE or marks == MAX_PREFIX_CUTS:
                break
    return record


cdef inline uint32_t record_mode(const Call* c) noexcept nogil:
    """How records of the service of the resource are found; NONE: it has none."""
    if c.is_star or c.t.services.n == 0:
        return NONE
    return table_find(&c.t.services, c.t.pool, c.resource.data + c.colons[1] + 1, c.colons[2] - c.colons[1] - 1, c.t.seed)


cdef inline int find_record(Call* c, uint32_t mode, uint32_t* record) noexcept nogil:
    """What is stored about the resource of the call, by the mode of its service; NONE if nothing."""
    record[0] = NONE
    if mode == NONE:
        return DONE
    if mode == MODE_EXACT:
        record[0] = table_find(&c.t.record_names, c.t.pool, c.resource.data, c.resource.size, c.t.seed)
        return DONE
    if mode < MODE_FACTS and field(c, 3).size == 0 and field(c, 2).size == 0:
        record[0] = bucket_record(c, mode == MODE_OBJECT)
        return DONE
    record[0] = table_find(&c.t.fact_names, c.t.pool, c.resource.data, c.resource.size, c.t.seed)
    if record[0] != NONE or needs_exact_record(mode, c.resource.data + c.colons[4] + 1, c.resource.size - c.colons[4] - 1):
        return DONE
    record[0] = find_prefix_record(c.t, c.resource.data, c.resource.size, c.colons[4] + 1)
    return NO_FACTS if record[0] == NONE else DONE


cdef inline void apply_record(Call* c, uint32_t id) noexcept nogil:
    """Take policies and constants of a record; tags only of exactly this resource."""
    cdef const ResourceRecord* r = &c.t.records[id]
    promise(id < c.t.n_records)
    c.resource_set = r.policy_set
    c.resource_governs = r.flags
    c.blocks_public = r.flags & RECORD_BLOCKS_PUBLIC
    c.constants = &c.t.constants[r.constants]
    c.n_constants = r.n_constants
    if r.arn != NONE:
        c.resource = Text(<const char*>c.t.pool + r.arn, r.arn_size)
    elif r.flags & RECORD_IS_PARENT and memchr(c.resource.data + c.colons[4] + 1, 47, <size_t>(c.resource.size - c.colons[4] - 1)) != NULL:
        c.n_constants = 0


cdef inline int find_owner(Call* c, const Text* override, uint32_t record) noexcept nogil:
    """D23, in its order: the caller's word, the record, the ARN's account field, else the principal's account."""
    cdef Text field_text = Text(NULL, 0)
    cdef Text recorded = Text(NULL, 0)
    cdef uint64_t number
    if not c.is_star:
        field_text = field(c, 3)
    if record != NONE and c.t.records[record].account != NONE:
        recorded = symbol_text(c.t, c.t.records[record].account)
    c.owner_known = True
    if override != NULL and override.data != NULL:
        if not account_number(override.data, override.size, &number):
            return BAD_OWNER
        if recorded.data != NULL and memcmp(recorded.data, override.data, 12) != 0:
            return BAD_OWNER
        c.owner = override[0]
        c.owner_override = field_text.size > 0 and not same(field_text.data, field_text.size, override.data, 12)
    elif recorded.data != NULL:
        c.owner = recorded
    elif account_number(field_text.data, field_text.size, &number):
        c.owner = field_text
    else:
        c.unknown_owner = (
            c.t.denies_unknown_owner and not c.is_star
            and not (field_text.size == 3 and memcmp(field_text.data, b"aws", 3) == 0)
        )
        c.owner_known = c.principal.account != NONE
        c.assumed_owner = c.owner_known
        if c.owner_known:
            c.owner = Text(&c.principal.account_id[0], 12)
    return DONE


cdef inline void find_partition(Call* c) noexcept nogil:
    """The resource's partition as a word, as far as it is compared: the principal's, or another one."""
    cdef Text own, p
    c.partition = NONE
    if c.is_star:
        return
    c.partition = OTHER_PARTITION
    p = field(c, 0)
    if c.principal.partition != NONE:
        own = symbol_text(c.t, c.principal.partition)
        if same(own.data, own.size, p.data, p.size):
            c.partition = c.principal.partition


cdef inline void clear_record(Call* c) noexcept nogil:
    """Nothing is stored about the resource."""
    c.owner_override = False
    c.unknown_owner = False
    c.blocks_public = False
    c.resource_set = NONE
    c.resource_governs = 0
    c.n_constants = 0


cdef inline void find_account(Call* c, uint32_t known) noexcept nogil:
    """The account of the owner, which may be known, and its RCPs."""
    c.account = known
    if known == NONE and c.t.n_accounts:
        c.account = table_find(&c.t.account_names, c.t.pool, c.owner.data, c.owner.size, c.t.seed)
    promise(c.account == NONE or c.account < c.t.n_accounts)
    c.rcp_set = NONE if c.account == NONE else c.t.accounts[c.account].rcp_set


cdef inline int locate_found(Call* c, const Text* override, uint32_t record) noexcept nogil:
    """Owner, what the record says, RCPs of the owner's account."""
    cdef int status
    clear_record(c)
    c.assumed_owner = False
    c.rcp_set = NONE
    c.account = NONE
    find_partition(c)
    status = find_owner(c, override, record)
    if status != DONE:
        return status
    if record != NONE:
        apply_record(c, record)
    if c.owner_known:
        find_account(c, c.principal.account_index if memcmp(c.principal.account_id, c.owner.data, 12) == 0 else <uint32_t>NONE)
    return DONE


cdef inline int locate_resource(Call* c, const Text* override) noexcept nogil:
    """`locate_found`, of a record that has to be found."""
    cdef uint32_t record
    cdef int status = find_record(c, record_mode(c), &record)
    return status if status != DONE else locate_found(c, override, record)


cdef inline void locate_endpoint(Call* c) noexcept nogil:
    """The endpoint that `aws:SourceVpce` names (D40)."""
    cdef KeyValues chosen
    cdef uint32_t found = NONE
    c.endpoint = NULL
    c.endpoint_state = ENDPOINT_NONE
    c.endpoint_is_unknown = False
    if c.t.n_endpoints == 0:
        return
    given(c, c.t.key_source_vpce, 0, &chosen)
    if chosen.n == 0:
        if c.unknown != NULL and c.t.has_endpoints and is_declared(c, c.t.key_source_vpce):
            c.endpoint_state = ENDPOINT_UNKNOWN
            c.endpoint_is_unknown = True
        return
    if chosen.n == 1:
        found = table_find(&c.t.endpoint_names, c.t.pool, chosen.texts[0].data, chosen.texts[0].size, c.t.seed)
    promise(found == NONE or found < c.t.n_endpoints)
    if found != NONE:
        c.endpoint = &c.t.endpoints[found]
        c.endpoint_state = ENDPOINT_KNOWN
    elif c.t.has_endpoints:
        c.endpoint_state = ENDPOINT_UNKNOWN


cdef inline bint agrees(Call* c, const Constant* k, const KeyValues* value) noexcept nogil:
    """Whether what is given is letter by letter what is known."""
    cdef PoolText text
    cdef int32_t i
    if k.n != value.n or value.is_conflict:
        return False
    for i in range(k.n):
        text = c.t.const_texts[k.first + i]
        if not same(value.texts[i].data, value.texts[i].size, <const char*>c.t.pool + text.text, text.size):
            return False
    return True


cdef inline bint differs(Call* c, const Constant* constants, uint32_t n, uint32_t key, const KeyValues* value, bint* found) noexcept nogil:
    """Whether a constant of this key says something else."""
    cdef const Constant* known = constant_of(constants, n, key)
    found[0] = known != NULL
    return known != NULL and known.certainty != FACT_ASSUMED and not agrees(c, known, value)


cdef inline bint differs_from_organization(Call* c, uint32_t account, bint paths, const KeyValues* value) noexcept nogil:
    """Whether what is given is another organization than that of an account; NONE: nothing is known of it."""
    cdef uint32_t known
    if account == NONE:
        return False
    known = c.t.accounts[account].org_paths if paths else c.t.accounts[account].org
    return known == NONE or not agrees(c, &c.t.constants[known], value)


cdef inline bint is_of_known_account(Call* c) noexcept nogil:
    """Whether one of the constants of the endpoint names an account of the directory."""
    cdef const Constant* k
    cdef PoolText text
    cdef uint32_t i
    for i in range(c.endpoint.n_constants):
        k = &c.t.constants[c.endpoint.constants + i]
        text = c.t.const_texts[k.first]
        if table_find(&c.t.account_names, c.t.pool, <const char*>c.t.pool + text.text, text.size, c.t.seed) != NONE:
            return True
    return False


cdef inline bint differs_from_endpoint(Call* c, uint32_t key, const KeyValues* value) noexcept nogil:
    """Whether what is given is not what is known of the endpoint; where its account is known, that it is in no organization."""
    cdef bint found
    if c.endpoint == NULL:
        return False
    if differs(c, &c.t.constants[c.endpoint.constants], c.endpoint.n_constants, key, value, &found):
        return True
    return not found and is_of_known_account(c)


cdef inline bint may_contradict(Call* c, uint32_t key) noexcept nogil:
    """Whether a given derived key needs the full check of K1; False only where it surely does not contradict."""
    cdef const Key* k = &c.t.keys[key]
    cdef KeyValues value
    cdef bint found
    given(c, key, 0, &value)
    if value.n == 0:
        return False
    if c.principal.flags & P_KNOWN:
        if differs(c, &c.t.constants[c.principal.constants], c.principal.n_constants, key, &value, &found):
            return True
        if not found and known_absent(c, k, key):
            return True
    if k.source == KEY_RESOURCE_ACCOUNT:
        return c.owner_known and not c.assumed_owner and not (
            value.n == 1 and same(value.texts[0].data, value.texts[0].size, c.owner.data, c.owner.size)
        )
    if has_trait(k, OF_OWNER):
        return not c.assumed_owner and differs_from_organization(c, c.account, k.source == KEY_RESOURCE_ORG_PATHS, &value)
    if has_trait(k, OF_SOURCE_VPCE):
        return differs_from_endpoint(c, key, &value)
    if has_trait(k, OF_SOURCE_ACCOUNT):
        return differs_from_organization(c, source_account(c, 1), k.source == KEY_SOURCE_ORG_PATHS, &value)
    if has_trait(k, OF_TAGS):
        return differs(c, c.constants, c.n_constants, k.other if k.source == KEY_IAM_TAG else key, &value, &found)
    return False

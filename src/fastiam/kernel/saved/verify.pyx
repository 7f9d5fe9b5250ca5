"""Verification of mapped tables from an untrusted file: every index and size that a kernel follows is in range.

Invariant: every index that a kernel or a builder follows, and every size that it trusts, is checked here. Verified tables may decide wrongly if
someone has forged them, but they read no foreign memory. A kernel that follows another index adds a check here; the invariants that kernels
assume of the tables (`promise`) are checked here too.
"""


cdef enum:
    TAG_SIZE = 15              # len("aws:requesttag/")
    AHEAD = 2048               # bytes that are prefetched

cdef int64_t LATEST = 1 << 40  # seconds: no sum with an instant of a call overflows


cdef inline bint within(uint64_t first, uint64_t n, uint64_t total) noexcept nogil:
    return first + n <= total


cdef inline bint is_index(uint32_t i, uint32_t n) noexcept nogil:
    return i < n or i == NONE


cdef inline bint is_member(uint32_t i, uint32_t n_one, uint32_t n_many) noexcept nogil:
    """NONE, ONE and an index, or the index of a list."""
    if i == NONE:
        return True
    return (i ^ ONE) < n_one if i & ONE else i < n_many


cdef struct Progress:          # of the check of all entries
    uint64_t bytes_left        # texts may lie in each other: what is searched for slots has an end all the same
    uint64_t next              # where the members of the entry at hand start, if those of a vector follow one another


ctypedef bint (*EntryCheck)(Tables s, const void* at, Progress* done) noexcept nogil


cdef inline bint are_good(Tables s, const Vector* entries, EntryCheck is_good, Progress* done) noexcept nogil:
    """Whether every entry of a vector is good."""
    cdef const char* at = entries.data
    cdef uint32_t _i
    done.next = 0
    for _i in range(entries.n):
        prefetch(at + AHEAD)
        if not is_good(s, at, done):
            return False
        at += entries.item
    return True


cdef bint are_ranges(const Vector* ranges, uint32_t total) noexcept nogil:
    cdef const Range* r = <const Range*>ranges.data
    cdef uint32_t i
    for i in range(ranges.n):
        prefetch(<const char*>(r + i) + AHEAD)
        if not within(r[i].first, r[i].n, total):
            return False
    return True


cdef bint are_below(const Vector* numbers, uint32_t limit) noexcept nogil:
    cdef const uint32_t* at = <const uint32_t*>numbers.data
    cdef uint32_t i, most = 0
    for i in range(numbers.n):                           # PERF: no branch, so that vectors of numbers are compared
        most |= at[i] >= limit
    return most == 0


cdef bint are_texts(Tables s, const Vector* texts) noexcept nogil:
    cdef const PoolText* at = <const PoolText*>texts.data
    cdef uint32_t i
    for i in range(texts.n):
        prefetch(<const char*>(at + i) + AHEAD)
        if not within(at[i].text, at[i].size, s.pool.n):
            return False
    return True


cdef bint are_slots(const Vector* slots, uint32_t n) noexcept nogil:
    """Whether slots name only what there is, and have an empty one, where a search ends."""
    cdef const StringSlot* at = <const StringSlot*>slots.data
    cdef uint32_t i, used = 0, wrong = 0
    if slots.capacity == 0:
        return n == 0
    if slots.capacity & (slots.capacity - 1):
        return False
    for i in range(slots.capacity):
        prefetch(<const char*>(at + i) + AHEAD)
        used += at[i].hash != 0
        wrong |= (at[i].hash != 0) & (at[i].value >= n)
    return wrong == 0 and used < slots.capacity


# -- texts with variables ------------------------------------------------------------------------------------------------


cdef bint has_good_slots(Tables s, uint32_t start, uint32_t size, Progress* done) noexcept nogil:
    """Whether every variable in a text is one that there is."""
    cdef const uint8_t* at = <const uint8_t*>s.pool.data + start
    cdef const uint8_t* end = at + size
    cdef uint32_t number
    if size > done.bytes_left:
        return False
    done.bytes_left -= size
    while True:
        at = <const uint8_t*>memchr(at, TOKEN_VARIABLE, <size_t>(end - at))
        if at == NULL:
            return True
        if end - at < VARIABLE_TOKEN_SIZE or (at[1] | at[2] | at[3] | at[4]) & 128:
            return False
        number = at[1] | <uint32_t>at[2] << 7 | <uint32_t>at[3] << 14 | <uint32_t>at[4] << 21
        if number >= s.variables.n:
            return False
        at += VARIABLE_TOKEN_SIZE


cdef bint are_literals(const Pattern* p) noexcept nogil:
    """Whether the pieces of PATTERN_LITERALS lie in its text; its colons do."""
    cdef uint32_t start = p.prefix_size
    if p.size > 0xFFFF or p.tail > TAIL_GLOB or p.colon > 4 or (p.mid_size != 0) != (p.colon >= 3) or p.suffix_size > p.min_rest_size:
        return False                                     # a match op has the size in 16 bits
    if p.mid_size:
        start = <uint32_t>p.colons[p.colon] + p.mid_size
        if p.prefix_size > p.colons[p.colon]:
            return False
    if p.prefix_size > p.size or start + p.min_rest_size > p.size:  # so `need` and what precedes it have 16 bits, too
        return False
    if p.tail == TAIL_INNER:
        return p.min_rest_size > p.suffix_size and start + 1 + p.min_rest_size <= p.size
    return p.tail < TAIL_SUFFIX or start + p.suffix_size <= p.size


cdef bint is_pattern(Tables s, const void* at, Progress* done) noexcept nogil:
    cdef const Pattern* p = <const Pattern*>at
    cdef bint has_fields = p.colons[4] != 0
    cdef int i
    if p.kind > PATTERN_UNRESOLVED or not within(p.text, p.size, s.pool.n):
        return False
    if p.crossing != NONE:
        if p.crossing >= s.patterns.n:
            return False
        i = (<const Pattern*>s.patterns.data)[p.crossing].kind
        if i != PATTERN_CROSSING and i != PATTERN_CROSSING_VARIABLES:
            return False
    if has_fields:
        if p.colons[0] != 3 or p.colons[4] >= p.size:
            return False
        for i in range(4):
            if p.colons[i] >= p.colons[i + 1]:
                return False
        for i in range(5):
            if (<const uint8_t*>s.pool.data)[p.text + p.colons[i]] != 58:
                return False
    elif p.kind == PATTERN_LITERALS or p.kind == PATTERN_FIELDS or p.kind == PATTERN_VARIABLES:
        return False
    elif p.kind == PATTERN_CROSSING_VARIABLES:
        return False
    if p.kind == PATTERN_LITERALS and not are_literals(p):
        return False
    if p.kind == PATTERN_VARIABLES or p.kind == PATTERN_CROSSING_VARIABLES:
        return has_good_slots(s, p.text, p.size, done)
    return True


cdef bint is_variable(Tables s, const void* at, Progress* done) noexcept nogil:
    cdef const Variable* v = <const Variable*>at
    return v.key < s.keys.n and (v.default_text == NONE or within(v.default_text, v.default_size, s.pool.n))


# -- conditions ------------------------------------------------------------------------------------------------------------


cdef bint is_value(Tables s, const void* at, Progress* done) noexcept nogil:
    cdef const Value* v = <const Value*>at
    return within(v.text, v.size, s.pool.n) and (not v.has_variables or has_good_slots(s, v.text, v.size, done))


cdef bint is_atom(Tables s, const void* at, Progress* done) noexcept nogil:
    """Atoms have their values one after the other."""
    cdef const Atom* a = <const Atom*>at
    cdef const Value* v
    cdef uint32_t i
    if a.key >= s.keys.n or a.op > OP_LAST or a.relation > REL_GE or a.qualifier > FOR_ANY:
        return False
    if a.first != done.next or not within(a.first, a.n, s.values.n):
        return False
    done.next += a.n
    if a.op == OP_IP:
        for i in range(a.n):
            v = <const Value*>s.values.data + a.first + i
            if v.number < 0 or v.number > 128:
                return False
    return True


cdef bint is_key(Tables s, const void* at, Progress* done) noexcept nogil:
    cdef const Key* k = <const Key*>at
    cdef const uint8_t* text = <const uint8_t*>s.pool.data + k.text
    if not within(k.text, k.size, s.pool.n) or k.source > KEY_SOURCE_LAST:
        return False
    if k.tag and (k.tag != TAG_SIZE or k.size < TAG_SIZE or memcmp(text, b"aws:requesttag/", TAG_SIZE) != 0):
        return False
    if k.source == KEY_IAM_TAG:
        return k.other < s.keys.n
    return k.source != KEY_DEFAULT or k.other < s.constants.n


cdef bint is_constant(Tables s, const void* at, Progress* done) noexcept nogil:
    cdef const Constant* c = <const Constant*>at
    return c.key < s.keys.n and within(c.first, c.n, s.const_texts.n)


# -- principals --------------------------------------------------------------------------------------------------------------


cdef bint is_token(Tables s, const void* at, Progress* done) noexcept nogil:
    cdef const PrincipalToken* k = <const PrincipalToken*>at
    return k.form <= FORM_U and (k.form != FORM_SERVICE or k.value < s.symbols.texts.n)


cdef uint32_t n_allows(Tables s, uint32_t policy_set) noexcept nogil:
    """How many runs of allows the rows of a policy set have, of its first three segments; RCPs have none."""
    cdef const PolicySet* at
    cdef const LayerLevel* g
    cdef uint32_t i, found = 0
    at = <const PolicySet*>s.policy_sets.data + policy_set
    g = <const LayerLevel*>s.layer_levels.data + at.first
    for i in range(min(at.n, <uint32_t>3)):
        found += g[i].layer != LAYER_RCP
    return found


cdef bint grants(Tables s, uint32_t policy_set) noexcept nogil:
    """NONE, or a policy set with a run of allows."""
    return policy_set == NONE or (policy_set < s.policy_sets.n and n_allows(s, policy_set) > 0)


cdef bint are_names(Tables s, const Principal* p) noexcept nogil:
    cdef const uint32_t* symbols = <const uint32_t*>s.symbol_lists.data
    cdef uint32_t i
    if not within(p.absent, p.n_absent, s.symbol_lists.n):
        return False
    if p.n_names == 0 and p.names > s.principals.n:
        return False
    if p.n_names and not within(p.names, p.n_names, s.symbol_lists.n):
        return False
    for i in range(p.n_names):
        if symbols[p.names + i] >= s.symbols.texts.n:
            return False
    return p.n_names > 0 or not (p.kind == KIND_SVC or p.kind == KIND_OIDC or p.kind == KIND_SAML)


cdef bint is_principal(Tables s, const void* at, Progress* done) noexcept nogil:
    cdef const Principal* p = <const Principal*>at
    cdef uint32_t layer_levels = 1
    if p.kind > KIND_ANON or p.credential > CRED_ROOT_TOKEN_MFA or not is_index(p.partition, s.symbols.texts.n):
        return False
    if not are_names(s, p) or not within(p.constants, p.n_constants, s.constants.n):
        return False
    if p.principal_set >= s.policy_sets.n or not is_index(p.scp_set, s.policy_sets.n) or (p.flags & P_HAS_SCP and p.scp_set == NONE):
        return False
    if p.mfa_at != INT64_MIN and not -LATEST <= p.mfa_at <= LATEST:
        return False
    if p.flags & (P_HAS_BOUNDARY | P_EXTRA_BOUNDARY):
        layer_levels = 2
    if p.flags & (P_HAS_SESSION | P_EXTRA_SESSION):
        layer_levels = 3
    return n_allows(s, p.principal_set) >= layer_levels


cdef bint are_accounts_valid(Tables s, Names names) noexcept nogil:
    """Whether the accounts of all who have a name are there; those of others are of engines that share the tables."""
    cdef const Principal* principals = <const Principal*>s.principals.data
    cdef const uint32_t* values = <const uint32_t*>names.principals.values.data
    cdef uint32_t i
    for i in range(names.principals.values.n):
        if values[i] != NONE and not is_index(principals[values[i]].account_index, names.accounts.n):
            return False
    return True


# -- policies -----------------------------------------------------------------------------------------------------------------


cdef bint is_body(Tables s, const void* at, Progress* done) noexcept nogil:
    cdef const StatementBody* b = <const StatementBody*>at
    return (
        within(b.actions, b.n_actions, s.action_lists.n) and is_member(b.resources, s.patterns.n, s.resource_elements.n)
        and is_member(b.conditions, s.atoms.n, s.condition_lists.n) and is_index(b.principals, s.principal_elements.n)
    )


cdef bint is_policy(Tables s, const void* at, Progress* done) noexcept nogil:
    """Policies have their statements one after the other: an occurrence is found by halving."""
    cdef const Range* r = <const Range*>at
    if r.first != done.next or not within(r.first, r.n, s.policy_bodies.n):
        return False
    done.next += r.n
    return True


cdef bint is_layer_level(Tables s, const void* at, Progress* done) noexcept nogil:
    cdef const LayerLevel* g = <const LayerLevel*>at
    return within(g.first, g.n, s.set_policies.n) and g.layer <= LAYER_SESSION


# -- resources, accounts, endpoints ---------------------------------------------------------------------------------------------


cdef bint is_account_id(Tables s, uint32_t symbol) noexcept nogil:
    """NONE, or a symbol with twelve bytes that can be compared."""
    return symbol == NONE or (symbol < s.symbols.texts.n and within((<const PoolText*>s.symbols.texts.data)[symbol].text, ACCOUNT_SIZE, s.pool.n))


cdef bint is_record(Tables s, const void* at, Progress* done) noexcept nogil:
    cdef const ResourceRecord* k = <const ResourceRecord*>at
    if not is_account_id(s, k.account) or not grants(s, k.policy_set) or not within(k.constants, k.n_constants, s.constants.n):
        return False
    return k.arn == NONE or within(k.arn, k.arn_size, s.pool.n)


cdef bint lead_to_themselves(Tables s, const NameTable* k) noexcept nogil:
    """Whether no name of a resource leads to a record that stands for another ARN (6.10): these go by names that requests bring."""
    cdef const ResourceRecord* records = <const ResourceRecord*>s.records.data
    cdef const uint32_t* values = <const uint32_t*>k.values.data
    cdef uint32_t i
    for i in range(k.values.n):
        if values[i] != NONE and records[values[i]].arn != NONE:
            return False
    return True


cdef bint is_account(Tables s, const void* at, Progress* done) noexcept nogil:
    cdef const Account* a = <const Account*>at
    return is_index(a.rcp_set, s.policy_sets.n) and is_index(a.org, s.constants.n) and is_index(a.org_paths, s.constants.n)


cdef bint is_endpoint(Tables s, const void* at, Progress* done) noexcept nogil:
    cdef const Endpoint* e = <const Endpoint*>at
    return grants(s, e.policy_set) and within(e.constants, e.n_constants, s.constants.n)


cdef bint are_found(Tables s, const NameTable* k, uint32_t limit) noexcept nogil:
    """Whether a table of names leads only to what there is."""
    cdef const uint32_t* values = <const uint32_t*>k.values.data
    cdef uint32_t i, wrong = 0
    if k.texts.n != k.values.n or not are_texts(s, &k.texts) or not are_slots(&k.slots, k.texts.n):
        return False
    for i in range(k.texts.n):
        wrong |= (values[i] >= limit) & (values[i] != NONE)
    return wrong == 0


cdef bint are_all_found(Tables s, Names names) noexcept nogil:
    return (
        are_found(s, &names.principals, s.principals.n) and are_found(s, &names.records, s.records.n)
        and are_found(s, &names.facts, s.records.n) and are_found(s, &names.account_ids, names.accounts.n)
        and are_found(s, &names.endpoint_ids, names.endpoints.n) and are_found(s, &names.services, MODE_SECRET + 1)
    )


cdef const char* first_wrong(Tables s, Names names) noexcept nogil:
    """The first kind of entry that refers to an entry that does not exist. Each is checked after what it is reached through."""
    cdef Progress done
    done.bytes_left = 16 * <uint64_t>s.pool.n + 65536    # patterns share texts, two or three each
    if not are_texts(s, &s.const_texts) or not are_texts(s, &s.symbols.texts) or not are_slots(&s.symbols.slots, s.symbols.texts.n):
        return "texts"
    if s.symbols.values.n != s.symbols.texts.n or not are_below(&s.symbols.values, s.symbols.texts.n):
        return "words"
    if not are_good(s, &s.keys, is_key, &done) or not are_good(s, &s.variables, is_variable, &done):
        return "keys"
    if not are_good(s, &s.constants, is_constant, &done):
        return "keys"
    if not are_good(s, &s.patterns, is_pattern, &done):
        return "patterns"
    if not are_below(&s.pattern_lists, s.patterns.n) or not are_ranges(&s.resource_elements, s.pattern_lists.n):
        return "resources"
    if not are_good(s, &s.values, is_value, &done) or not are_good(s, &s.atoms, is_atom, &done):
        return "conditions"
    if not are_below(&s.atom_lists, s.atoms.n) or not are_ranges(&s.condition_lists, s.atom_lists.n):
        return "conditions"
    if not are_good(s, &s.tokens, is_token, &done) or not are_ranges(&s.principal_elements, s.tokens.n):
        return "principals of statements"
    if not are_good(s, &s.bodies, is_body, &done) or not are_good(s, &s.policies, is_policy, &done):
        return "policies"
    if not are_below(&s.policy_bodies, s.bodies.n):
        return "policies"
    if not are_good(s, &s.layer_levels, is_layer_level, &done):
        return "stacks"
    if not are_below(&s.set_policies, s.policies.n) or not are_ranges(&s.policy_sets, s.layer_levels.n):
        return "stacks"
    if not are_slots(&s.policy_set_slots, s.policy_sets.n) or s.folds_from.n != s.folds_to.n:
        return "stacks"
    if not are_good(s, &s.principals, is_principal, &done):
        return "principals"
    if not are_good(s, &s.records, is_record, &done) or not are_good(s, &names.accounts, is_account, &done):
        return "resources"
    if not are_good(s, &names.endpoints, is_endpoint, &done):
        return "resources"
    if not are_all_found(s, names):
        return "names"
    if not are_accounts_valid(s, names):
        return "principals"
    if not lead_to_themselves(s, &names.records) or not lead_to_themselves(s, &names.facts):
        return "resources"
    return NULL


def check_tables(Tables tables not None, Names names not None, list keys not None):
    """What refers to something that is not there, in words; None where nothing does.

    `keys` are the names of the condition keys by number, as Python has them.
    """
    cdef TablesC* t = &tables.t
    cdef const char* found
    cdef const Key* k
    with nogil:
        found = first_wrong(tables, names)
    if found != NULL:
        return found.decode()
    for key in (
        t.key_called_via, t.key_source_account, t.key_source_vpce, t.key_service_names, t.key_time, t.key_epoch, t.key_user_id,
        t.key_assumed_root,
    ):
        if key >= tables.keys.n:
            return "keys"
    if len(keys) != tables.keys.n:
        return "keys"
    for number, name in enumerate(keys):
        k = <const Key*>tables.keys.data + <uint32_t>number
        if tables.pool.data[k.text:k.text + k.size] != name.encode("utf-8", "surrogatepass"):
            return "keys"
    if not are_below(&tables.action_lists, <uint32_t>len(tables.pattern_texts)):
        return "actions"
    return None

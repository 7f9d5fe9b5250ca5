"""`Tables`: the compiled policies, filled while an engine is compiled and then frozen.

Entries that requests add later (plans, action names, sessions) are a bounded run-time cache: `drop` restores the frozen state.
`kernel.storage.vectors` owns the memory; `planner.pyx` and `index_builder.pyx` build plans; they are parts of this module.
"""
from libc.stdint cimport INT64_MIN, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from fastiam.kernel.base.invariants cimport narrow16, narrow32
from fastiam.kernel.base.text cimport hash_bytes, mix
from fastiam.kernel.eval.glob cimport glob
from fastiam.kernel.plan.patterns cimport read_crossing, read_pattern
from fastiam.kernel.model.tables cimport *
from fastiam.kernel.base.values cimport Instant, base64_size, read_address, read_instant
from fastiam.kernel.storage.vectors cimport CACHE, COMPILED, Vector, bytes_of, slots_for

from fastiam.errors import LimitError

# PERF: one module, which imports once what each of them needs: the build takes less time.
include "index_terms.pyx"
include "index_builder.pyx"
include "group_filters.pyx"
include "match_programs.pyx"
include "deny_filters.pyx"
include "plan_reads.pyx"
include "planner.pyx"
include "value_functions.pyx"


cdef class Tables(Planner):
    """What the policies of one or more engines say.

    Thread-safety: the caller of a method has the GIL; kernels read a snapshot (`Names.enter`, `leave`).
    """

    def __cinit__(self):
        self._index_policy_sets(16)

    # -- words, keys, constants ---------------------------------------------------------------------------------------------

    def symbol(self, bytes text):
        """The id of a text that is compared as a whole."""
        return self._symbol(text)

    cdef uint32_t _symbol(self, text) except? 0xFFFFFFFE:
        """The word of a text, NONE for None; policies may hold lone surrogates (V39)."""
        cdef bytes data
        cdef uint32_t found
        if text is None:
            return NONE
        data = (<str>text).encode("utf-8", "surrogatepass") if type(text) is str else text
        found = self._find(&self.symbols, data)
        if found == NONE:
            found = self.symbols.texts.n
            self._name(&self.symbols, data, found)
        return found

    def symbol_list(self, list symbols):
        """Consecutive words; the index of the first."""
        return self._numbers(&self.symbol_lists, symbols)

    def key(
        self, bytes name, *, source, other, tag, is_multi, is_single, is_resource_tag, is_principal_tag, is_session_entry, is_checked,
    ):
        """Enter a context key by its folded name."""
        cdef uint32_t start = self._text(name)
        cdef Key* k = <Key*>self._push(&self.keys)
        k[0] = Key(
            start, narrow32(len(name)), other, tag, source, is_multi, is_resource_tag, is_checked, is_principal_tag, is_session_entry, False,
            is_single, False,
        )
        return self.keys.n - 1

    cdef int _check_key(self, uint32_t key) except -1:
        """From now on what requests give under a key may contradict what is known (K1)."""
        cdef Key* k = <Key*>self.keys.data + key
        self.n_checked += not k.is_checked
        k.is_checked = True
        return 0

    def set_default(self, uint32_t key, uint32_t constant):
        """Give a key that nothing else sets a constant value."""
        cdef Key* k = <Key*>self.keys.data + key
        k.source = KEY_DEFAULT
        k.other = constant

    def special_keys(
        self, uint32_t called_via, uint32_t source_account, uint32_t source_vpce, uint32_t service_names, uint32_t time, uint32_t epoch,
        uint32_t user_id, uint32_t assumed_root,
    ):
        """Set the keys that rules name."""
        self.t.key_called_via = called_via
        self.t.key_source_account = source_account
        self.t.key_source_vpce = source_vpce
        self.t.key_service_names = service_names
        self.t.key_time = time
        self.t.key_epoch = epoch
        self.t.key_user_id = user_id
        self.t.key_assumed_root = assumed_root

    def constants_of(self, list constants):
        """Consecutive constants, each (key, texts, is_multi, is_conflict, certainty); the index of the first."""
        return self._constants(constants, False)

    cdef uint32_t _constants(self, list constants, bint own) except? 0xFFFFFFFE:
        """With `own` they are a principal's, whom callers may not contradict (K1)."""
        cdef uint32_t first = self.constants.n, start
        cdef Constant* at
        cdef PoolText* piece
        cdef bytes data
        cdef uint16_t n
        for key, texts, is_multi, is_conflict, certainty in constants:
            n = counted(texts, "values of one key")
            found = None if self.texts is None else self.texts.get(texts)
            if found is None:
                found = self.const_texts.n
                for one in <tuple>texts:
                    data = (<str>one).encode("utf-8", "surrogatepass")
                    start = self._shared(data)
                    piece = <PoolText*>self._push(&self.const_texts)
                    piece[0] = PoolText(start, narrow32(len(data)))
                if self.texts is not None:
                    self.texts[texts] = found
            at = <Constant*>self._push(&self.constants)
            at[0] = Constant(key, found, n, CONSTANT_MULTI * <bint>is_multi | CONSTANT_CONFLICT * <bint>is_conflict, certainty)
            if own:
                self._check_key(key)
                (<Key*>self.keys.data)[<uint32_t>key].is_principal_fixed = True
        return first

    cdef uint32_t _shared_constants(self, list constants) except? 0xFFFFFFFE:
        """The same, once for all records that have them, as long as policies are compiled: the truth of a condition is memoized for all of them."""
        if self.shared is None:
            return self._constants(constants, False)
        key = tuple(constants)
        found = self.shared.get(key)
        if found is None:
            found = self.shared[key] = self._constants(constants, False)
        return found

    def folds(self, list pairs):
        """The characters beyond ASCII that simple folding changes, sorted."""
        for a, b in pairs:
            self._number(&self.folds_from, a)
            self._number(&self.folds_to, b)

    # -- patterns and conditions ---------------------------------------------------------------------------------------------

    def variable(self, uint32_t key, default):
        """A variable by its key, with its default text or None."""
        cdef uint32_t start = NONE if default is None else self._text(default)
        cdef Variable* v = <Variable*>self._push(&self.variables)
        v[0] = Variable(key, start, 0 if default is None else narrow32(len(default)))
        return self.variables.n - 1

    def pattern(self, int kind, int flags):
        """A resource pattern without a text."""
        cdef Pattern p
        memset(&p, 0, sizeof(Pattern))
        p.kind = kind
        p.flags = flags
        p.crossing = NONE
        return self._pattern(&p)

    def resource_pattern(self, list fields):
        """The pattern of an entry by its two to six encoded fields, the first of which is `arn`."""
        cdef Pattern p, crossing
        cdef int64_t colons[5]
        cdef int64_t size
        cdef int i, n = <int>len(fields)
        cdef bytes text = b":".join(fields + [b"\xfe"] * (6 - n))
        colons[0] = 3
        for i in range(1, 5):
            colons[i] = colons[i - 1] + 1 + (len(<bytes>fields[i]) if i < n else 1)
        memset(&p, 0, sizeof(Pattern))
        memset(&crossing, 0, sizeof(Pattern))
        read_pattern(text, len(text), colons, n, &p)
        size = read_crossing(text, len(text), colons, n, &crossing)
        p.crossing = crossing.crossing = NONE
        if p.kind != PATTERN_NEVER:
            p.text = crossing.text = self._shared(text)
            p.size = narrow32(len(text))
        if size >= 0:
            crossing.size = narrow32(size)
            p.crossing = self._pattern(&crossing)
            if crossing.colons[4] == 0:
                p.flags |= CROSSES_SHORT
        return self._pattern(&p)

    cdef uint32_t _pattern(self, const Pattern* p) except? 0xFFFFFFFE:
        (<Pattern*>self._push(&self.patterns))[0] = p[0]
        return self.patterns.n - 1

    cdef uint32_t _range(self, Vector* ranges, Vector* items, list numbers) except? 0xFFFFFFFE:
        cdef uint32_t first = self._numbers(items, numbers)
        cdef Range* at = <Range*>self._push(ranges)
        at[0] = Range(first, narrow32(len(numbers)))
        return ranges.n - 1

    def resource_element(self, list patterns):
        """The patterns of a `Resource` or `NotResource` element."""
        if len(patterns) == 1:
            return <uint32_t>ONE | <uint32_t>patterns[0]
        return self._range(&self.resource_elements, &self.pattern_lists, patterns)

    def condition_list(self, list atoms):
        """The atoms of a condition block."""
        if len(atoms) == 1:
            return <uint32_t>ONE | <uint32_t>atoms[0]
        return self._range(&self.condition_lists, &self.atom_lists, atoms)

    def atom(self, int op, int relation, int qualifier, int flags, uint32_t key, values):
        """An atom with its values, each (text, number, nanos, is_u, has_variables, unresolved, address)."""
        cdef uint32_t first = self.values.n, start
        cdef Value* v
        cdef Atom* a
        for text, number, nanos, is_u, has_variables, unresolved, address in values:
            start = self._text(text)
            v = <Value*>self._push(&self.values)
            v.text = start
            v.size = narrow32(len(text))
            v.number = number
            v.nanos = nanos
            v.is_u = is_u
            v.has_variables = has_variables
            v.unresolved = unresolved
            memcpy(v.address, <const char*>(<bytes>address), 16)
        if not any([value[4] for value in values]):      # has_variables
            flags |= ATOM_FIXED
        a = <Atom*>self._push(&self.atoms)
        a[0] = Atom(key, first, narrow32(len(values)), op, relation, qualifier, flags)
        return self.atoms.n - 1

    def principal_element(self, list tokens):
        """The entries of a principal element, each (form, value, other, third)."""
        cdef uint32_t first = self.tokens.n
        cdef PrincipalToken* k
        cdef Range* at
        for form, value, other, third in tokens:
            k = <PrincipalToken*>self._push(&self.tokens)
            k[0] = PrincipalToken(value, other, third, form)
        at = <Range*>self._push(&self.principal_elements)
        at[0] = Range(first, narrow32(len(tokens)))
        return self.principal_elements.n - 1

    # -- policies -------------------------------------------------------------------------------------------------------------

    def action_pattern(self, parts):
        """Number an action pattern: (prefix, name), encoded and in lower case, or None for one that matches every action."""
        self.pattern_texts.append(parts)
        return len(self.pattern_texts) - 1

    def action_list(self, list actions):
        """The action patterns of an element; the index of the first."""
        return self._numbers(&self.action_lists, actions)

    def body(self, int flags, uint32_t first_action, uint32_t n_actions, uint32_t resources, uint32_t conditions, uint32_t principals):
        """A statement without its name."""
        cdef StatementBody* b = <StatementBody*>self._push(&self.bodies)
        b[0] = StatementBody(first_action, n_actions, resources, conditions, principals, flags)
        return self.bodies.n - 1

    def policy(self, list bodies):
        """A policy: its statements in order. Occurrence `o` of statement `i` is the index of the policy's first body plus `i`."""
        return self._range(&self.policies, &self.policy_bodies, bodies)

    def first_occurrence(self, uint32_t policy):
        """The occurrence of the first statement of a policy."""
        return (<Range*>self.policies.data)[policy].first

    def first_occurrences(self):
        """That of each policy, and where the next one would have its own, as bytes of uint32."""
        cdef bytearray found = bytearray((<size_t>self.policies.n + 1) * 4)
        cdef uint32_t* out = <uint32_t*><char*>found
        cdef uint32_t i
        for i in range(self.policies.n):
            out[i] = (<Range*>self.policies.data)[i].first
        out[self.policies.n] = self.policy_bodies.n
        return found

    def policy_set(self, tuple layer_levels):
        """Layers that are decided together, each (layer, level, policies); equal ones are one."""
        cdef uint32_t first = self.layer_levels.n, listed = self.set_policies.n, policies, at, mask
        cdef uint32_t new = self.policy_sets.n, h
        cdef uint16_t n
        cdef LayerLevel* s
        cdef const StringSlot* slots
        for layer, level, members in layer_levels:
            n = counted(tuple(members), "policies in one layer")
            policies = self._numbers(&self.set_policies, list(members))
            s = <LayerLevel*>self._push(&self.layer_levels)
            s[0] = LayerLevel(policies, n, layer, level)
        (<PolicySet*>self._push(&self.policy_sets))[0] = PolicySet(first, narrow32(len(layer_levels)))
        h = self._policy_set_hash(new)
        slots = <const StringSlot*>self.policy_set_slots.data
        mask = self.policy_set_slots.capacity - 1
        at = (h >> 1) & mask
        while slots[at].hash != 0:
            if slots[at].hash == h and self._equal_policy_sets(slots[at].value, new):
                self.policy_sets.n, self.layer_levels.n, self.set_policies.n = new, first, listed
                return slots[at].value
            at = (at + 1) & mask
        if slots_for(self.policy_sets.n) > self.policy_set_slots.capacity:
            self._index_policy_sets(slots_for(self.policy_sets.n))
        else:
            self._insert_slot(&self.policy_set_slots, h, new)
        return new

    cdef int _index_policy_sets(self, uint64_t capacity) except -1:
        """Slots for the stacks there are."""
        cdef uint32_t i
        self.policy_set_slots.n = 0
        self._resize(&self.policy_set_slots, capacity)
        for i in range(self.policy_sets.n):
            self._insert_slot(&self.policy_set_slots, self._policy_set_hash(i), i)
        return 0

    cdef uint32_t _policy_set_hash(self, uint32_t policy_set):
        cdef PolicySet s = (<PolicySet*>self.policy_sets.data)[policy_set]
        cdef const LayerLevel* g = <LayerLevel*>self.layer_levels.data + s.first
        cdef uint64_t h = s.n
        cdef uint32_t i
        for i in range(s.n):
            h = mix(h ^ (<uint64_t>g[i].layer << 40 | <uint64_t>g[i].level << 32 | g[i].n))
            h = hash_bytes(<const char*>(<uint32_t*>self.set_policies.data + g[i].first), <int64_t>g[i].n * 4, h)
        return <uint32_t>h | 1

    cdef bint _equal_policy_sets(self, uint32_t a, uint32_t b):
        cdef PolicySet s = (<PolicySet*>self.policy_sets.data)[a], o = (<PolicySet*>self.policy_sets.data)[b]
        cdef const LayerLevel* g = <LayerLevel*>self.layer_levels.data + s.first
        cdef const LayerLevel* k = <LayerLevel*>self.layer_levels.data + o.first
        cdef const uint32_t* policies = <uint32_t*>self.set_policies.data
        cdef uint32_t i
        if s.n != o.n:
            return False
        for i in range(s.n):
            if g[i].n != k[i].n or g[i].layer != k[i].layer or g[i].level != k[i].level:
                return False
            if g[i].n and memcmp(policies + g[i].first, policies + k[i].first, <size_t>g[i].n * 4) != 0:
                return False
        return True

    # -- who and what -----------------------------------------------------------------------------------------------------------

    def principal(
        self, *, int kind, int flags, int credential, account, partition, uint32_t account_index, user_arn, role, session_arn,
        federated_arn, unique_id, canonical_id, uint32_t principal_set, uint32_t scp_set, tuple names, list constants, uint32_t absent,
        uint16_t n_absent, mfa_at,
    ):
        """A principal; texts are None where there is none."""
        cdef uint32_t fixed = self._constants(constants, True), listed = self.symbol_lists.n
        cdef Principal k
        cdef Principal* p
        memset(&k, 0, sizeof(Principal))
        for name in names:
            self._number(&self.symbol_lists, self._symbol(name))
        k.kind = kind
        k.flags = flags
        k.credential = credential
        k.account = self._symbol(account)
        k.partition = self._symbol(partition)
        k.account_index = account_index
        if account is not None:
            name = (<str>account).encode("utf-8", "surrogatepass")
            memcpy(k.account_id, <const char*>(<bytes>name), min(12, len(name)))
        k.user_arn = self._symbol(user_arn)
        k.role = self._symbol(role)
        k.session_arn = self._symbol(session_arn)
        k.federated_arn = self._symbol(federated_arn)
        k.unique_id = self._symbol(unique_id)
        k.canonical_id = self._symbol(canonical_id)
        k.principal_set = principal_set
        k.scp_set = scp_set
        k.names = listed if names else 0
        k.n_names = counted(names, "names of one principal")
        k.constants = fixed
        k.n_constants = narrow32(len(constants))
        k.absent = absent
        k.n_absent = n_absent
        k.mfa_at = INT64_MIN if mfa_at is None else mfa_at
        p = <Principal*>self._push(&self.principals)
        p[0] = k
        return self.principals.n - 1

    def record(self, *, account, policy_set, list constants, arn, int flags):
        """What is stored about a resource."""
        cdef uint32_t fixed = self._shared_constants(constants)
        cdef uint32_t start = NONE if arn is None else self._text(arn)
        cdef uint32_t owner = self._symbol(account)
        cdef ResourceRecord* r = <ResourceRecord*>self._push(&self.records)
        cdef uint64_t number = 0
        if account is not None and len(account) == ACCOUNT_SIZE and account.isascii() and account.isdigit():
            number = int(account)
            flags |= RECORD_HAS_ACCOUNT_NUMBER
        if policy_set != <uint32_t>NONE or constants or arn is not None or flags & RECORD_BLOCKS_PUBLIC:
            flags |= RECORD_HAS_ATTRIBUTES
        r[0] = ResourceRecord(
            owner, policy_set, fixed, narrow32(len(constants)), start, 0 if arn is None else narrow32(len(arn)), <uint32_t>number, number >> 32,
            flags,
        )
        return self.records.n - 1

    # -- freeze and drop ----------------------------------------------------------------------------------------------------------

    def match(self, match_actions):
        """`match_actions(name)` gives the numbers of the action patterns so far that match, and the flags of an action.

        Stacks so far are found by action class; rows of later ones go by the name of the action.
        """
        self.match_actions = match_actions
        self.n_matched = len(self.pattern_texts)
        self.t.n_indexed_sets = self.policy_sets.n

    def freeze(self):
        """End of compilation: what is there now stays."""
        cdef int i
        self.n_patterns = len(self.pattern_texts)
        for i in range(len(self._vectors())):
            if self._vector(i).role == COMPILED:
                self._mark(self._vector(i))
        self.texts = self.shared = None
        self.sync()

    cdef int _mark(self, Vector* v) except -1:
        """What is in a vector now stays; the first time, nothing but that."""
        cdef bint first = v.mark == 0
        v.mark = v.n
        if first and <uint64_t>(v.capacity - v.n) * v.item > 4096:
            self._resize(v, v.n)
        return 0

    def drop(self):
        """Evict everything that requests added since `freeze`."""
        cdef Vector* v
        cdef bint has_symbols = self.symbols.texts.n > self.symbols.texts.mark, has_policy_sets = self.policy_sets.n > self.policy_sets.mark
        cdef int i
        for i in range(len(self._vectors())):
            v = self._vector(i)
            if v.role == COMPILED or v.role == CACHE:
                self._cut(v)
        self._make_slots(&self.action_names, 16)
        if has_symbols:
            self._make_slots(&self.symbols, slots_for(self.symbols.texts.n))
        if has_policy_sets:
            self._index_policy_sets(slots_for(self.policy_sets.n))
        del self.pattern_texts[self.n_patterns:]
        self.class_ids = {}
        self._cells(64)
        self.generation += 1
        self.sync()

    def keys_read(self):
        """The numbers of the keys that conditions and policy variables name."""
        cdef uint32_t i
        cdef const Atom* atoms = <const Atom*>self.atoms.data
        cdef const Variable* variables = <const Variable*>self.variables.data
        return {atoms[i].key for i in range(self.atoms.n)} | {variables[i].key for i in range(self.variables.n)}

    def n_interned(self):
        """How many action classes and sets of keys are found by what they hold: entries of dictionaries."""
        return len(self.class_ids) + len(self.read_ids)

    def sizes(self):
        """Counts and bytes, by table."""
        cdef int i
        cdef uint64_t rows = 0, size
        by_name = {}
        for i, name in enumerate(self._vectors()):
            size = bytes_of(self._vector(i))
            by_name[name] = size
            if self._vector(i).role >= CACHE:
                rows += size
        return {
            "bytes": self.total_bytes(),
            "row_bytes": rows,
            "statements": self.policy_bodies.n,
            "bodies": self.bodies.n,
            "policies": self.policies.n,
            "stacks": self.policy_sets.n,
            "principals": self.principals.n,
            "resources": self.records.n,
            "patterns": self.patterns.n,
            "conditions": self.atoms.n,
            "action_patterns": len(self.pattern_texts),
            "action_classes": self.classes.n,
            "action_names": self.action_names.texts.n,
            "rows": self.n_cells,
            "distinct_rows": self.plans.n - 1,
            "row_entries": self.entries.n,
            "indexed_runs": self.indexes.n,
            "generation": self.generation,
            "table_bytes": by_name,
        }

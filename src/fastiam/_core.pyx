"""What decides: single requests here, columns of them in the files of `kernel/batch`, which are included at the end.

A call is attempted on the tables as they are. If something is missing (a plan, the id of an action, a principal), the attempt ends with a
status. Python code resolves the miss, and the call is attempted again. No attempt runs Python code, so no other thread can interrupt one.
"""
cimport cython
from cpython.ref cimport PyObject
from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memset
from libc.time cimport time

from fastiam.kernel.base.invariants cimport narrow_int32
from fastiam.kernel.decide.routes cimport ROUTE_CALL_GENERAL, Route, route_count, routed
from fastiam.kernel.base.text cimport Text
from fastiam.kernel.call.fastcall cimport Method, take_decide, take_is_allowed
from fastiam.kernel.call.pair_cache cimport pair_cache_bytes
from fastiam.kernel.call.request_pipeline cimport (
    RequestPipeline, SIGNAL_INTERVAL, RESTART_AFTER, check_signals, decide_list_item, length_of, flush_pipeline,
)
from fastiam.kernel.call.single_call cimport decide_single_fast
from fastiam.kernel.call.workspace cimport (
    CachedDecision, Workspace, decision_key, clear_workspace, free_workspace, cache_decision, new_workspace, cache_session, decision_slot,
)
from fastiam.kernel.decide.attempt cimport answer, attempt
from fastiam.kernel.decide.combine cimport cut_resource, is_indeterminate
from fastiam.kernel.decide.locate cimport may_name_provider, apply_record, symbol_text
from fastiam.kernel.decide.scratch cimport Frame, clear, fit as fit_frame, next_stamp, utf8_of
from fastiam.kernel.model.call cimport Call, ENDPOINT_KNOWN, ENDPOINT_NONE, ENDPOINT_UNKNOWN, ContextEntry, TAG_AT
from fastiam.kernel.model.decision cimport ALLOW, RawDecision, BAD_RESOURCE, BAD_UNKNOWN, DEPENDS, DONE, MISSING, NO_ACTION, NO_FACTS, UNCHECKED
from fastiam.kernel.model.plan cimport PlanKey
from fastiam.kernel.model.string_table cimport table_find
from fastiam.kernel.model.tables cimport *
from fastiam.kernel.plan.names cimport Names, view
from fastiam.kernel.plan.tables cimport Tables
from fastiam.kernel.plan.names import provider_key

from fastiam.errors import FastiamError, LimitError, RequestValueError, error_at, not_resolved
from fastiam.model.request import (
    ContextValue, absent_keys, check_action, check_context, check_key, check_resource, check_root, epoch_seconds, exact_text,
    is_declared as is_declared_name, is_iterable, read_context, read_unknown, read_value,
)
from fastiam.model.session import session_content_key

_REQUEST_TAG = "aws:requesttag/"
_ABSENT = ContextValue(())  # a key that the caller says is absent


cdef class _Declared:
    """What a call declares unknown (6.11): folded names and prefixes, and for each key of the tables how it is declared."""

    def __cinit__(self, frozenset unknown):
        self.unknown = unknown
        self.tags = any(
            item.startswith(_REQUEST_TAG) or (item.endswith("*") and _REQUEST_TAG.startswith(item.removesuffix("*"))) for item in unknown
        )
        self.n_keys = 0

    cdef int fit(self, Tables tables) except -1:
        """See that every key of the tables has its byte."""
        while self.keys == NULL or self.n_keys != tables.t.n_keys or self.generation != tables.generation:
            self._fit(tables, tables.t.n_keys, tables.generation)
        return 0

    cdef int _fit(self, Tables tables, uint32_t n_keys, uint64_t generation) except -1:
        cdef const Key* k
        cdef uint32_t i
        names = {item.encode() for item in self.unknown}
        starts = tuple(item.removesuffix("*").encode() for item in self.unknown if item.endswith("*"))
        by_key = bytearray(n_keys + 1)
        for i in range(n_keys):
            if i >= tables.t.n_keys:                     # dropped meanwhile: this is done again
                break
            k = &tables.t.keys[i]
            name = tables.t.pool[k.text:k.text + k.size]
            if name in names:
                by_key[i] = <int>DECLARED_BY_NAME
            elif name.startswith(starts):
                by_key[i] = <int>DECLARED_BY_PREFIX
        self.by_key = bytes(by_key)
        self.keys = <const uint8_t*><const char*>self.by_key
        self.n_keys = n_keys
        self.generation = generation
        return 0


cdef inline Workspace* take(Core self) except NULL:
    """A workspace that no other call works with; its frame is clear."""
    cdef Workspace* w = self.free
    if w == NULL:
        return new_workspace()
    self.free = w.next
    return w


cdef inline void give(Core self, Workspace* w) noexcept:
    clear(&w.frame)
    w.next = self.free
    self.free = w


cdef inline bint is_ready(Core self, const Workspace* w) noexcept:
    """Whether requests can be decided on the tables as they are, and with what `w` has cached of them."""
    if self.always_general_path or self.grew or w.epoch != self.epoch or self.keys_known != self.names.t.key_changes:
        return False
    if self.generation != self.tables.generation or self.names.generation != self.tables.generation:
        return False
    return self.names.seen == self.tables.version


cdef class Core:
    """The compiled tables, and the calls for single requests. What they miss is resolved by a `Resolver` (`engine.resolving`)."""

    def __cinit__(self, *parts, **others):
        """A core over the names and tables of a resolver, which are frozen."""
        if others or len(parts) != 1 or type(getattr(parts[0], "names", None)) is not Names:
            raise TypeError("an engine comes out of `Directory.compile()` or `Engine.load(path)`")
        self.resolver = parts[0]
        self.names = self.resolver.names
        self.lock = self.resolver.lock
        self.defaults = self.resolver.defaults           # values by folded key for what a request does not give
        self.always_general_path = len(self.defaults) > 0
        self.tables = self.names.tables
        self.generation = self.tables.generation
        self.key_ids = {}
        self.session_ids = {}
        self.session_by_content = {}
        self.decisions = {}
        self.declared = {}
        self.principal_states = []
        self.has_many_misses = True

    def __dealloc__(self):
        cdef Workspace* w = self.free
        cdef Workspace* after
        while w != NULL:
            after = w.next
            free_workspace(w)
            w = after

    cdef int _refresh(self) except -1:
        """Clear numbers that were dropped, since another engine that shares the tables may have dropped them; and what is known of keys,
        where a session has brought some, or is the first to carry one."""
        view(self.names)
        if self.generation != self.tables.generation:
            self.generation = self.tables.generation
            self.epoch += 1
            self.key_ids = {}
            self.session_ids = {}
            self.session_by_content = {}
            self.decisions = {}
            self.principal_states = []
            self.has_many_misses = True
        if self.keys_known != self.tables.t.key_changes:
            self.keys_known = self.tables.t.key_changes
            self.epoch += 1
            self.key_ids = {}
        return 0

    def _runtime_cache_bytes(self):
        """The size in bytes of the pair caches, and of the principal states of batches."""
        cdef const Workspace* w = self.free
        cdef uint64_t total = 0
        while w != NULL:
            total += pair_cache_bytes(&w.pair_cache)
            w = w.next
        return total + sum(principal_states.nbytes for principal_states in self.principal_states)

    # -- the context of a single call ---------------------------------------------------------------------------------------------

    cdef int64_t _key(self, str name) except -2:
        cdef uint64_t generation
        if self.keys_known != self.tables.t.key_changes:     # a session has brought keys: what nothing read may be read now
            self._refresh()
        found = self.key_ids.get(name)
        while found is None:
            generation = self.tables.generation
            found = self.resolver.key_id(name)
            self.grew = True
            self.tables.sync()
            if generation != self.tables.generation:     # another thread has dropped what was found
                found = None
            elif len(self.key_ids) < 100_000:        # hostile spellings must not grow it without bound
                self.key_ids[name] = found
        return found

    cdef int _room(self, Frame* f, int32_t texts) except -1:
        if f.n_context_entries == f.entry_capacity:
            f.entry_capacity = 2 * f.entry_capacity + 16
            f.context_entries = <ContextEntry*>realloc(f.context_entries, f.entry_capacity * sizeof(ContextEntry))
        if f.n_texts + texts >= f.text_capacity:
            f.text_capacity = 2 * (f.n_texts + texts) + 16
            f.texts = <Text*>realloc(f.texts, f.text_capacity * sizeof(Text))
        if f.context_entries == NULL or f.texts == NULL:
            f.entry_capacity = f.text_capacity = 0
            raise MemoryError()
        return 0

    cdef int _add_context_entry(self, Frame* f, uint32_t key, str name, tuple values, bint is_multi, bint is_conflict) except -1:
        cdef ContextEntry* s
        cdef Text spelled
        if len(values) > MAX_TEXTS - f.n_texts:
            raise LimitError(f"a request has more than {MAX_TEXTS} values of condition keys")
        self._room(f, narrow_int32(len(values)))         # no value: the caller says that the key is absent
        s = &f.context_entries[f.n_context_entries]
        s[0] = ContextEntry(key, f.n_texts, narrow_int32(len(values)), is_multi, is_conflict, Text(NULL, 0))
        for value in values:
            utf8_of(value, &f.texts[f.n_texts])
            f.n_texts += 1
        if self.tables.t.keys[key].tag and len(values):
            utf8_of(name, &spelled)
            s.tag = Text(spelled.data + TAG_AT, spelled.size - TAG_AT)
        f.s.sources[key] = f.n_context_entries
        f.n_context_entries += 1
        return 0

    cdef int _add_values(self, Frame* f, object context) except -1:
        """A context of `ContextValue`s by folded key."""
        cdef int64_t key
        for folded, value in context.items():
            key = self._key(folded)
            if key >= 0:
                if key >= self.tables.t.n_keys:  # dropped meanwhile: the call is made again
                    return 0
                fit_frame(f, &self.tables.t)
                self._add_context_entry(f, <uint32_t>key, value.name or folded, value.values, value.multi, value.conflict)
        return 0

    cdef int _add_context(self, Frame* f, object context, list keep) except -1:
        """A caller's context; `keep` holds what the slots borrow from."""
        cdef int64_t key
        cdef Text text
        cdef const Key* k
        for name, value in context.items():
            if type(name) is not str:
                name = check_key(name)
            keep.append(name)                            # SAFETY: the code of a later value may take both out of the mapping
            keep.append(value)
            key = self._key(<str>name)
            if type(value) is str:
                if not utf8_of(<str>value, &text):
                    read_value(name, value)              # raises: a lone surrogate
                if key < 0:
                    continue
                if key >= self.tables.t.n_keys:  # dropped meanwhile: the call is made again
                    return 0
                fit_frame(f, &self.tables.t)
                if f.s.sources[key] >= 0:
                    return self._restart(f, context, keep)
                k = &self.tables.t.keys[key]
                self._add_context_entry(f, <uint32_t>key, <str>name, (value,), k.is_multi, False)
                continue
            read = read_value(name, value)
            if key < 0:
                continue
            if read is None:
                read = _ABSENT
            keep.append(read)
            if key >= self.tables.t.n_keys:  # dropped meanwhile: the call is made again
                return 0
            fit_frame(f, &self.tables.t)
            if f.s.sources[key] >= 0:
                return self._restart(f, context, keep)
            self._add_context_entry(f, <uint32_t>key, <str>name, read.values, read.multi, False)
        return 0

    cdef int _add_defaults(self, Frame* f, _Declared declared) except -1:
        cdef int64_t key
        for folded, value in self.defaults.items():
            if declared is not None and is_declared_name(declared.unknown, folded):
                continue                                 # no default fills an unknown key (D71)
            key = self._key(folded)
            if key >= self.tables.t.n_keys:  # dropped meanwhile: the call is made again
                return 0
            fit_frame(f, &self.tables.t)
            if f.s.sources[key] < 0:
                self._add_context_entry(f, <uint32_t>key, value.name or folded, value.values, value.multi, value.conflict)
        return 0

    cdef int _restart(self, Frame* f, object context, list keep) except -1:
        """Two spellings of one key: read the whole context again, joined (C6)."""
        clear(f)
        joined = read_context(context)
        for folded in absent_keys(context):
            joined.setdefault(folded, _ABSENT)
        keep.append(joined)
        return self._add_values(f, joined)

    # -- one request --------------------------------------------------------------------------------------------------------------------

    cdef bint _enter_by_template(self, bytes name) except -1:
        """Enter a name by whom it is like, where that is known already."""
        with self.lock:
            if not self.names.enter_from_template(name):
                return False
        self.n_misses += 1
        if self.n_misses >= CHECK_BOUND_EVERY or len(name) > MAX_COUNTED_NAME:
            self.n_misses = 0
            self.grew = True
        return True

    cdef int _enter_principal(self, str name, str action) except -1:
        """Enter the principal by a name that was not found."""
        if not (name.startswith("arn:") and self._enter_by_template(name.encode())):
            self.resolver.add_principal(name, action)
        return 0

    cdef tuple _session(self, object session):
        """The number of a session, with the session. Sessions with equal content are one principal; the last one is retained."""
        cdef uint64_t generation = self.tables.generation
        known = self.session_ids.get(id(session))
        if known is not None:
            return known
        content_key = session_content_key(session)
        same_content = None if content_key is None else self.session_by_content.get(content_key)
        known = (self.resolver.add_session(session) if same_content is None else same_content[0], session)
        if generation == self.tables.generation:         # else another thread has dropped it
            if same_content is not None:
                self.session_ids.pop(id(same_content[1]), None)
            if content_key is not None:
                self.session_by_content[content_key] = known
            self.session_ids[id(session)] = known
        return known

    cdef int _principal_number(self, Workspace* w, object principal, str action, Call* c) except -1:
        """Find the principal in the tables; False where the directory must be read first."""
        cdef Text name
        cdef uint32_t found = NONE
        cdef const TablesC* t = view(self.names)
        if type(principal) is str:
            if not utf8_of(<str>principal, &name):
                raise RequestValueError("a principal holds a lone surrogate and is not a valid text", column="principal")
            if may_name_provider(name, c.action):            # a service elsewhere
                key = provider_key(principal, action)
                found = table_find(&t.principal_names, t.pool, key, len(key), t.seed)
            else:
                found = table_find(&t.principal_names, t.pool, name.data, name.size, t.seed)
                if found == NONE and self._enter_by_template(name.data[:name.size]):
                    t = view(self.names)
                    found = table_find(&t.principal_names, t.pool, name.data, name.size, t.seed)
            if found == NONE:
                self.grew = True
                self.resolver.add_principal(principal, action)
                return False
        else:
            known = self.session_ids.get(id(principal))
            if known is None:
                self.grew = True
                self._session(principal)
                self.tables.sync()
                return False
            found = known[0]
            cache_session(w, principal, found)
        c.principal = &self.tables.t.principals[found]
        return True

    cdef int _action_number(self, str action, Call* c) except -1:
        cdef Text text
        cdef uint32_t name
        if not utf8_of(action, &text):
            check_action(action)                         # raises
        name = table_find(&self.tables.t.action_names, self.tables.t.pool, text.data, text.size, self.tables.t.seed)
        if name == NONE:
            check_action(action)
            self.grew = True
            with self.lock:  # one builder at a time
                self.tables.find_action(text.data[:text.size], &name)
        c.action_name = name
        c.action_class = self.tables.t.name_classes[name]
        c.action = &self.tables.t.classes[c.action_class]
        return 0

    cdef int _build_plan(self, const Call* c, const RawDecision* a, uint64_t generation) except -1:
        """Build the plan that an attempt misses, which was made in a generation of the tables."""
        cdef PlanKey key = PlanKey(a.missing, c.action_class, c.action_name, a.missing_flag)
        with self.lock:  # one builder at a time
            if generation == self.tables.generation:  # else the numbers of the attempt have been dropped
                self.tables.build_plans(&key, 1)
        return 0

    cdef int _build_missing_plan(self, Workspace* w, const RawDecision* a) except -1:
        """Build the plan that the fast path misses. The next call checks the bound of the cache, if the tables have taken memory."""
        self._build_plan(&w.call, a, self.tables.generation)
        clear(&w.frame)
        self.grew |= self.tables.n_resizes != self.n_resizes
        self.n_resizes = self.tables.n_resizes
        view(self.names)
        return 0

    cdef int _resolve_miss(self, int status, Call* c, RawDecision* a, uint64_t generation, tuple request, bint* checked) except -1:
        """Make ready for another attempt, or raise."""
        self.grew = True
        if status == MISSING:
            self._build_plan(c, a, generation)
        elif status == NO_FACTS:
            self.resolver.add_resource(request[2])
        elif status == UNCHECKED:
            self.resolver.check_request(*request)
            checked[0] = True
        elif status == BAD_UNKNOWN:
            check_root(("aws:assumedroot",))             # raises
        else:
            check_resource(request[2])
            self.resolver.check_request(*request)
            raise RequestValueError("the request cannot be read", column="resource")
        return 0

    cdef bint _point(self, Workspace* w, Call* c, _Declared declared) except -1:
        """Point a call at the tables and at its context; False where a builder has added keys meanwhile."""
        cdef Frame* f = &w.frame
        c.t = view(self.names)
        if declared is not None and declared.n_keys < c.t.n_keys:
            return False
        c.action = &c.t.classes[c.action_class]
        fit_frame(f, c.t)
        c.s = &f.s
        c.context_entries = f.context_entries
        c.entry_texts = f.texts
        c.n_context_entries = f.n_context_entries
        if declared is not None:
            c.unknown = declared.keys
            c.unknown_tags = declared.tags
        return True

    cdef int _decide(
        self, Workspace* w, Call* c, RawDecision* a, object principal, object action, object resource, object context, object owner,
        int64_t now, bint reasons, _Declared declared, list keep,
    ) except -1:
        """Decide one request of any kind; `w` holds the context, and `keep` what that borrows from.

        Without `reasons` only whether the answer is ALLOW can be relied on.
        """
        cdef Frame* f = &w.frame
        cdef Text owner_text = Text(NULL, 0)
        cdef bint checked = False
        cdef uint64_t generation
        cdef int status = NO_ACTION
        if type(principal) is not str and isinstance(principal, str):
            principal = exact_text(principal)
        if type(action) is not str:
            action = check_action(action)
        if type(resource) is not str:
            resource = check_resource(resource)
        if type(owner) is not str and isinstance(owner, str):
            owner = exact_text(owner)
        keep += (principal, action, resource, owner)     # their addresses are put into the call
        if type(context) is dict:
            context = dict(context)                      # every attempt, and the check between them, reads the same
        elif context is not None:
            check_context(context)
        if owner is not None and (type(owner) is not str or not utf8_of(owner, &owner_text)):
            raise RequestValueError("`resource_account` must be text", column="resource_account")
        n_own = len(keep)
        memset(c, 0, sizeof(Call))
        if self.grew:                                    # here nothing is in flight, and a call drops once at most
            self.grew = False
            self.resolver.enforce_cache_bound()
        for _ in range(MAX_ATTEMPTS):
            self._refresh()
            if w.epoch != self.epoch:
                w.epoch = self.epoch
                clear_workspace(w)
            generation = self.tables.generation
            c.now = now
            c.reasons = reasons
            c.accept[0] = STRICT
            c.accept[1] = BROAD
            clear(f)
            del keep[n_own:]
            fit_frame(f, &self.tables.t)
            if context is not None:
                self._add_context(f, context, keep)
            if self.defaults:
                self._add_defaults(f, declared)
            if declared is not None:
                declared.fit(self.tables)
            self._action_number(<str>action, c)
            if not self._principal_number(w, principal, <str>action, c):
                continue
            # SAFETY: from here on the call points at the principal, so nothing may run that adds another
            if not utf8_of(<str>resource, &c.resource):
                check_resource(resource)                 # raises
            if generation != self.tables.generation or not self._point(w, c, declared):
                continue
            # from here to the end of the attempt no Python code runs
            status = attempt(c, a, &owner_text, checked)
            if f.s.failed:
                f.s.failed = 0
                raise MemoryError()
            if routed(ROUTE_CALL_GENERAL, status) == DONE:
                return 0
            unknown = () if declared is None else declared.unknown
            self._resolve_miss(status, c, a, generation, (principal, action, resource, context, owner, unknown), &checked)
        raise not_resolved()

    cdef _Declared _declare(self, object unknown, object context):
        """What a call declares unknown, or None; kept for the next call that declares the same."""
        read = read_unknown(unknown, check_context(context))
        if not read:
            return None
        found = self.declared.get(read)
        if found is None:
            if len(self.declared) > 100:
                self.declared = {}
            found = self.declared[read] = _Declared(read)
        return found

    cdef object _cached_decision(self, Workspace* w, Call* c, const RawDecision* a):
        """The cached `Decision` of a result, if no key is unknown; runs no Python code."""
        cdef uint64_t key
        cdef CachedDecision* slot
        if a.outcome == DEPENDS:
            return None
        key = decision_key(c, a, is_indeterminate(c, a))
        slot = decision_slot(w, key)
        if slot.decision != NULL and slot.key == key and w.epoch == self.epoch:
            return <object>slot.decision
        found = self.decisions.get(key)
        if found is not None and w.epoch == self.epoch:
            cache_decision(slot, key, found)
        return found

    cdef object _decision_of(self, Workspace* w, Call* c, const RawDecision* a):
        """The `Decision` that says an answer, always the same object; None where the tables were dropped meanwhile."""
        cdef bint indeterminate
        cdef uint64_t generation = self.tables.generation
        cdef uint32_t occurrence, level, i
        found = self._cached_decision(w, c, a)
        if found is not None:
            return found
        # what the answer points to is read before anything is made: that may run code, and move the tables
        indeterminate = is_indeterminate(c, a)
        name = decision_key(c, a, indeterminate)
        occurrence = NONE if a.entry == NULL else a.entry.occurrence
        level = 0 if a.entry == NULL else a.entry.level
        deciding_keys = ()
        if a.outcome == DEPENDS:
            deciding_keys = tuple([w.frame.s.deciding_keys[i] for i in range(w.frame.s.n_deciding_keys)])
            name = (name, deciding_keys)
            found = self.decisions.get(name)
            if found is not None:
                return found
        with self.lock:                                 # nothing is dropped while this lock is taken
            if generation != self.tables.generation:
                return None
            found = self.resolver.decision(
                a.outcome, a.layer, a.reason, None if occurrence == NONE else occurrence, level, indeterminate,
                bool(c.assumed_owner), bool(c.owner_override), deciding_keys,
            )
            if len(self.decisions) > 200_000:
                self.decisions = {}
            self.decisions[name] = found
        return found

    cdef int _decide_general(
        self, Workspace* w, Call* c, RawDecision* a, object principal, object action, object resource, object context, object owner,
        int64_t now, bint reasons, object unknown, list keep,
    ) except -1:
        """`kernel.decide.combine` for whatever a caller declares unknown."""
        cdef _Declared declared = None if unknown is () else self._declare(unknown, context)
        return self._decide(w, c, a, principal, action, resource, context, owner, now, reasons, declared, keep)

    # PERF: a plain built-in method is called at less cost than one that is bound; its text gives the signature
    @cython.binding(False)
    @cython.embedsignature(True)
    @cython.embedsignature.format("clinic")
    def is_allowed(self, principal, action, resource, context=None, *, unknown=(), resource_account=None, now=None):
        """Whether one request is authorised.

        Parameters
        ----------
        principal
            an ARN, a service name, `*` for an unsigned caller, or a `Session`.
        action
            one literal `service:Name`, in any case.
        resource
            an ARN, or `*` for actions without one.
        context
            mapping of condition keys to values: text, bool, int, float, Decimal, aware datetime, bytes, or a list of these. None
            says that the key is absent; a key that is derived (K1) keeps its derived value.
        unknown
            condition keys whose values are unknown, or prefixes such as `aws:ResourceTag/*` (spec 6.11). The answer is True only
            if the request is authorised whatever their values are.
        resource_account
            the owner of the resource, where the caller knows it (D23).
        now
            aware datetime; the clock where it is None (K5).

        Raises
        ------
        RequestValueError
            a value cannot be read, or contradicts the directory (K1, D23); a key is given and declared unknown.
        """
        return allowed_positional(self, principal, action, resource, context, unknown, resource_account, now)

    @cython.binding(False)
    @cython.embedsignature(True)
    @cython.embedsignature.format("clinic")
    def decide(self, principal, action, resource, context=None, *, unknown=(), resource_account=None, now=None):
        """The `Decision` on one request: outcome, layer, statement, and where it is DEPENDS the deciding keys.

        Arguments and errors as `is_allowed`.
        """
        return decision_positional(self, principal, action, resource, context, unknown, resource_account, now)

    # -- many requests ------------------------------------------------------------------------------------------------------------------

    def are_allowed(self, requests, *, unknown=(), now=None):
        """Whether each of many requests is authorised: a list of bools, one a request, in order.

        As `is_allowed` for each of them, in less time than that many calls take. For columns of requests there is `decide_many`.

        Parameters
        ----------
        requests
            tuples `(principal, action, resource)` or `(principal, action, resource, context)`, as `is_allowed` takes them.
        unknown
            as in `is_allowed`; the same for all requests.
        now
            aware datetime; the clock, read once, where it is None (K5).

        Raises
        ------
        RequestValueError
            as `is_allowed`, for the first request that cannot be decided; `row` is its place.
        """
        return self._decide_each(requests, unknown, now, False)

    def decide_each(self, requests, *, unknown=(), now=None):
        """The `Decision` on each of many requests: a list, in order.

        Arguments and errors as `are_allowed`.
        """
        return self._decide_each(requests, unknown, now, True)

    cdef list _decide_each(self, object requests, object unknown, object now, bint reasons):
        cdef int64_t seconds = time(NULL) if now is None else epoch_seconds(now)
        cdef list found = []
        cdef RequestPipeline ahead
        cdef Workspace* w
        cdef RawDecision a
        cdef Py_ssize_t i = 0
        cdef int status
        cdef bint is_plain = unknown is ()
        rows = listed(requests)
        ahead.is_active = False
        ahead.n_fast = RESTART_AFTER
        w = take(self)
        try:
            while True:
                if i % SIGNAL_INTERVAL == SIGNAL_INTERVAL - 1:
                    check_signals()
                    flush_pipeline(&ahead)
                if i >= length_of(<PyObject*>rows):      # code of others may have run, and changed the list
                    return found
                decided = None
                if is_plain and (ahead.is_active or is_ready(self, w)):
                    status = decide_list_item(
                        &ahead, w, &a, &self.names.t, <PyObject*>self.key_ids, <PyObject*>rows, i, seconds, reasons
                    )
                    if status == DONE:
                        decided = self._cached_decision(w, &w.call, &a) if reasons else a.outcome == ALLOW
                    elif status == MISSING:
                        self._build_missing_plan(w, &a)
                        flush_pipeline(&ahead)
                        ahead.n_fast = 0
                        continue
                    clear(&w.frame)
                if decided is None:
                    flush_pipeline(&ahead)
                    ahead.n_fast = 0
                    decided = self._decide_row(w, rows[i], i, seconds, reasons, unknown)
                found.append(decided)
                i += 1
        finally:
            give(self, w)

    cdef object _decide_row(self, Workspace* w, object row, Py_ssize_t i, int64_t now, bint reasons, object unknown):
        """Decide a request of a list on the general path."""
        cdef Call c
        cdef RawDecision a
        cdef list keep
        found = None
        try:
            principal, action, resource, context = parts_of(row)
            while found is None:
                keep = []
                self._decide_general(w, &c, &a, principal, action, resource, context, None, now, reasons, unknown, keep)
                found = self._decision_of(w, &c, &a) if reasons else a.outcome == ALLOW
        except RequestValueError as error:
            raise error_at(error, column=error.column, row=i) from None
        except FastiamError as error:
            error.add_note(f"row {i}")
            raise
        finally:
            clear(&w.frame)
        return found


cdef uint64_t decided_by_route(Route route) noexcept:
    return route_count(route)


cdef object allowed_positional(
    Core self, object principal, object action, object resource, object context, object unknown, object resource_account, object now
):
    cdef Call c
    cdef RawDecision a
    cdef int64_t seconds = INT64_MIN if now is None else epoch_seconds(now)
    cdef int status = MISSING
    cdef Workspace* w = take(self)
    try:
        while status == MISSING and unknown is () and is_ready(self, w):
            status = decide_single_fast(
                w, &a, &self.names.t, <PyObject*>self.key_ids, <PyObject*>principal, <PyObject*>action, <PyObject*>resource,
                <PyObject*>context, <PyObject*>resource_account, seconds, False,
            )
            if status == DONE:
                return a.outcome == ALLOW
            if status == MISSING:
                self._build_missing_plan(w, &a)
        self._decide_general(w, &c, &a, principal, action, resource, context, resource_account, seconds, False, unknown, [])
        return a.outcome == ALLOW
    finally:
        give(self, w)


cdef object decision_positional(
    Core self, object principal, object action, object resource, object context, object unknown, object resource_account, object now
):
    cdef Call c
    cdef RawDecision a
    cdef list keep
    cdef int64_t seconds = INT64_MIN if now is None else epoch_seconds(now)
    cdef int status = MISSING
    cdef Workspace* w = take(self)
    found = None
    try:
        while status == MISSING and unknown is () and is_ready(self, w):
            status = decide_single_fast(
                w, &a, &self.names.t, <PyObject*>self.key_ids, <PyObject*>principal, <PyObject*>action, <PyObject*>resource,
                <PyObject*>context, <PyObject*>resource_account, seconds, True,
            )
            if status == DONE:
                found = self._decision_of(w, &w.call, &a)
            elif status == MISSING:
                self._build_missing_plan(w, &a)
        while found is None:
            keep = []
            self._decide_general(w, &c, &a, principal, action, resource, context, resource_account, seconds, True, unknown, keep)
            found = self._decision_of(w, &c, &a)
        return found
    finally:
        give(self, w)


take_is_allowed(Core.is_allowed, <Method>allowed_positional)
take_decide(Core.decide, <Method>decision_positional)


def decide_ad_hoc(Core core, resource, request, *, uint32_t principal, uint32_t record, owner, partition, uint32_t rcp_set, endpoint):
    """The `Decision` on a request whose principal, resource and endpoint are in the tables by number: nothing is looked up by name.

    owner, partition: symbols, or None. endpoint: its number, -1 for an unknown one, None for none.
    """
    cdef _Declared declared = _Declared(request.unknown) if request.unknown else None
    cdef str action = request.action, arn = resource.arn
    cdef dict context = {**dict.fromkeys(request.absent, _ABSENT), **request.context}
    cdef Workspace* w = take(core)
    cdef Frame* f = &w.frame
    cdef Call c
    cdef RawDecision a
    cdef uint64_t generation
    cdef int status
    cdef bint checked = True
    found = None
    try:
        while found is None:
            core._refresh()
            generation = core.tables.generation
            memset(&c, 0, sizeof(Call))
            c.is_ad_hoc = c.reasons = True
            c.now = request.now
            c.accept[0] = STRICT
            c.accept[1] = BROAD
            c.owner_known = owner is not None
            c.assumed_owner, c.owner_override, c.unknown_owner = resource.assumed_owner, resource.owner_override, resource.unknown_owner
            c.rcp_set = rcp_set
            c.partition = <uint32_t>NONE if partition is None else <uint32_t>partition
            c.account = NONE
            clear(f)
            fit_frame(f, &core.tables.t)
            core._add_values(f, context)
            if declared is not None:
                declared.fit(core.tables)
            core._action_number(action, &c)
            if not utf8_of(arn, &c.resource):
                check_resource(arn)                      # raises
            if not core._point(w, &c, declared):
                continue
            c.principal = &c.t.principals[principal]
            apply_record(&c, record)
            if owner is not None:
                c.owner = symbol_text(c.t, owner)
            c.endpoint_state = ENDPOINT_NONE if endpoint is None else ENDPOINT_UNKNOWN if endpoint < 0 else ENDPOINT_KNOWN
            if c.endpoint_state == ENDPOINT_KNOWN:
                c.endpoint = &c.t.endpoints[<uint32_t>endpoint]
            status = BAD_RESOURCE
            if cut_resource(&c):
                next_stamp(c.s)
                status = answer(&c, &a)
            if f.s.failed:
                f.s.failed = 0
                raise MemoryError()
            if status == DONE:
                found = core._decision_of(w, &c, &a)
            else:
                core._resolve_miss(status, &c, &a, generation, (None, action, arn, context, None, ()), &checked)
        return found
    finally:
        give(core, w)


cdef object listed(object requests):
    """Requests as a list or tuple."""
    if type(requests) is list or type(requests) is tuple:
        return requests
    if isinstance(requests, (str, bytes)) or not is_iterable(requests):
        raise RequestValueError(
            f"a `{type(requests).__name__}` is not a list of requests",
            column="requests",
            hint="pass a list of tuples `(principal, action, resource, context)`",
        )
    return list(requests)


cdef tuple parts_of(object row):
    """A request of a list: principal, action, resource, context."""
    if not isinstance(row, tuple) or not 3 <= len(row) <= 4:
        size = f" of {len(row)}" if isinstance(row, tuple) else ""
        raise RequestValueError(
            f"a `{type(row).__name__}`{size} is not a request",
            column="requests",
            hint="pass tuples `(principal, action, resource)` or `(principal, action, resource, context)`",
        )
    return row if len(row) == 4 else (*row, None)


# PERF: one module, not six: each would have a copy of all that decides, which takes a minute to build.
include "kernel/batch/threads.pyx"
include "kernel/batch/reasons.pyx"
include "kernel/batch/resource_dictionaries.pyx"
include "kernel/batch/passes.pyx"
include "kernel/batch/resolve.pyx"

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

cdef enum:
    CHECK_BOUND_EVERY = 64     # PERF: computing the size of the run-time cache takes longer than adding a name
    MAX_COUNTED_NAME = 256     # bytes of a name that is counted as one miss; longer ones check the bound at once
    MAX_TEXTS = 1 << 24       # values of condition keys of a request
    MAX_ATTEMPTS = 10_000      # of one request: each attempt follows a resolved miss, or an eviction by another thread

_REQUEST_TAG = "aws:requesttag/"
_ABSENT = ContextValue(())  # a key that the caller says is absent

# PERF: one module: each would have a copy of all that decides, which takes a minute to build.
include "kernel/call/core_state.pyx"


cdef class Core(_CoreState):
    """The compiled tables, and the calls for single requests. What they miss is resolved by a `Resolver` (`engine.resolving`)."""

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
                    decided = self._decide_row(w, rows[i], seconds, reasons, unknown)
                found.append(decided)
                i += 1
        except RequestValueError as error:
            raise error_at(error, column=error.column, row=i) from None
        except FastiamError as error:
            error.add_note(f"row {i}")
            raise
        finally:
            give(self, w)

    cdef object _decide_row(self, Workspace* w, object row, int64_t now, bint reasons, object unknown):
        """Decide a request of a list on the general path."""
        cdef Call c
        cdef RawDecision a
        cdef list keep
        found = None
        principal, action, resource, context = parts_of(row)
        while found is None:
            keep = []
            self._decide_general(w, &c, &a, principal, action, resource, context, None, now, reasons, unknown, keep)
            found = self._decision_of(w, &c, &a) if reasons else a.outcome == ALLOW
        clear(&w.frame)
        return found


include "kernel/call/entry_points.pyx"
include "kernel/batch/threads.pyx"
include "kernel/batch/reasons.pyx"
include "kernel/batch/resource_dictionaries.pyx"
include "kernel/batch/batch_columns.pyx"
include "kernel/batch/passes.pyx"
include "kernel/batch/resolve.pyx"

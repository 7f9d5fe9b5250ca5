"""Declarations of what decides: single requests here, columns of them in `kernel/batch`."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from fastiam.kernel.decide.routes cimport Route
from fastiam.kernel.plan.tables cimport Tables
from fastiam.kernel.model.call cimport Call
from fastiam.kernel.model.decision cimport RawDecision
from fastiam.kernel.decide.scratch cimport Frame
from fastiam.kernel.plan.names cimport Names
from fastiam.kernel.call.workspace cimport Workspace


cdef enum:
    CHECK_BOUND_EVERY = 64     # PERF: computing the size of the run-time cache takes longer than adding a name
    MAX_COUNTED_NAME = 256     # bytes of a name that is counted as one miss; longer ones check the bound at once
    MAX_TEXTS = 1 << 24       # values of condition keys of a request
    MAX_ATTEMPTS = 10_000      # of one request: each attempt follows a resolved miss, or an eviction by another thread


cdef uint64_t decided_by_route(Route route) noexcept


include "kernel/call/core_state.pxd"


cdef class Core(_CoreState):
    cdef object _cached_decision(self, Workspace* w, Call* c, const RawDecision* a)
    cdef object _decision_of(self, Workspace* w, Call* c, const RawDecision* a)
    cdef bint _enter_by_template(self, bytes name) except -1
    cdef int _enter_principal(self, str name, str action) except -1
    cdef tuple _session(self, object session)
    cdef int _principal_number(self, Workspace* w, object principal, str action, Call* c) except -1
    cdef int _action_number(self, str action, Call* c) except -1
    cdef int _build_plan(self, const Call* c, const RawDecision* a, uint64_t generation) except -1
    cdef int _build_missing_plan(self, Workspace* w, const RawDecision* a) except -1
    cdef int _resolve_miss(self, int status, Call* c, RawDecision* a, uint64_t generation, tuple request, bint* checked) except -1
    cdef bint _point(self, Workspace* w, Call* c, _Declared declared) except -1
    cdef int _decide(
        self, Workspace* w, Call* c, RawDecision* a, object principal, object action, object resource, object context, object owner,
        int64_t now, bint reasons, _Declared declared, list keep,
    ) except -1
    cdef int _decide_general(
        self, Workspace* w, Call* c, RawDecision* a, object principal, object action, object resource, object context, object owner,
        int64_t now, bint reasons, object unknown, list keep,
    ) except -1
    cdef _Declared _declare(self, object unknown, object context)
    cdef list _decide_each(self, object requests, object unknown, object now, bint reasons)
    cdef object _decide_row(self, Workspace* w, object row, int64_t now, bint reasons, object unknown)


include "kernel/batch/threads.pxd"
include "kernel/batch/reasons.pxd"
include "kernel/batch/resource_dictionaries.pxd"
include "kernel/batch/passes.pxd"

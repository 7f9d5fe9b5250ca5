"""Software pipelining of a list of requests. Header only.

While one request is decided, the memory that later requests need is prefetched. Each request passes several stages, and each stage prefetches
what the next one reads. Invariant: a lookup is valid until Python code runs; after that, `flush_pipeline` flushes the pipeline.
"""
from cpython.exc cimport PyErr_CheckSignals
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memset

from fastiam.kernel.base.text cimport prefetch
from fastiam.kernel.call.fast_request cimport NOT_LOOKED_UP, program_of, is_fast_request
from fastiam.kernel.call.single_call cimport (
    NameLookup, ContextItems, NEEDS_GENERAL_PATH, prefetch_lookup, prefetch_principal, prefetch_context, prefetch_principal_plan, lookup_principal,
    touch_principal_name, prefetch_principal_text, decide_found, decide_single_fast, find_action, find_principal, collect_items, put_action,
    set_call_resource, read_context,
)
from fastiam.kernel.call.workspace cimport Workspace
from fastiam.kernel.model.decision cimport RawDecision
from fastiam.kernel.model.plan_lookup cimport find_plan
from fastiam.kernel.model.tables cimport *


cdef enum:
    PIPELINE_DEPTH = 32        # slots for requests that are in the pipeline, a power of two
    RESTART_AFTER = 8          # plain requests after one that was not, before the pipeline starts again
    SIGNAL_INTERVAL = 4096     # requests after which other threads and signals are served


cdef enum Stage:               # how many requests before its decision a request passes it
    AT_ROW = 24
    AT_PARTS = 20
    AT_TEXTS = 16
    AT_NUMBERS = 12
    AT_NAME = 9
    AT_PLAN = 6
    AT_POLICIES = 4
    AT_OPS = 2
    AT_PATTERNS = 1


cdef extern from *:
    """
    #define fastiam_length(rows) Py_SIZE(rows)
    static inline PyObject* fastiam_item(PyObject* rows, Py_ssize_t i) {   /* of a list or tuple; borrowed */
        return PyList_CheckExact(rows) ? PyList_GET_ITEM(rows, i) : PyTuple_GET_ITEM(rows, i);
    }
    """
    Py_ssize_t length_of "fastiam_length" (PyObject* rows) noexcept
    PyObject* item_of "fastiam_item" (PyObject* rows, Py_ssize_t i) noexcept
    PyObject* Py_None
    bint PyTuple_Check(PyObject* o) noexcept
    PyObject* PyTuple_GET_ITEM(PyObject* row, Py_ssize_t i) noexcept


cdef struct PipelinedRequest:  # a request in the pipeline
    PyObject* row              # borrowed; NULL: the list ends before
    PyObject* parts[4]         # borrowed: principal, action, resource, context
    NameLookup lookup
    ContextItems pairs         # of the context
    uint32_t action_name
    bint is_plain              # else the general path decides
    const Plan* own            # NULL: not looked up, since the principal does not take the fast path, or the plan is not by class


cdef struct RequestPipeline:
    PipelinedRequest requests[PIPELINE_DEPTH]
    bint is_active
    int n_fast                 # plain requests since the last one that was not


cdef inline int check_signals() except -1:
    """Let signals and other threads be served."""
    PyErr_CheckSignals()
    with nogil:
        pass
    return 0


cdef inline void flush_pipeline(RequestPipeline* ahead) noexcept:
    """Clear what was looked up: Python code may have run."""
    ahead.is_active = False


cdef inline PipelinedRequest* pipeline_slot(RequestPipeline* ahead, Py_ssize_t i) noexcept:
    return &ahead.requests[i & (PIPELINE_DEPTH - 1)]


# -- the stages ---------------------------------------------------------------------------------------------------------------

cdef inline void prefetch_row(PipelinedRequest* one, PyObject* rows, Py_ssize_t i) noexcept:
    """The list may end before."""
    cdef PyObject* row
    one.row = NULL
    if i >= length_of(rows):
        return
    one.row = row = item_of(rows, i)
    prefetch(row)
    prefetch(<const char*>row + 48)


cdef inline bint unpack_request(PipelinedRequest* one) noexcept:
    """The parts of a request; False if it is none."""
    cdef Py_ssize_t i, n
    if one.row == NULL or not PyTuple_Check(one.row):
        return False
    n = length_of(one.row)
    if n != 3 and n != 4:
        return False
    one.parts[3] = Py_None
    for i in range(n):
        one.parts[i] = PyTuple_GET_ITEM(one.row, i)
    return True


cdef inline void prefetch_parts(PipelinedRequest* one) noexcept:
    one.action_name = NONE
    one.own = NULL
    one.is_plain = unpack_request(one)
    if one.is_plain:
        prefetch_principal(one.parts[0], one.parts[1])
        prefetch_lookup(one.parts[2], one.parts[3])


cdef inline void prefetch_texts(PipelinedRequest* one, Workspace* w, const TablesC* t) noexcept:
    if one.is_plain:
        one.is_plain = lookup_principal(w, t, one.parts[0], &one.lookup) and prefetch_context(one.parts[3], &one.pairs)


cdef inline void prefetch_ids(PipelinedRequest* one, Workspace* w, const TablesC* t) noexcept:
    if not one.is_plain:
        return
    touch_principal_name(t, &one.lookup)
    if one.parts[3] != Py_None:
        collect_items(one.parts[3], &one.pairs)
    one.is_plain = find_action(w, t, one.parts[1], &one.action_name)


cdef inline void prefetch_name(PipelinedRequest* one, const TablesC* t) noexcept:
    if one.is_plain:
        prefetch_principal_text(t, &one.lookup)


cdef inline void prefetch_plan_cell(PipelinedRequest* one, Workspace* w, const TablesC* t) noexcept:
    if one.is_plain:
        one.is_plain = find_principal(w, t, one.parts[0], &one.lookup)
        prefetch_principal_plan(t, &one.lookup, t.name_classes[one.action_name])


cdef inline void prefetch_plan(PipelinedRequest* one, const TablesC* t) noexcept:
    cdef const Principal* p
    cdef uint32_t action
    if one.is_plain:
        p = &t.principals[one.lookup.found]
        action = t.name_classes[one.action_name]
        if p.principal_set < t.n_indexed_sets and is_fast_request(p, &t.classes[action]):
            one.own = find_plan(t, p.principal_set, action)
            prefetch(one.own)


cdef inline void prefetch_program(PipelinedRequest* one, const TablesC* t) noexcept:
    if one.own != NULL and one.own.flags & PLAN_HAS_PROGRAM:
        prefetch(&t.match_ops[one.own.program])
        prefetch(&t.match_ops[one.own.program + 2])


cdef inline void prefetch_patterns(PipelinedRequest* one, const TablesC* t) noexcept:
    if one.own != NULL and one.own.flags & PLAN_HAS_PROGRAM and one.own.n_ops:
        prefetch(t.pool + t.match_ops[one.own.program].text)


cdef inline void advance_pipeline(RequestPipeline* ahead, Workspace* w, const TablesC* t, PyObject* rows, Py_ssize_t i) noexcept:
    """The stages of later requests that run while request `i` is decided."""
    prefetch_row(pipeline_slot(ahead, i + AT_ROW), rows, i + AT_ROW)
    prefetch_parts(pipeline_slot(ahead, i + AT_PARTS))
    prefetch_texts(pipeline_slot(ahead, i + AT_TEXTS), w, t)
    prefetch_ids(pipeline_slot(ahead, i + AT_NUMBERS), w, t)
    prefetch_name(pipeline_slot(ahead, i + AT_NAME), t)
    prefetch_plan_cell(pipeline_slot(ahead, i + AT_PLAN), w, t)
    prefetch_plan(pipeline_slot(ahead, i + AT_POLICIES), t)
    prefetch_program(pipeline_slot(ahead, i + AT_OPS), t)
    prefetch_patterns(pipeline_slot(ahead, i + AT_PATTERNS), t)


cdef inline void fill_pipeline(RequestPipeline* ahead, Workspace* w, const TablesC* t, PyObject* rows, Py_ssize_t i) noexcept:
    """Prefetch the requests from `i` on: none before it is in the pipeline, and a stage passes over an empty slot."""
    cdef Py_ssize_t k
    ahead.is_active = True
    memset(ahead.requests, 0, sizeof(ahead.requests))
    for k in range(i - AT_ROW, i):
        advance_pipeline(ahead, w, t, rows, k)


# -- the turn of a request ------------------------------------------------------------------------------------------------------

cdef inline int decide_pipelined(
    RequestPipeline* ahead, Workspace* w, RawDecision* a, const TablesC* t, PyObject* key_ids, Py_ssize_t i, int64_t now, bint reasons
) noexcept:
    """Decide a request that has passed the stages. A status of `kernel.decide.combine`, or NEEDS_GENERAL_PATH."""
    cdef PipelinedRequest* one = pipeline_slot(ahead, i)
    cdef Range own = Range(0, NOT_LOOKED_UP)
    cdef bint checked = True
    if not one.is_plain or not put_action(t, one.action_name, &w.call) or not set_call_resource(&w.call, one.parts[2]):
        return NEEDS_GENERAL_PATH
    if not read_context(w, t, key_ids, one.parts[3], &one.pairs, &checked):
        return NEEDS_GENERAL_PATH
    if one.own != NULL:
        own = program_of(one.own)
    return decide_found(w, a, t, one.lookup.found, Py_None, checked, own, now, reasons)


cdef inline int decide_list_item(
    RequestPipeline* ahead, Workspace* w, RawDecision* a, const TablesC* t, PyObject* key_ids, PyObject* rows, Py_ssize_t i, int64_t now, bint reasons
) noexcept:
    """Decide a request of a list on the tables as they are. A status of `kernel.decide.combine`, or NEEDS_GENERAL_PATH."""
    cdef PipelinedRequest one_request
    if not ahead.is_active and ahead.n_fast >= RESTART_AFTER:
        fill_pipeline(ahead, w, t, rows, i)
    if ahead.is_active:
        advance_pipeline(ahead, w, t, rows, i)
        return decide_pipelined(ahead, w, a, t, key_ids, i, now, reasons)
    ahead.n_fast += 1
    one_request.row = item_of(rows, i)
    if not unpack_request(&one_request):
        return NEEDS_GENERAL_PATH
    return decide_single_fast(
        w, a, t, key_ids, one_request.parts[0], one_request.parts[1], one_request.parts[2], one_request.parts[3], Py_None, now, reasons
    )

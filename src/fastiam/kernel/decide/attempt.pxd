"""One attempt to decide a request on the tables as they are: locate the resource, check, decide. Header only."""
from libc.stdint cimport uint32_t

from fastiam.kernel.base.text cimport Text
from fastiam.kernel.decide.combine cimport cut_resource, decide
from fastiam.kernel.decide.locate cimport locate_endpoint, locate_resource, may_contradict
from fastiam.kernel.decide.partial cimport decide_partial, find_deciding_keys
from fastiam.kernel.decide.scratch cimport next_stamp
from fastiam.kernel.eval.principal cimport is_root
from fastiam.kernel.model.call cimport Call
from fastiam.kernel.model.decision cimport RawDecision, BAD_RESOURCE, BAD_UNKNOWN, DEPENDS, DONE, UNCHECKED
from fastiam.kernel.model.keys cimport DECLARED_BY_NAME


cdef inline bint contradicts(Call* c) noexcept nogil:
    """Whether some value that a located request gives needs the full check of K1."""
    cdef uint32_t i
    if c.columns != NULL:
        for i in range(<uint32_t>c.n_columns):
            if c.t.keys[c.columns[i].key].is_checked and may_contradict(c, c.columns[i].key):
                return True
    else:
        for i in range(<uint32_t>c.n_context_entries):
            if c.t.keys[c.context_entries[i].key].is_checked and may_contradict(c, c.context_entries[i].key):
                return True
    return False


cdef inline int attempt(Call* c, RawDecision* a, const Text* owner, bint checked) noexcept nogil:
    """Locate and decide. `c` has principal, action, resource and context."""
    cdef int status
    if not cut_resource(c):
        return BAD_RESOURCE
    next_stamp(c.s)
    status = locate_resource(c, owner)
    if status != DONE:
        return status
    locate_endpoint(c)
    if c.unknown != NULL and c.unknown[c.t.key_assumed_root] == DECLARED_BY_NAME and is_root(c.principal):
        return BAD_UNKNOWN
    if not checked and contradicts(c):
        return UNCHECKED
    return answer(c, a)


cdef inline int answer(Call* c, RawDecision* a) noexcept nogil:
    """Decide a call that is located."""
    return decide(c, a) if c.unknown == NULL else decide_unknown(c, a)


cdef inline int decide_unknown(Call* c, RawDecision* a) noexcept nogil:
    """Decide a call with unknown keys; of one that depends on them also find those that matter, where reasons are wanted."""
    cdef int status = decide_partial(c, a)
    if status == DONE and a.outcome == DEPENDS and c.reasons:
        return find_deciding_keys(c, a)
    return status

"""Resource elements, matched with the ARN of a call (spec 2.3). Header only.

A text of a policy becomes one or two patterns: the reading field by field, and, if the crossing reading of R5 could match more, a second one whose
match is only `U`. Only PATTERN_ANY matches a request resource `*` (R2).
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memchr

from fastiam.kernel.base.invariants cimport promise
from fastiam.kernel.eval.glob cimport glob, glob_fields
from fastiam.kernel.eval.literals cimport literals_match
from fastiam.kernel.eval.operators cimport expand
from fastiam.kernel.eval.search cimport glob_crossing
from fastiam.kernel.eval.unknown cimport reads_unknown
from fastiam.kernel.model.call cimport COLON_UNKNOWN, Call
from fastiam.kernel.model.conditions cimport ACCEPT_RESIDUAL, ACCEPT_U
from fastiam.kernel.model.ids cimport NONE, ONE, Range
from fastiam.kernel.model.patterns cimport (
    MATCH_IS_U, MATCH_IS_U_IN_IAM, PATTERN_ANY, PATTERN_CROSSING, PATTERN_CROSSING_VARIABLES, PATTERN_FIELDS, PATTERN_NEVER, PATTERN_LITERALS,
    PATTERN_VARIABLES, PATTERN_UNRESOLVED, Pattern,
)


cdef enum:
    UNRESOLVED = -1            # a variable of the pattern has no value
    MATCH_RESIDUAL = 2         # it matches with its unknown variables read as `*` (D72)


cdef inline bint tail_has_colon(Call* c) noexcept nogil:
    """Whether the resource has more than five colons."""
    cdef int64_t at = c.colons[4] + 1
    if c.tail_has_colon == COLON_UNKNOWN:
        c.tail_has_colon = memchr(c.resource.data + at, 58, <size_t>(c.resource.size - at)) != NULL
    return c.tail_has_colon


cdef inline bint fields_match(Call* c, const Pattern* p, const uint8_t* text, const uint8_t* tail, const uint8_t* end) noexcept nogil:
    """Fields 2 to 5 of the pattern, then field 6, which may be elsewhere (expanded)."""
    cdef const uint8_t* t = <const uint8_t*>c.resource.data
    if not glob_fields(text, p.colons, t, c.colons, p.literal_fields):
        return False
    return glob(tail, end, t + c.colons[4] + 1, t + c.resource.size)


cdef inline int variables_match(Call* c, const Pattern* p, const uint8_t* text) noexcept nogil:
    """A pattern with variables, which are only in field 6 (VR1)."""
    cdef int64_t tail = p.colons[4] + 1
    cdef const uint8_t* t = <const uint8_t*>c.resource.data
    cdef int64_t size
    cdef bint found
    if p.kind == PATTERN_VARIABLES:
        size = expand(c, text + tail, p.size - tail, &c.s.expanded[0])
        if size < 0:
            return UNRESOLVED
        found = fields_match(c, p, text, c.s.expanded[0].data, c.s.expanded[0].data + size)
    else:
        size = expand(c, text, p.size, &c.s.expanded[0])
        if size < 0:
            return UNRESOLVED
        found = glob_crossing(c.s.expanded[0].data, size, tail, t, t + c.resource.size)
    if found and c.s.has_unknown_variable:
        c.saw_residual = True
        return MATCH_RESIDUAL
    return found


cdef inline int pattern_matches(Call* c, const Pattern* p) noexcept nogil:
    """1, 0, UNRESOLVED or MATCH_RESIDUAL, before the flags of the pattern say what a match is worth."""
    cdef const uint8_t* text = c.t.pool + p.text
    cdef const uint8_t* t = <const uint8_t*>c.resource.data
    if p.kind == PATTERN_ANY:
        return 1
    if c.is_star or p.kind == PATTERN_NEVER:
        return 0
    if p.kind == PATTERN_LITERALS:
        return literals_match(
            text, p.size, p.prefix_size, p.colons[p.colon] if p.mid_size else p.prefix_size, p.mid_size, p.min_rest_size, p.suffix_size,
            p.tail, t, t + c.resource.size, c.colons[p.colon],
        )
    if p.kind == PATTERN_FIELDS:
        return fields_match(c, p, text, text + p.colons[4] + 1, text + p.size)
    if p.kind == PATTERN_UNRESOLVED:
        return UNRESOLVED
    if p.kind == PATTERN_VARIABLES:
        return variables_match(c, p, text)
    promise(p.kind == PATTERN_CROSSING or p.kind == PATTERN_CROSSING_VARIABLES)
    # a pattern of six fields has nothing to cross in a resource with five colons
    if p.colons[4] != 0 and not tail_has_colon(c):
        return 0
    if p.kind == PATTERN_CROSSING_VARIABLES:
        return variables_match(c, p, text)
    # what no star stops at a colon matches no more than this
    if not glob(text, text + p.size, t, t + c.resource.size):
        return 0
    return glob_crossing(text, p.size, p.colons[4] + 1 if p.colons[4] != 0 else p.size, t, t + c.resource.size)


cdef inline bint match_is_u(Call* c, const Pattern* p) noexcept nogil:
    return p.flags & MATCH_IS_U or (p.flags & MATCH_IS_U_IN_IAM and c.is_iam)


cdef inline bint reading_matches(Call* c, const Pattern* p, uint8_t accept) noexcept nogil:
    cdef int found = pattern_matches(c, p)
    return found == 1 or (found == MATCH_RESIDUAL and accept & ACCEPT_RESIDUAL)


cdef inline bint entry_matches(Call* c, const Pattern* p, uint8_t accept) noexcept nogil:
    """One entry of `Resource`, in both readings."""
    if (accept & ACCEPT_U or not p.flags or not match_is_u(c, p)) and reading_matches(c, p, accept):
        return True
    return accept & ACCEPT_U and p.crossing != NONE and reading_matches(c, &c.t.patterns[p.crossing], accept)


cdef inline bint resources_match(Call* c, uint32_t element, uint8_t accept) noexcept nogil:
    """`Resource`: one entry matches; `accept` says whether matches worth `U`, and open ones, count. An unresolved entry is F (VR8)."""
    cdef Range list
    cdef uint32_t i
    promise(not element & ONE or element ^ ONE < c.t.n_patterns)
    if element & ONE:
        return entry_matches(c, &c.t.patterns[element ^ ONE], accept)
    list = c.t.resource_elements[element]
    for i in range(list.n):
        if entry_matches(c, &c.t.patterns[c.t.pattern_lists[list.first + i]], accept):
            return True
    return False


cdef inline bint is_residual_entry(Call* c, const Pattern* p) noexcept nogil:
    """Whether an entry of `NotResource` has an unknown variable (D72)."""
    return p.kind == PATTERN_VARIABLES and not c.is_star and reads_unknown(c, c.t.pool + p.text, p.size, False)


cdef inline bint entry_excludes(Call* c, const Pattern* p, uint8_t accept) noexcept nogil:
    """One entry of `NotResource`. Where `U` counts, an entry that is `U` excludes nothing; an unresolved one is `U` (VR8)."""
    cdef bint broad = accept & ACCEPT_U != 0
    cdef int found
    if c.unknown != NULL and is_residual_entry(c, p):
        c.saw_residual = True
        return not accept & ACCEPT_RESIDUAL
    found = pattern_matches(c, p)
    if found != 0 and (not broad or (found == 1 and not match_is_u(c, p))):
        return True
    return not broad and p.crossing != NONE and pattern_matches(c, &c.t.patterns[p.crossing]) != 0


cdef inline bint not_resources_match(Call* c, uint32_t element, uint8_t accept) noexcept nogil:
    """`NotResource`: no entry excludes the resource (R10)."""
    cdef Range list
    cdef uint32_t i
    if element & ONE:
        return not entry_excludes(c, &c.t.patterns[element ^ ONE], accept)
    list = c.t.resource_elements[element]
    for i in range(list.n):
        if entry_excludes(c, &c.t.patterns[c.t.pattern_lists[list.first + i]], accept):
            return False
    return True

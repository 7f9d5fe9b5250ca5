"""Wildcard matching of bytes without recursion (spec 2.1, R4, R5). Header only.

Patterns contain TOKEN_STAR and TOKEN_ONE; `?` is one UTF-8 character (P1). After a mismatch only the last star is tried again. If that takes too
many steps, `kernel.eval.search` continues.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t
from libc.string cimport memchr

from fastiam.kernel.base.invariants cimport promise
from fastiam.kernel.base.text cimport equal, next_char
from fastiam.kernel.eval.search cimport glob_after_star
from fastiam.kernel.model.patterns cimport TOKEN_ONE, TOKEN_STAR


cdef enum:
    FREE_STEPS = 512           # of a pattern that may be taken in vain


cdef inline bint glob(const uint8_t* p, const uint8_t* p_end, const uint8_t* t, const uint8_t* t_end) noexcept nogil:
    """Whether the pattern matches the whole text; every star matches anything."""
    cdef const uint8_t* star = NULL      # what follows the last star
    cdef const uint8_t* resume = NULL    # the position in the text at that time
    cdef int64_t vain = 0                # steps that were taken back
    while True:
        if p < p_end and p[0] == TOKEN_STAR:
            p += 1
            if p == p_end:
                return True
            star = p
            resume = t
        elif t == t_end:
            return p == p_end
        elif p < p_end and p[0] == TOKEN_ONE:
            p += 1
            t = next_char(t, t_end)
        elif p < p_end and p[0] == t[0]:
            p += 1
            t += 1
        elif star == NULL:
            return False
        else:
            resume = next_char(resume, t_end)
            vain += p - star
            if vain > FREE_STEPS:
                return glob_after_star(star, p_end, resume, t_end)
            p = star
            if p[0] < TOKEN_STAR:        # a literal: jump to where it can be
                resume = <const uint8_t*>memchr(resume, p[0], <size_t>(t_end - resume))
                if resume == NULL:
                    return False
            t = resume


cdef inline bint glob_fields(
    const uint8_t* p, const uint16_t* p_colons, const uint8_t* t, const uint16_t* t_colons, uint8_t literal_fields
) noexcept nogil:
    """Fields 2 to 5 (partition, service, region, account), each against its own (R3, R4, C60)."""
    cdef int i
    cdef const uint8_t* a
    cdef const uint8_t* b
    cdef int64_t n, m
    for i in range(4):
        a = p + p_colons[i] + 1
        b = t + t_colons[i] + 1
        n = p_colons[i + 1] - p_colons[i] - 1
        m = t_colons[i + 1] - t_colons[i] - 1
        promise(n >= 0 and m >= 0)       # colons ascend
        if literal_fields & (1 << i):
            if n != m or not equal(a, b, n):
                return False
        elif not (n == 1 and a[0] == TOKEN_STAR) and not glob(a, a + n, b, b + m):
            return False
    return True

"""By which route each row of a batch and each single call was decided: counted in builds with FASTIAM_CHECKS. Header only.

`fastiam._core` counts: it is the one module that decides.
"""
from libc.stdint cimport int64_t, uint64_t

from fastiam.kernel.model.decision cimport DONE


cdef enum Route:
    ROUTE_FLAGS                # a row of a block, by flags of its plan
    ROUTE_OWN                  # by step queues over its principal's own plan
    ROUTE_LAYERS               # by step queues over several layers
    ROUTE_GENERAL_LOCATED      # by the general evaluator, its resource located with the block
    ROUTE_GENERAL              # by the general evaluator alone
    ROUTE_TOGETHER             # a row with a miss, with others
    ROUTE_SINGLE               # a row with a miss, by itself
    ROUTE_CALL_OWN             # a single call, by the match program of its principal
    ROUTE_CALL_DECIDE          # by the general evaluator, its resource located
    ROUTE_CALL_GENERAL         # with the GIL: names, keys or plans are new, values are not plain, or keys are unknown
    N_ROUTES


cdef extern from *:
    """
    #if defined(FASTIAM_CHECKS)
    static uint64_t fastiam_routes[16];
    #define fastiam_count_route(route, n) ((void)__atomic_fetch_add(&fastiam_routes[route], (uint64_t)(n), __ATOMIC_RELAXED))
    #define fastiam_route_count(route) __atomic_load_n(&fastiam_routes[route], __ATOMIC_RELAXED)
    #else
    #define fastiam_count_route(route, n) ((void)0)
    #define fastiam_route_count(route) ((uint64_t)0)
    #endif
    """
    void count_route "fastiam_count_route" (Route route, int64_t n) noexcept nogil
    uint64_t route_count "fastiam_route_count" (Route route) noexcept nogil   # in this module


cdef inline int routed(Route route, int status) noexcept nogil:
    """A status of `kernel.decide.combine`; if it is DONE, the route is counted."""
    if status == DONE:
        count_route(route, 1)
    return status

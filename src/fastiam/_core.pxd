"""What other modules call of what decides."""
from libc.stdint cimport uint64_t

from fastiam.kernel.decide.routes cimport Route


cdef uint64_t decided_by_route(Route route) noexcept

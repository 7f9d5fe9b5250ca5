"""Pointer cache: maps a (principal, action) pair of Python objects to its ids and match program. Header only.

The key is the pair of object addresses. An entry holds a reference to both objects, so that no other object can reuse the addresses.

Invariant: an entry equals the result of the lookups. It is valid for one epoch of the core.
"""
from cpython.ref cimport Py_XDECREF, PyObject
from libc.stdint cimport uint32_t, uint64_t

from fastiam.kernel.model.ids cimport Range


cdef enum:
    POINTER_CACHE_SIZE = 256   # places, a power of two


cdef extern from *:
    void hold "Py_INCREF" (PyObject* o) noexcept


cdef struct PointerCacheEntry:
    PyObject* principal        # owned; NULL: none
    PyObject* action           # owned
    uint32_t number            # of the principal
    uint32_t name              # of the action
    Range own                  # the ops of the principal's plan, which decide


cdef inline PointerCacheEntry* pointer_cache_slot(PointerCacheEntry* pointer_cache, PyObject* principal, PyObject* action) noexcept:
    """The slot of two texts."""
    cdef uint64_t both = <uint64_t><size_t>principal * 31 + <uint64_t><size_t>action
    return &pointer_cache[(both * <uint64_t>0x9E3779B97F4A7C15ULL >> 40) & (POINTER_CACHE_SIZE - 1)]


cdef inline bint pointer_cache_hit(const PointerCacheEntry* entry, PyObject* principal, PyObject* action) noexcept:
    return entry.principal == principal and entry.action == action


cdef inline void clear_pointers(PointerCacheEntry* entry) noexcept:
    Py_XDECREF(entry.principal)                          # texts: nothing runs
    Py_XDECREF(entry.action)
    entry.principal = entry.action = NULL


cdef inline void store_pointers(PointerCacheEntry* entry, PyObject* principal, PyObject* action, uint32_t number, uint32_t name, Range own) noexcept:
    """Store an entry in its slot, instead of another."""
    hold(principal)
    hold(action)
    clear_pointers(entry)
    entry[0] = PointerCacheEntry(principal, action, number, name, own)

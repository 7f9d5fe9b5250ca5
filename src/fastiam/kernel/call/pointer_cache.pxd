"""Pointer cache: maps a (principal, action) pair of Python objects to its ids and match program. Header only.

The key is the pair of object addresses. An entry holds a reference to both objects, so that no other object can reuse the addresses.

Invariant: an entry equals the result of the lookups. It is valid for one epoch of the core.
"""
from cpython.ref cimport Py_XDECREF, PyObject
from libc.stdint cimport uint32_t, uint64_t

from fastiam.kernel.model.ids cimport Range


cdef enum:
    N_HABITS = 256             # places, a power of two


cdef extern from *:
    void hold "Py_INCREF" (PyObject* o) noexcept


cdef struct Habit:
    PyObject* principal        # owned; NULL: none
    PyObject* action           # owned
    uint32_t number            # of who asks
    uint32_t name              # of the action
    Range own                  # the flats of the own row, which say all


cdef inline Habit* habit_place(Habit* habits, PyObject* principal, PyObject* action) noexcept:
    """Where the habit of two texts lies, if there is one."""
    cdef uint64_t both = <uint64_t><size_t>principal * 31 + <uint64_t><size_t>action
    return &habits[(both * <uint64_t>0x9E3779B97F4A7C15ULL >> 40) & (N_HABITS - 1)]


cdef inline bint is_habit(const Habit* habit, PyObject* principal, PyObject* action) noexcept:
    return habit.principal == principal and habit.action == action


cdef inline void forget_habit(Habit* habit) noexcept:
    Py_XDECREF(habit.principal)                          # texts: nothing runs
    Py_XDECREF(habit.action)
    habit.principal = habit.action = NULL


cdef inline void keep_habit(Habit* habit, PyObject* principal, PyObject* action, uint32_t number, uint32_t name, Range own) noexcept:
    """Keep a habit in its place, instead of another."""
    hold(principal)
    hold(action)
    forget_habit(habit)
    habit[0] = Habit(principal, action, number, name, own)

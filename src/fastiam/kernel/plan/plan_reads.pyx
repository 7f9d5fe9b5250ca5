"""The keys that a plan reads and that a caller may supply (D75)."""
from libc.stdint cimport uint8_t, uint32_t

from fastiam.kernel.eval.unknown cimport VariableCursor, next_variable, next_variable_token, variable_index
from fastiam.kernel.model.tables cimport *


cdef int store_reads(Planner self, const Plan* plan) except -1:
    """Of the last plan. One that was not finished, for lack of memory, reads nothing."""
    cdef const StatementRun* runs = <const StatementRun*>self.runs.data + plan.first
    cdef const StatementEntry* e
    cdef const Pattern* p
    cdef const uint32_t* ids
    cdef uint32_t i, j, k, n, only
    while self.plan_reads.n < self.plans.n:
        self._number(&self.plan_reads, 0)
    self.scratch_reads.n = 0
    self.sync()                                      # ops may have moved the pool
    for i in range(plan.n):
        for j in range(runs[i].n):
            e = <const StatementEntry*>self.entries.data + runs[i].first + j
            ids = members_of(e.conditions, self.t.condition_lists, self.t.atom_lists, &only, &n)
            for k in range(n):
                read_atom(self, ids[k])
            ids = members_of(e.resources, self.t.resource_elements, self.t.pattern_lists, &only, &n)
            for k in range(n):                       # a pattern that crosses colons has the same variables
                p = <const Pattern*>self.patterns.data + ids[k]
                read_variables(self, p.text, p.size)
    (<uint32_t*>self.plan_reads.data)[self.plans.n - 1] = intern_reads(self)
    return 0


cdef uint32_t intern_reads(Planner self) except? 0xFFFFFFFE:
    """The number of the set of keys that the scratch list holds, which is new or known."""
    cdef uint32_t i, n = self.scratch_reads.n, first = self.read_keys.n
    name = (<const char*>self.scratch_reads.data)[:<size_t>n * 4] if n else b""
    found = self.read_ids.get(name)
    if found is None:
        for i in range(n):
            self._number(&self.read_keys, (<const uint32_t*>self.scratch_reads.data)[i])
        (<Range*>self._push(&self.read_sets))[0] = Range(first, n)
        found = self.read_ids[name] = self.read_sets.n - 1
    return found


cdef int read_atom(Planner self, uint32_t id) except -1:
    cdef const Atom* atom = <const Atom*>self.atoms.data + id
    cdef VariableCursor left = VariableCursor(0, NULL, NULL)
    cdef uint32_t key = atom.key
    while key != NONE:
        read_key(self, key)
        key = next_variable(&self.t, atom, &left)
    return 0


cdef int read_variables(Planner self, uint32_t text, uint32_t size) except -1:
    cdef const uint8_t* p = <const uint8_t*>self.pool.data + text
    cdef const uint8_t* end = p + size
    p = next_variable_token(p, end)
    while p != NULL:
        read_key(self, (<const Variable*>self.variables.data)[variable_index(p)].key)
        p = next_variable_token(p + VARIABLE_TOKEN_SIZE, end)
    return 0


cdef int read_key(Planner self, uint32_t key) except -1:
    """Append a key to the scratch list, once, unless its absence is knowledge."""
    cdef uint32_t i
    if not has_trait(<const Key*>self.keys.data + key, NOT_SUPPLIED):
        return 0
    for i in range(self.scratch_reads.n):
        if (<const uint32_t*>self.scratch_reads.data)[i] == key:
            return 0
    self._number(&self.scratch_reads, key)
    if key >= self.is_read.n:
        self._push(&self.is_read, key + 1 - self.is_read.n)
    (<uint8_t*>self.is_read.data)[key] = True
    return 0

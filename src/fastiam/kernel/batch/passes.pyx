"""Passes over columns of requests, without the GIL.

A pass works on a snapshot of the tables. Rows that miss something (a name, a plan, a check for a contradiction) become deferred rows.
`resolve.pyx` resolves their misses and decides them again.
"""
from functools import partial

from cython cimport no_gc_clear
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memset

from fastiam.kernel.decide.routes cimport ROUTE_SINGLE, ROUTE_TOGETHER, Route, routed
from fastiam.kernel.base.text cimport Text
from fastiam.kernel.batch.misses cimport RetryKey, Misses, find_misses
from fastiam.kernel.batch.pass_blocks cimport decide_row, finish, run_rows
from fastiam.kernel.columns.column cimport Column, item_text
from fastiam.kernel.columns.read cimport TextColumn
from fastiam.kernel.decide.blocks cimport InputRange, ThreadState
from fastiam.kernel.decide.locate cimport may_name_provider
from fastiam.kernel.model.call cimport Call
from fastiam.kernel.model.decision cimport RawDecision, DONE, MISSING, NO_PRINCIPAL
from fastiam.kernel.model.plan cimport PlanKey
from fastiam.kernel.model.string_table cimport table_find
from fastiam.kernel.model.tables cimport *
from fastiam.kernel.plan.names import provider_key

from fastiam.model.key_registry import fold, key_info, spelled


cdef enum:
    MAX_CODES = 65000          # of a dictionary by which truths are kept
    PIECE = 16384              # rows that a thread takes at a time
    MIN_MORSEL = 2048          # and the last ones
    SHARED = 8192              # fewer are not worth a second thread
    MAX_RENUMBERED = 65536     # values of a dictionary that are numbered again when names were entered
    BROKEN = 0xFFFFFFFE        # a session that cannot be read


def _cut(int64_t first, int64_t last, int threads):
    """Ranges of a range that threads can share; the last ones are short, so that no thread has much left when the others are done."""
    cuts = []
    while first < last:
        step = min(<int64_t>PIECE, max(<int64_t>MIN_MORSEL, (last - first) // (2 * threads)), last - first)
        cuts.append((first, first + step))
        first += step
    return cuts


cdef bint is_single(str name):
    """Whether AWS documents a key as one value."""
    info = key_info(fold(name))
    return info is not None and not info.multi


def _together(work, pool, int threads):
    """What work gives that threads do together, each with its number: this one at once, those of the pool as soon as they are awake."""
    others = [pool.submit(work, number) for number in range(1, threads)]
    return [work(0), *[other.result() for other in others]]


cdef inline bint numbered_again(const Column* column):
    """Whether rows of a column find names that were entered meanwhile: by their text, or by numbers that are found anew."""
    return not column.code_width or column.n_values <= MAX_RENUMBERED


cdef inline void come_to(ThreadState* s, Call* c, const RawDecision* a, RetryKey* tried, Route route) noexcept nogil:
    """Write down the answer of a row, or what it misses."""
    if tried.status == DONE:
        finish(s, c, a, routed(route, DONE))
    elif tried.status == MISSING:
        tried.missing = PlanKey(a.missing, c.action_class, c.action_name, a.missing_flag)


cdef bint may_know(const TablesC* t, const InputRange* rows):
    """Whether the directory knows some principal of the dictionary of some rows. Else all of them take the general path, which reads no facts."""
    cdef int64_t i
    if rows.principal_codes == NULL:
        return True
    for i in range(rows.principals.n_values):
        if rows.principal_codes[i] >= t.n_principals or t.principals[rows.principal_codes[i]].flags & P_KNOWN:
            return True                                  # NONE, too: it was not looked for yet
    return False


@no_gc_clear  # as the columns
cdef class _Passes(_BatchColumns):
    """The passes over the columns of one call of `decide_many`, and what was found."""

    def check(self):
        """Check the columns that are not, in the order in which they are given."""
        cdef TextColumn column
        for column in (self.principals, self.actions, self.resources, self.owners, *self.context.values()):
            if column is not None:
                column.check()

    def run_chunk(self, pool, int threads):
        """Decide the chunk at hand, except for the deferred rows."""
        if threads > 1 and self.last - self.first >= SHARED:
            self.read_facts(pool, threads)
            self.run_morsels(_cut(self.first, self.last, threads), pool, threads)
        else:
            self.run_morsels([(self.first, self.last)], pool, 1)

    def run_morsels(self, list pieces, pool, int threads):
        """Decide ranges of rows; a thread takes the next one when it is done with one, so that none waits for another."""
        while pieces:
            left = iter(pieces)                          # which threads share
            undone = _together(partial(self.run_thread, left), pool, threads)
            pieces = [piece for of_thread in undone for piece in of_thread]
            if pieces:                                   # text that is not ASCII, or what is broken
                self.check()

    def run_thread(self, pieces, int thread):
        """Decide ranges as they come; what is left of those that have to be checked first."""
        undone = []
        for first, last in pieces:
            reached = self.run(thread, first, last)
            if reached < last:
                undone.append((reached, last))
        return undone

    def run(self, int thread, int64_t first, int64_t last):
        """Decide rows [first, last) on the snapshot; rows that miss something are put on the slow list.

        Returns the row before which columns have to be checked, `last` if there is none.
        """
        cdef Call c
        cdef InputRange rows
        cdef int64_t row = first, n, decided
        cdef ThreadState* s = self._thread_state(thread)
        self._start(&c, s)
        while row < last:
            n = self._set_pointers(thread, row, last, &c, &rows)
            self._point_codes(s, &rows)
            s.is_plain = self.is_plain and may_know(&self.t, &rows)
            self.facts.point(&self.t, &rows, s.is_plain)
            reserve_deferred(s, n)
            with nogil:
                decided = run_rows(s, &c, &rows, row, n)
            self._clear_pointers(thread, &c)
            row += decided
            if decided < n:
                break
        if s.frame.s.failed:
            s.frame.s.failed = 0
            raise MemoryError()
        return row

    cdef void _start(self, Call* c, ThreadState* s):
        """What all rows of a pass have in common."""
        memset(c, 0, sizeof(Call))
        c.t = &self.t
        c.s = &s.frame.s
        c.now = self.now
        c.reasons = self.reasons
        c.accept[0] = STRICT
        c.accept[1] = BROAD
        if self.declared is not None:
            c.unknown = self.declared.keys
            c.unknown_tags = self.declared.tags

    cdef void _clear_pointers(self, int thread, Call* c):
        cdef int32_t i
        for i in range(c.n_columns):
            self.thread_states.of[thread].frame.s.sources[c.columns[i].key] = -1

    cdef int64_t _find_misses(self, int64_t row, bint names, Misses* missing) except -1:
        """List what rows of the chunk at hand miss, from `row` on; how many were scanned, 0 where columns have to be checked first."""
        cdef ThreadState* s = self._thread_state(0)
        cdef Call c
        cdef InputRange rows
        cdef int64_t n
        self._start(&c, s)
        n = self._set_pointers(0, row, self.last, &c, &rows)
        self._point_codes(s, &rows)
        if not names or (numbered_again(rows.principals) and numbered_again(rows.actions)):   # else names that are there would be listed, too
            with nogil:
                n = find_misses(s, &c, &rows, row, n, names, missing)
        self._clear_pointers(0, &c)
        return n

    cdef int _retry_rows(self, RetryKey* tried, int n) except -1:
        """Decide some rows again, in their order, and say what they came to."""
        cdef ThreadState* s
        cdef Call c
        cdef InputRange rows
        cdef RawDecision a
        cdef int64_t first, left
        cdef int k = 0
        self.prepare()
        s = self._thread_state(0)
        self._start(&c, s)
        while k < n:
            first = tried[k].row
            left = self._set_pointers(0, first, self.last, &c, &rows)
            with nogil:
                while k < n and tried[k].row < first + left:
                    c.batch_row = tried[k].row
                    tried[k].status = decide_row(s, &c, &rows, c.batch_row - first, &a, NONE, False)
                    come_to(s, &c, &a, &tried[k], ROUTE_TOGETHER)
                    k += 1
            self._clear_pointers(0, &c)
        return 0

    cdef int _retry_row(self, RetryKey* tried, bint is_checked) except -1:
        """The same of one row, which may name a provider; with `is_checked` nothing in it contradicts what is known (K1)."""
        cdef ThreadState* s
        cdef Call c
        cdef InputRange rows
        cdef RawDecision a
        self.prepare()
        s = self._thread_state(0)
        self._start(&c, s)
        c.batch_row = tried.row
        self._set_pointers(0, tried.row, tried.row + 1, &c, &rows)
        tried.status = decide_row(s, &c, &rows, 0, &a, NONE, is_checked)
        if tried.status == NO_PRINCIPAL:
            provider = self._provider(&c, &rows)
            if provider != <uint32_t>NONE:
                tried.status = decide_row(s, &c, &rows, 0, &a, provider, is_checked)
        come_to(s, &c, &a, tried, ROUTE_SINGLE)
        self._clear_pointers(0, &c)
        return 0

    cdef uint32_t _provider(self, Call* c, const InputRange* rows) except? 0xFFFFFFFD:
        """A federated provider by its name and the action (N3), NONE where the tables do not have it, or the principal is not one."""
        cdef Text text
        if c.action == NULL or not item_text(rows.principals, rows.principal_first, &text) or not may_name_provider(text, c.action):
            return NONE
        name = text.data[:text.size].decode()
        if name in self.sessions:
            return NONE
        key = provider_key(name, self._text(self.actions, c.batch_row, "action"))
        return table_find(&self.t.principal_names, self.t.pool, key, len(key), self.t.seed)

    def give_back(self):
        """Leave what is known about principals to the next batch."""
        if self.declared is None:
            self.thread_states.give_back(self.core.principal_states)

    def answers(self):
        """What the batch found."""
        missing_keys = {spelled(name): n for name, n in self.missing_keys.items()}
        found = {"outcome": self.outcome, "assumed_owner": self.assumed.view(bool), "missing_keys": missing_keys}
        if self.reason_columns is not None:
            self.reason_columns.number_statements(self.occurrences)
            found |= {"layer": self.reason_columns.layer, "reason": self.reason_columns.reason, "statement": self.reason_columns.statement}
            found["statements"] = self.core.resolver.statement_refs(self.reason_columns.reported)
            if self.reason_columns.deciding_code is not None:
                found |= {"depends_on": self.reason_columns.deciding_code, "depends_on_sets": self.reason_columns.deciding_keys}
        return found

"""Columns of requests: `decide_columns`, and the passes that it makes over them without the GIL.

A pass works on a snapshot of the tables. Rows that miss something (a name, a row of policies, a contradiction to check) go on a
list, are settled with the GIL by the rules of `_core`, and the next chunk begins.
"""
from functools import partial

from cython cimport no_gc_clear
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from fastiam._build cimport Tables
from fastiam._bytes cimport table_find
from fastiam._call cimport MOST_TEXT_CODES, TAG_AT, Call, ContextColumn
from fastiam._columns cimport Column, Text, item_text, row_items
from fastiam._core cimport Core, _Declared
from fastiam._answer cimport BAD_UNKNOWN, DONE, MISSING, NO_ACTION, NO_FACTS, NO_PRINCIPAL, UNCHECKED, Answer
from fastiam._decide cimport find_row
from fastiam._frame cimport fit_truths, utf8_of
from fastiam._ingest cimport TextColumn
from fastiam._names cimport Names
from fastiam._block cimport Answers, Rows, Side, number_values
from fastiam._facts cimport read_all_facts
from fastiam._pass cimport decide_row, finish, run_rows
from fastiam._reasons cimport _Reasons
from fastiam._sides cimport MANY, _Sides, reserve_slow
from fastiam._truths cimport is_of_owner, new_text_codes
from fastiam._types cimport *

import numpy as np

from fastiam.errors import PolicyError, RequestValueError
from fastiam.keys import spelled
from fastiam.request import check_action, check_resource, check_root

_ARGUMENTS = {  # what errors of single requests call a value -> its column in a batch
    "principal": "principals", "action": "actions", "resource": "resources", "resource_account": "resource_accounts",
}


cdef enum:
    MOST_CODES = 65000         # of a dictionary by which truths are kept
    CHUNK = 65536              # rows between two settlements, for each thread
    LONG_CHUNK = 4 * CHUNK     # where little had to be settled after the last ones
    FEW_SLOW = 1024            # rows that need the GIL
    PIECE = 16384              # rows that a thread takes at a time
    LEAST_PIECE = 2048         # and the last ones
    SHARED = 8192              # fewer are not worth a second thread
    BROKEN = 0xFFFFFFFE        # a session that cannot be read
    TOGETHER = 1024            # rows that are settled together
    MOST_ROUNDS = 12           # more than there are things that a row can miss one after the other


cdef struct Miss:              # what a row came to
    int64_t row
    int status
    uint32_t stack             # of the row of policies that is not there
    uint32_t flag
    uint32_t cls
    uint32_t name


def decide_columns(
    Core core, TextColumn principals, TextColumn actions, TextColumn resources, dict context, TextColumn owners, dict sessions,
    frozenset unknown, int64_t n, int64_t now, bint reasons, dict errors, pool, int threads,
):
    """Decide `n` rows. What `bulk.Decisions` takes, by its names.

    `errors` takes the rows that cannot be read; None raises the first of them.
    """
    cdef _Batch batch = _Batch(core, principals, actions, resources, context, owners, sessions, unknown, n, now, reasons)
    cdef int64_t first = 0, last, size = CHUNK, n_slow
    while first < n:
        last = min(n, first + size * threads)
        batch.begin(first, last)
        if threads > 1 and last - first >= SHARED:
            batch.read_facts(pool, threads)
            batch.run_pieces(_cut(first, last, threads), pool, threads)
        else:
            batch.run_pieces([(first, last)], pool, 1)
        n_slow = batch.settle(errors)
        batch.keep()
        # what the next chunk asks for again is not dropped before it: sessions named in the call count after it alone
        core._settle_limits(batch.session_bytes if last < n else 0)
        first = last
        size = LONG_CHUNK if n_slow <= FEW_SLOW else CHUNK
    batch.give_back()
    return batch.answers()


def _cut(int64_t first, int64_t last, int threads):
    """Ranges of a range that threads can share; the last ones are short, so that no thread has much left when the others are done."""
    cuts = []
    while first < last:
        step = min(<int64_t>PIECE, max(<int64_t>LEAST_PIECE, (last - first) // (2 * threads)), last - first)
        cuts.append((first, first + step))
        first += step
    return cuts


def _together(work, pool, int threads):
    """What work gives that threads do together, each with its number: this one at once, those of the pool as soon as they are awake."""
    others = [pool.submit(work, number) for number in range(1, threads)]
    return [work(0), *[other.result() for other in others]]


cdef uint8_t ALL_VALID = 0xFF           # eight items of a column without nulls


@no_gc_clear  # `__dealloc__` leaves the tables
cdef class _Batch:
    """One call of `decide_many`. Passes without the GIL; what a row misses is settled between them."""

    cdef Core core
    cdef Tables tables
    cdef TextColumn principals, actions, resources, owners
    cdef list context                                    # (name, column)
    cdef list keys                                       # number of each, in the snapshot
    cdef list key_names                                  # by number
    cdef Names session_names
    cdef dict sessions, broken_sessions
    cdef readonly int64_t session_bytes                  # of the cache, that the sessions take
    cdef TablesC t
    cdef int64_t n, now, first, last                      # all rows; those of the chunk at hand
    cdef bint reasons, entered, is_plain
    cdef uint64_t generation
    cdef _Sides sides
    cdef _Reasons told                                   # None: nobody asks why
    cdef object outcome, assumed
    cdef uint8_t[::1] c_outcome
    cdef uint8_t[::1] c_assumed
    cdef dict principal_codes, action_codes              # dictionary -> array of numbers
    cdef dict facts                                      # dictionary of resources -> their facts and records
    cdef object occurrences
    cdef _Declared declared                              # None: no key is unknown
    cdef dict unread                                     # key -> rows that read it where nobody supplied it

    def __cinit__(
        self, Core core, principals, actions, resources, context, owners, sessions, unknown, int64_t n, int64_t now, bint reasons
    ):
        self.core = core
        self.tables = core.tables
        self.principals, self.actions, self.resources, self.owners = principals, actions, resources, owners
        self.n, self.now, self.reasons = n, now, reasons
        self.sessions = sessions
        self.broken_sessions = {}
        self.context = [(name, column) for name, column in context.items()]
        self.outcome = np.empty(n, np.uint8)             # every row of these is written: decided, or put on a slow list
        self.c_outcome = self.outcome
        self.assumed = np.empty(n, np.uint8)
        self.c_assumed = self.assumed
        self.principal_codes = {}
        self.action_codes = {}
        self.declared = _Declared(unknown) if unknown else None
        self.unread = {}
        self.generation = 0xFFFFFFFFFFFFFFFF
        self.sides = _Sides(len(self.context) + len(core.defaults))
        self.told = _Reasons(n, bool(unknown)) if reasons else None
        self.first = self.last = 0

    def __dealloc__(self):
        if self.entered:
            self.tables.leave()

    # -- before a pass -----------------------------------------------------------------------------------------------------------------

    cdef Side* _side(self, int number) except NULL:
        """What a thread has of its own, ready for the tables as they are."""
        cdef Side* side = self.sides.side(number)
        cdef int64_t n_session_names = self.session_names.t.principal_names.n
        self._point_answers(&side.answers)
        self.sides.fit(side, &self.t)
        side.session_names = NULL
        if n_session_names:
            side.session_names = &self.session_names.t.principal_names
            side.session_pool = self.session_names.t.pool
        side.is_plain = self.is_plain
        # what is unknown tells what can contradict
        left = self.core.callers if self.declared is None else []
        self.sides.know_callers(side, &self.t, self.generation, self.keys, self.n, n_session_names, left)
        return side

    cdef void _point_answers(self, Answers* answers):
        answers.outcome = &self.c_outcome[0] if self.n else NULL
        answers.assumed = &self.c_assumed[0] if self.n else NULL
        if self.told is not None and self.n:
            self.told.point(answers)

    def begin(self, int64_t first, int64_t last):
        """Take up the next chunk."""
        self.first, self.last = first, last
        if self.told is not None:
            self.told.begin(first, last)
        self.prepare()

    def prepare(self):
        """Take a snapshot of the tables, with everything that the batch names itself entered."""
        with self.core._lock:                            # nothing is dropped while it is held
            self._prepare()

    cdef int _prepare(self) except -1:
        cdef Core core = self.core
        core._refresh()
        if core.tables.generation != self.generation:
            self.keep()
            self.principal_codes = {}
            self.action_codes = {}
            self.facts = {}
            self.generation = core.tables.generation
            self.sides.forget_rows()
            before = core._late_bytes()
            self.session_names = Names(Tables(seed=core.tables.t.seed))
            for name, session in self.sessions.items():
                self.session_names.principal((<str>name).encode(), self._session_number(name, session))
            self.session_names.sync()
            self.session_bytes = core._late_bytes() - before
        self.keys = [core._key(name) for name, _ in self.context]
        for (_, column), number in zip(self.context, self.keys):
            if number < 0:
                (<TextColumn>column).check()             # no pass looks at it
        if self.entered:
            core.tables.leave()
        core.names.enter(&self.t)
        self.entered = True
        if self.declared is not None:
            self.declared.fit(core.tables)
        self.is_plain = self._is_plain()
        self.occurrences = core._occurrences()
        self.key_names = core._folded_names()

    cdef uint32_t _session_number(self, str name, object session) except? 0xFFFFFFFD:
        """The principal of a session, BROKEN where it cannot be read: its rows get the error."""
        cdef Core core = self.core
        found = core.session_numbers.get(id(session))
        if found is None:
            try:
                found = core.session_numbers[id(session)] = (core._settle_session(session), session)
            except (RequestValueError, PolicyError) as error:
                self.broken_sessions[name] = error
                return BROKEN
        return found[0]

    cdef bint _is_plain(self):
        """Whether rows of this batch can be usual ones: nothing that each of them has to be asked for by itself."""
        cdef TextColumn column
        cdef const Key* k
        if self.declared is not None or self.owners is not None or self.t.denies_unknown_owner:
            return False
        for (_, column), number in zip(self.context, self.keys):
            if number < 0:
                if column.is_list:
                    return False
                continue
            k = &self.t.keys[<uint32_t>number]
            if column.is_list and not k.is_multi:
                return False                             # C5
            if self.t.n_endpoints and <uint32_t>number == self.t.key_source_vpce:
                return False                             # D40
            if k.is_checked and (is_of_owner(k) or k.source in (KEY_ENDPOINT, KEY_SOURCE_ORG, KEY_SOURCE_ORG_PATHS)):
                return False                             # K1, where more than who asks must be known
        return True

    def read_facts(self, pool, int threads):
        """Read the facts of the dictionaries of the chunk at hand, where there is more than one thread to do it."""
        cdef const Column* chunk
        cdef int64_t row = self.first, local, left
        while row < self.last:
            chunk = self.resources.chunk_of(row, &local, &left)
            if self._has_facts(chunk) and <size_t>chunk.dictionary not in self.facts:
                found = np.empty(chunk.n_values, np.uint64), np.empty(chunk.n_values, np.uint32)
                parts = iter(_cut(0, chunk.n_values, threads))
                _together(partial(self.read_facts_parts, row, found, parts), pool, threads)
                self.facts[<size_t>chunk.dictionary] = found
            row += left

    def read_facts_parts(self, int64_t row, tuple found, parts, int number):
        """Facts of the dictionary that a row is in, for ranges of its values as they come. Threads differ in nothing but their number."""
        cdef int64_t local, left
        cdef const Column* chunk = self.resources.chunk_of(row, &local, &left)
        for first, last in parts:
            self._read_facts(chunk, first, last, found)

    cdef bint _has_facts(self, const Column* chunk):
        return self.is_plain and chunk.code_width != 0 and not chunk.is_list and 0 < chunk.n_values <= self.n

    cdef int _point_facts(self, Rows* rows) except -1:
        """Point at the facts of a dictionary of resources; NULL where each row finds them for itself."""
        cdef const Column* chunk = rows.resources
        cdef uint64_t[::1] facts
        cdef uint32_t[::1] records
        rows.facts = NULL
        rows.records = NULL
        if not self._has_facts(chunk):
            return 0
        found = self.facts.get(<size_t>chunk.dictionary)
        if found is None:
            found = np.empty(chunk.n_values, np.uint64), np.empty(chunk.n_values, np.uint32)
            self._read_facts(chunk, 0, chunk.n_values, found)
            found = self.facts.setdefault(<size_t>chunk.dictionary, found)   # another thread may have read it meanwhile, and points at its own
        facts, records = found
        rows.facts = &facts[0]
        rows.records = &records[0]
        return 0

    cdef int _read_facts(self, const Column* chunk, int64_t first, int64_t last, tuple found) except -1:
        cdef Call c
        cdef uint64_t[::1] facts
        cdef uint32_t[::1] records
        facts, records = found
        memset(&c, 0, sizeof(Call))
        c.t = &self.t
        with nogil:
            read_all_facts(&c, chunk, first, last, &facts[0], &records[0])
        return 0

    cdef object _codes(self, Side* side, const Column* chunk, dict known, bint of_actions):
        """The number of each dictionary value of a chunk, NONE where it is not in the tables (yet)."""
        cdef uint32_t[::1] numbers
        key = <size_t>chunk.dictionary
        found = known.get(key)
        if found is not None:
            return found
        if chunk.code_width == 0 or chunk.is_list or not 0 < chunk.n_values <= 4 * self.n + 1024:
            return None
        array = np.empty(chunk.n_values, np.uint32)
        numbers = array
        with nogil:
            number_values(side, &self.t, chunk, of_actions, &numbers[0])
        known[key] = array
        return array

    cdef int64_t _point(self, int side, int64_t row, int64_t last, Call* c, Rows* rows) except -1:
        """Point at the chunks that hold `row`; how many rows follow in all of them."""
        cdef Side* s = &self.sides.of[side]
        cdef int64_t left = last - row, here
        cdef TextColumn column
        cdef ContextColumn* at
        cdef const Column* chunk
        cdef int64_t key
        cdef int n = 0
        cdef bint is_plain
        cdef bint others = s.frame.s.n_kept < self.t.n_atoms or s.frame.s.kept == NULL or s.truths_of != self.generation
        cdef Text own_name
        c.has_wide = c.gives_tags = False
        rows.principals = self.principals.chunk_of(row, &rows.principal_first, &here)
        left = min(left, here)
        rows.actions = self.actions.chunk_of(row, &rows.action_first, &here)
        left = min(left, here)
        rows.resources = self.resources.chunk_of(row, &rows.resource_first, &here)
        left = min(left, here)
        rows.owners = NULL
        if self.owners is not None:
            rows.owners = self.owners.chunk_of(row, &rows.owner_first, &here)
            left = min(left, here)
        for (name, column), number in zip(self.context, self.keys):
            key = number
            if key < 0:
                continue
            at = &s.columns[n]
            chunk = column.chunk_of(row, &at.first, &here)
            is_plain = not chunk.code_width and not chunk.is_list and self.n >= MANY
            others = others or at.key != <uint32_t>key or not (is_plain and at.has_texts) and (
                at.column == NULL or at.column.dictionary != chunk.dictionary
            )
            at.column = chunk
            at.keeps_truths = is_plain or (
                chunk.code_width and not chunk.is_list and chunk.value_valid == NULL and chunk.n_values <= MOST_CODES
            )
            at.has_texts = is_plain
            at.n_codes = MOST_TEXT_CODES if is_plain else chunk.n_values
            if is_plain and at.texts == NULL:
                at.texts = new_text_codes()
                if at.texts == NULL:
                    raise MemoryError()
            at.valid = chunk.item_valid if chunk.item_valid != NULL else &ALL_VALID
            at.valid_mask = -<int64_t>(chunk.item_valid != NULL)
            left = min(left, here)
            at.key = <uint32_t>key
            at.is_multi = self.t.keys[key].is_multi or (column.is_list and not self.core._is_single(name))
            at.tag = Text(NULL, 0)
            if self.t.keys[key].tag:
                utf8_of(name, &own_name)
                at.tag = Text(own_name.data + TAG_AT, own_name.size - TAG_AT)
            s.frame.s.sources[key] = n
            n += 1
            c.has_wide |= chunk.code_width != 0 and not chunk.is_list and not at.keeps_truths
            c.gives_tags |= self.t.keys[key].source == KEY_RESOURCE or self.t.keys[key].source == KEY_IAM_TAG
        c.columns = s.columns
        c.n_columns = n
        if self.n >= MANY:
            others = others or s.truths_for != self.t.n_principals
            if others:
                fit_truths(s.frame, &self.t)
                s.truths_of, s.truths_for = self.generation, self.t.n_principals
            self.sides.fit_sieves(s, &self.t, others)
        return left

    # -- a pass ------------------------------------------------------------------------------------------------------------------------------

    def check(self):
        """Check the columns that are not, in the order in which they are given."""
        cdef TextColumn column
        for column in (self.principals, self.actions, self.resources, self.owners, *[column for _, column in self.context]):
            if column is not None:
                column.check()

    def run_pieces(self, list pieces, pool, int threads):
        """Decide ranges of rows; a thread takes the next one when it is done with one, so that none waits for another."""
        while pieces:
            left = iter(pieces)                          # which threads share
            unread = _together(partial(self.run_side, left), pool, threads)
            pieces = [piece for of_side in unread for piece in of_side]
            if pieces:                                   # text that is not ASCII, or what is broken
                self.check()

    def run_side(self, pieces, int side):
        """Decide ranges as they come; what is left of those that have to be checked first."""
        unread = []
        for first, last in pieces:
            reached = self.run(side, first, last)
            if reached < last:
                unread.append((reached, last))
        return unread

    def run(self, int side, int64_t first, int64_t last):
        """Decide rows [first, last) on the snapshot; rows that miss something are put on the slow list.

        Returns the row before which columns have to be checked, `last` if there is none.
        """
        cdef Call c
        cdef Rows rows
        cdef int64_t row = first, n, decided
        cdef uint32_t[::1] codes
        cdef Side* s = self._side(side)
        self._start(&c, s)
        while row < last:
            n = self._point(side, row, last, &c, &rows)
            principal_codes = self._codes(s, rows.principals, self.principal_codes, False)
            action_codes = self._codes(s, rows.actions, self.action_codes, True)
            rows.principal_codes = NULL
            rows.action_codes = NULL
            if principal_codes is not None and len(principal_codes):
                codes = principal_codes
                rows.principal_codes = &codes[0]
            if action_codes is not None and len(action_codes):
                codes = action_codes
                rows.action_codes = &codes[0]
            self._point_facts(&rows)
            reserve_slow(s, n)
            with nogil:
                decided = run_rows(s, &c, &rows, row, n)
            self._unpoint(side, &c)
            row += decided
            if decided < n:
                break
        if s.frame.s.failed:
            s.frame.s.failed = 0
            raise MemoryError()
        return row

    cdef void _start(self, Call* c, Side* s):
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

    cdef void _unpoint(self, int side, Call* c):
        cdef int32_t i
        for i in range(c.n_columns):
            self.sides.of[side].frame.s.sources[c.columns[i].key] = -1

    # -- after a pass --------------------------------------------------------------------------------------------------------------------------

    def settle(self, errors):
        """Decide the rows of the slow lists, with the GIL, on the tables as they become; how many there were."""
        slow = self.sides.take_slow()
        for row in self._settle_together(slow):
            try:
                self._settle_row(row)
            except (RequestValueError, PolicyError) as error:
                if isinstance(error, RequestValueError):
                    error = RequestValueError(
                        error.message, column=_ARGUMENTS.get(error.column, error.column), row=row, hint=error.hint
                    )
                if errors is None:
                    self.check()                         # what cannot be read comes first
                    raise error from None
                errors[row] = error
        return len(slow)

    cdef list _settle_together(self, list rows):
        """Settle what many rows miss alike, and decide them. The rows that are left want to be settled one by one."""
        cdef list alone = []
        for _ in range(MOST_ROUNDS):
            if len(rows) < 2:
                break
            entered, again = set(), []
            for at in range(0, len(rows), TOGETHER):
                self._decide_again(rows[at:at + TOGETHER], entered, again, alone)
            rows = again
            if entered:
                self._forget_small_codes()
        return sorted(alone + rows)

    cdef int _decide_again(self, list part, set entered, list again, list alone) except -1:
        """Decide some rows, in their order; those that miss something go on a list, `again` where it was settled."""
        cdef Miss missed[TOGETHER]
        cdef Side* s
        cdef Call c
        cdef Rows rows
        cdef Answer a
        cdef int64_t first, left
        cdef int i, k = 0, n = <int>len(part)
        for i in range(n):
            missed[i].row = part[i]
        self.prepare()
        s = self._side(0)
        self._start(&c, s)
        while k < n:
            first = missed[k].row
            left = self._point(0, first, self.last, &c, &rows)
            rows.principal_codes = NULL
            rows.action_codes = NULL
            with nogil:
                while k < n and missed[k].row < first + left:
                    c.batch_row = missed[k].row
                    missed[k].status = decide_row(s, &c, &rows, c.batch_row - first, &a, NONE, False)
                    if missed[k].status == DONE:
                        finish(s, &c, &a, DONE)
                    elif missed[k].status == MISSING:
                        missed[k].stack, missed[k].flag = a.missing, a.missing_flag
                        missed[k].cls, missed[k].name = c.action_class, c.action_name
                    k += 1
            self._unpoint(0, &c)
        for i in range(n):
            if missed[i].status == DONE:
                continue
            if self._is_settled(&missed[i], entered):
                again.append(missed[i].row)
            else:
                alone.append(missed[i].row)
        return 0

    cdef bint _is_settled(self, const Miss* m, set entered) except -1:
        """Settle what a row misses; False where it has to be looked at by itself. `entered` holds the names that were."""
        cdef Core core = self.core
        cdef Tables tables = core.tables
        cdef uint32_t name
        if tables.generation != self.generation:
            return m.status == MISSING
        if m.status == MISSING:
            name = m.cls if m.stack < tables.t.n_indexed_stacks else m.name | BY_NAME
            if find_row(&tables.t, m.stack, name | m.flag).n == 0:
                with core._lock:                         # one builder at a time
                    if tables.generation == self.generation:
                        tables.make_row(m.stack, m.cls, m.name, m.flag)
            return True
        if m.status != NO_ACTION and m.status != NO_PRINCIPAL:
            return False
        try:
            action = self._text(self.actions, m.row, "action")
            if m.status == NO_ACTION:
                if action not in entered:
                    check_action(action)
                    with core._lock:
                        tables.find_action(action.encode(), &name)
                    entered.add(action)
                return True
            principal = self._text(self.principals, m.row, "principal")
            if not principal.startswith("arn:") or principal in self.broken_sessions:
                return False                             # a name may stand for a provider (N3)
            if principal not in entered:
                core._settle_principal(principal, action)
                entered.add(principal)
            return True
        except (RequestValueError, PolicyError):
            return False                                 # raised again where the row is settled by itself

    cdef void _forget_small_codes(self):
        """Number dictionaries again: what they hold has been entered. Not large ones, for each chunk of rows may enter something."""
        for known in (self.principal_codes, self.action_codes):
            for key in [key for key, codes in known.items() if len(codes) <= CHUNK]:
                del known[key]

    cdef int _settle_row(self, int64_t row) except -1:
        """One row of a batch: as `Core._decide`, but its context lies in columns."""
        cdef Side* s = &self.sides.of[0]
        cdef Call c
        cdef Rows rows
        cdef Answer a
        cdef bint checked = False
        cdef int status
        while True:
            self.prepare()
            self._side(0)
            self._start(&c, s)
            c.batch_row = row
            self._point(0, row, row + 1, &c, &rows)
            rows.principal_codes = NULL
            rows.action_codes = NULL
            status = decide_row(s, &c, &rows, 0, &a, NONE, checked)
            if status == NO_PRINCIPAL:
                provider = self._provider(&c, &rows)
                if provider != <uint32_t>NONE:
                    status = decide_row(s, &c, &rows, 0, &a, provider, checked)
            if status == DONE:
                finish(s, &c, &a, status)
                self._unpoint(0, &c)
                return 0
            try:
                self._settle_status(status, &c, &a, row, &checked)
            finally:
                self._unpoint(0, &c)

    cdef uint32_t _provider(self, Call* c, const Rows* rows) except? 0xFFFFFFFD:
        """A federated provider by its name and the action (N3), NONE where the tables do not have it, or who asks is none."""
        cdef Text text
        if c.action == NULL or not c.action.flags & ACT_FEDERATION or not item_text(rows.principals, rows.principal_first, &text):
            return NONE
        key = text.data[:text.size] + b"\0" + (<str>self._text(self.actions, c.batch_row, "action")).lower().encode()
        return table_find(&self.t.principal_names, self.t.pool, key, len(key), self.t.seed)

    def _text(self, TextColumn column, int64_t row, str name):
        """The text of a row, or an error where there is none."""
        cdef Text text
        cdef int64_t local, left
        cdef const Column* chunk = column.chunk_of(row, &local, &left)
        if not item_text(chunk, local, &text):
            raise RequestValueError("the value is null", column=name, hint="principal, action and resource are needed in every row")
        return text.data[:text.size].decode()

    cdef int _settle_status(self, int status, Call* c, Answer* a, int64_t row, bint* checked) except -1:
        cdef Core core = self.core
        cdef uint32_t name
        if status == MISSING:
            if core.tables.generation == self.generation:
                now_at = core.tables.generation
                with core._lock:  # one builder at a time
                    if now_at == core.tables.generation:  # waiting for it, the numbers may have been dropped
                        core.tables.make_row(a.missing, c.action_class, c.action_name, a.missing_flag)
            return 0
        action = self._text(self.actions, row, "action")
        if status == NO_ACTION:
            check_action(action)
            with core._lock:  # one builder at a time
                core.tables.find_action(action.encode(), &name)
            return 0
        if status == BAD_UNKNOWN:
            check_root(("aws:assumedroot",))             # raises
        principal = self._text(self.principals, row, "principal")
        if status == NO_PRINCIPAL:
            if principal in self.broken_sessions:
                raise self.broken_sessions[principal]
            core._settle_principal(principal, action)
            return 0
        resource = self._text(self.resources, row, "resource")
        if status == NO_FACTS:
            core._settle_facts(resource)
            return 0
        check_resource(resource)
        owner = None
        if self.owners is not None:
            try:
                owner = self._text(self.owners, row, "resource_account")
            except RequestValueError:
                owner = None
        core._settle_check(self.sessions.get(principal, principal), action, resource, self._context_of(row), owner)
        if status != UNCHECKED:
            raise RequestValueError("the row cannot be read", column="resource")
        checked[0] = True
        return 0

    def _context_of(self, int64_t row):
        """The context of a row as a mapping."""
        cdef TextColumn column
        cdef const Column* chunk
        cdef Text text
        cdef int64_t local, left, first, last, i
        found = {}
        for name, column in self.context:
            chunk = column.chunk_of(row, &local, &left)
            row_items(chunk, local, &first, &last)
            values = []
            for i in range(first, last):
                if item_text(chunk, i, &text):
                    values.append(text.data[:text.size].decode())
            if values:
                found[name] = values if column.is_list else values[0]
        return found

    cdef int keep(self) except -1:
        """Turn the numbers of the chunk into what they stand for, while they still mean what they meant."""
        if self.told is not None:
            self.told.keep(&self.t, self.sides, self.key_names)
            if self.core.tables.generation != self.generation:
                self.told.turn(self.occurrences)
        if self.key_names is not None:
            self.sides.take_unread(self.t.n_keys, self.key_names, self.unread)
        return 0

    def give_back(self):
        """Leave what is known about principals to the next batch."""
        if self.declared is None:
            self.sides.give_back(self.core.callers)

    def answers(self):
        """What the batch found."""
        unread = {spelled(name): n for name, n in self.unread.items()}
        found = {"outcome": self.outcome, "assumed_owner": self.assumed.view(bool), "unread": unread}
        if self.told is not None:
            self.told.turn(self.occurrences)
            found |= {"layer": self.told.layer, "reason": self.told.reason, "statement": self.told.statement}
            found["statements"] = self.core._statement_refs(self.told.reported)
            if self.told.matter_code is not None:
                found |= {"depends_on": self.told.matter_code, "depends_on_sets": self.told.matters}
        return found

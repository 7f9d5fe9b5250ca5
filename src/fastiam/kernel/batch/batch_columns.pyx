"""The columns of a batch, as passes read them: chunk by chunk, with numbers of dictionary values and what is kept for the next batch."""
from functools import partial

from cython cimport no_gc_clear
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastiam.kernel.base.invariants cimport narrow32
from fastiam.kernel.base.text cimport Text
from fastiam.kernel.columns.column cimport Column, item_text
from fastiam.kernel.columns.read cimport TextColumn
from fastiam.kernel.decide.blocks cimport OutputColumns, InputRange, ThreadState
from fastiam.kernel.decide.row_ids cimport ids_of_dictionary
from fastiam.kernel.decide.scratch cimport reserve_truths, utf8_of
from fastiam.kernel.eval.key_columns cimport new_text_codes
from fastiam.kernel.model.call cimport Call, ContextColumn, MAX_TEXT_CODES, TAG_AT
from fastiam.kernel.model.tables cimport *
from fastiam.kernel.plan.names cimport Names
from fastiam.kernel.plan.tables cimport Tables

import numpy as np

from fastiam.errors import PolicyError, RequestValueError

cdef uint8_t ALL_VALID = 0xFF           # eight items of a column without nulls


@no_gc_clear  # `__dealloc__` leaves the tables
cdef class _BatchColumns:
    """The columns of one call of `decide_many`, as passes read them."""

    cdef Core core
    cdef Tables tables
    cdef TextColumn principals, actions, resources, owners
    cdef dict context                                    # name -> column
    cdef list keys                                       # number of each, in the snapshot
    cdef list key_names                                  # by number
    cdef Names session_names                             # None: there are none
    cdef dict sessions, broken_sessions                  # those that rows can name
    cdef int64_t session_bytes                           # of the cache, that the sessions take
    cdef TablesC t
    cdef int64_t n, now, first, last                      # all rows; those of the chunk at hand
    cdef bint reasons, entered, is_plain
    cdef uint64_t generation
    cdef _ThreadStates thread_states
    cdef _Reasons reason_columns                         # None: reasons are not requested
    cdef object outcome, assumed
    cdef uint8_t[::1] c_outcome
    cdef uint8_t[::1] c_assumed
    cdef dict principal_codes, action_codes              # dictionary -> array of numbers
    cdef _Facts facts
    cdef object occurrences
    cdef _Declared declared                              # None: no key is unknown
    cdef dict missing_keys                                     # key -> rows that read it where no column supplied it

    def __cinit__(
        self, Core core, principals, actions, resources, context, owners, sessions, unknown, int64_t n, int64_t now, bint reasons
    ):
        self.core = core
        self.tables = core.tables
        self.principals, self.actions, self.resources, self.owners = principals, actions, resources, owners
        self.n, self.now, self.reasons = n, now, reasons
        self.sessions = self._named(sessions)
        self.broken_sessions = {}
        self.context = context
        self.outcome = np.empty(n, np.uint8)             # every row of these is written: decided, or put on a slow list
        self.c_outcome = self.outcome
        self.assumed = np.empty(n, np.uint8)
        self.c_assumed = self.assumed
        self.principal_codes = {}
        self.action_codes = {}
        self.facts = _Facts(resources)
        self.declared = _Declared(unknown) if unknown else None
        self.missing_keys = {}
        self.generation = 0xFFFFFFFFFFFFFFFF
        self.thread_states = _ThreadStates(len(self.context) + len(core.defaults))
        self.reason_columns = _Reasons(n, bool(unknown)) if reasons else None
        self.first = self.last = 0

    def __dealloc__(self):
        if self.entered:
            self.tables.leave()

    cdef dict _named(self, dict sessions):
        """The sessions that rows name, where there are few rows: to enter one takes longer than to decide a row."""
        cdef int64_t row, n = min(self.n, 1) if self.principals.length < 0 else self.n
        if 2 * n >= len(sessions):                       # PERF: all of them may be named
            return sessions
        self.principals.check()                          # SAFETY: its text is read here
        names = dict.fromkeys([self._value(self.principals, row) for row in range(n)])
        return {name: sessions[name] for name in names if name in sessions}

    # -- before a pass -----------------------------------------------------------------------------------------------------------------

    cdef ThreadState* _thread_state(self, int number) except NULL:
        """What a thread has of its own, ready for the tables as they are."""
        cdef ThreadState* thread_state = self.thread_states.thread_state(number)
        cdef int64_t n_session_names = 0 if self.session_names is None else self.session_names.t.principal_names.n
        self._point_answers(&thread_state.answers)
        self.thread_states.fit(thread_state, &self.t)
        thread_state.session_names = NULL
        if n_session_names:
            thread_state.session_names = &self.session_names.t.principal_names
            thread_state.session_pool = self.session_names.t.pool
        thread_state.is_plain = self.is_plain
        # the unknown keys determine what can contradict
        left = self.core.principal_states if self.declared is None else []
        self.thread_states.load_principal_states(thread_state, &self.t, self.generation, self.keys, self.n, n_session_names, left)
        return thread_state

    cdef void _point_answers(self, OutputColumns* answers):
        answers.outcome = &self.c_outcome[0] if self.n else NULL
        answers.assumed = &self.c_assumed[0] if self.n else NULL
        if self.reason_columns is not None and self.n:
            self.reason_columns.point(answers)

    def begin(self, int64_t first, int64_t last):
        """Take up the next chunk."""
        self.first, self.last = first, last
        if self.reason_columns is not None:
            self.reason_columns.begin(first, last)
        self.prepare()

    def prepare(self):
        """Take a snapshot of the tables, with everything that the batch names itself entered."""
        with self.core.lock, self.core.resolver.compiler.building():    # nothing is dropped meanwhile, not even by a finalizer of this thread
            self._prepare()

    cdef int _prepare(self) except -1:
        cdef Core core = self.core
        core._refresh()
        if core.tables.generation != self.generation:
            self.keep()
            self.principal_codes = {}
            self.action_codes = {}
            self.facts.clear()
            self.generation = core.tables.generation
            self.session_names, self.session_bytes = None, 0
            if self.sessions:
                self._name_sessions()
        self.keys = [core._key(name) for name in self.context]
        for column, number in zip(self.context.values(), self.keys):
            if number < 0:
                (<TextColumn>column).check()             # no pass reads it
        if self.entered:
            core.tables.leave()
        core.names.enter(&self.t)
        self.entered = True
        if self.declared is not None:
            self.declared.fit(core.tables)
        self.is_plain = self._is_plain()
        self.occurrences = core.resolver.occurrences()
        self.key_names = core.resolver.folded_names()

    cdef int _name_sessions(self) except -1:
        """Enter the sessions that the batch names, and say what they take."""
        before = self.core.resolver.cache_bytes_used()
        self.session_names = Names(Tables(seed=self.core.tables.t.seed))
        for name, session in self.sessions.items():
            self.session_names.principal((<str>name).encode(), self._session_number(name, session))
        self.session_names.sync()
        self.session_bytes = self.core.resolver.cache_bytes_used() - before
        self.core.tables.sync()                          # they may have brought keys that nothing read before (K1)
        return 0

    cdef uint32_t _session_number(self, str name, object session) except? 0xFFFFFFFD:
        """The principal of a session, BROKEN where it cannot be read: its rows get the error."""
        try:
            return self.core._session(session)[0]
        except (RequestValueError, PolicyError) as error:
            self.broken_sessions[name] = error
            return BROKEN

    cdef bint _is_plain(self):
        """Whether rows of this batch can be usual ones: nothing that each of them has to be asked for by itself."""
        cdef TextColumn column
        cdef const Key* k
        if self.declared is not None or self.t.denies_unknown_owner:
            return False
        for (name, column), number in zip(self.context.items(), self.keys):
            if column.is_list and is_single(name):
                return False                             # C5
            if number < 0:
                continue
            k = &self.t.keys[<uint32_t>number]
            if column.is_list and <uint32_t>number == self.t.key_source_vpce:
                return False                             # D40
            if k.is_checked and has_trait(k, OF_SOURCE_VPCE | OF_SOURCE_ACCOUNT):
                return False                             # K1, where more than the principal must be known
        return True

    def read_facts(self, pool, int threads):
        """Read the facts of the dictionaries of the chunk at hand, where there is more than one thread to do it."""
        cdef const Column* chunk
        cdef int64_t row = self.first, local, left
        while row < self.last:
            chunk = self.resources.chunk_of(row, &local, &left)
            if not self.facts.knows(chunk):
                found = self.facts.capacity_for(chunk) if self.is_plain else None
                if found is not None:
                    parts = iter(_cut(0, chunk.n_values, threads))
                    _together(partial(self.read_facts_parts, row, found, parts), pool, threads)
                self.facts.keep(chunk, found)
            row += left

    def read_facts_parts(self, int64_t row, tuple found, parts, int number):
        """Facts of the dictionary that a row is in, for ranges of its values as they come. Threads differ in nothing but their number."""
        cdef int64_t local, left
        cdef const Column* chunk = self.resources.chunk_of(row, &local, &left)
        for first, last in parts:
            self.facts.read(&self.t, chunk, first, last, found)

    cdef object _codes(self, ThreadState* thread_state, const Column* chunk, dict known, bint of_actions):
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
            ids_of_dictionary(thread_state, &self.t, chunk, of_actions, &numbers[0])
        return known.setdefault(key, array)              # another thread may have been as quick: what it points at must stay

    cdef int _point_codes(self, ThreadState* s, InputRange* rows) except -1:
        """Point at the numbers of the dictionaries of principals and actions, where these have any. They stay as long as the pass goes on."""
        cdef uint32_t[::1] codes
        principal_codes = self._codes(s, rows.principals, self.principal_codes, False)
        action_codes = self._codes(s, rows.actions, self.action_codes, True)
        if principal_codes is not None and len(principal_codes):
            codes = principal_codes
            rows.principal_codes = &codes[0]
        if action_codes is not None and len(action_codes):
            codes = action_codes
            rows.action_codes = &codes[0]
        return 0

    cdef int64_t _set_pointers(self, int thread, int64_t row, int64_t last, Call* c, InputRange* rows) except -1:
        """Point at the chunks that hold `row`, without the numbers of dictionaries; how many rows follow in all of them."""
        cdef ThreadState* s = &self.thread_states.of[thread]
        cdef int64_t left = last - row, in_chunk
        cdef TextColumn column
        cdef ContextColumn* at
        cdef const Column* chunk
        cdef int64_t key
        cdef int n = 0
        cdef bint is_plain
        cdef bint others = s.frame.s.n_atom_memo < self.t.n_atoms or s.frame.s.atom_memo == NULL or s.memo_generation != self.generation
        cdef Text own_name
        c.has_wide = c.has_texts = c.gives_tags = c.gives_owners = False
        rows.principal_codes = rows.action_codes = NULL
        rows.principals = self.principals.chunk_of(row, &rows.principal_first, &in_chunk)
        left = min(left, in_chunk)
        rows.actions = self.actions.chunk_of(row, &rows.action_first, &in_chunk)
        left = min(left, in_chunk)
        rows.resources = self.resources.chunk_of(row, &rows.resource_first, &in_chunk)
        left = min(left, in_chunk)
        rows.owners = NULL
        if self.owners is not None:
            rows.owners = self.owners.chunk_of(row, &rows.owner_first, &in_chunk)
            left = min(left, in_chunk)
        for (name, column), number in zip(self.context.items(), self.keys):
            key = number
            if key < 0:
                continue
            at = &s.columns[n]
            chunk = column.chunk_of(row, &at.first, &in_chunk)
            is_plain = not chunk.code_width and not chunk.is_list and self.n >= MANY
            others = others or at.key != <uint32_t>key or not (is_plain and at.has_texts) and (
                at.column == NULL or at.column.dictionary != chunk.dictionary
            )
            at.column = chunk
            at.has_code_memo = is_plain or (
                chunk.code_width and not chunk.is_list and chunk.value_valid == NULL and chunk.n_values <= MAX_CODES
            )
            at.has_texts = is_plain
            at.n_codes = MAX_TEXT_CODES if is_plain else chunk.n_values
            if is_plain and at.texts == NULL:
                at.texts = new_text_codes()
                if at.texts == NULL:
                    raise MemoryError()
            at.valid = chunk.item_valid if chunk.item_valid != NULL else &ALL_VALID
            at.valid_mask = -<int64_t>(chunk.item_valid != NULL)
            left = min(left, in_chunk)
            at.key = narrow32(key)
            at.is_multi = self.t.keys[key].is_multi or (column.is_list and not is_single(name))
            at.is_checked = self.t.keys[key].is_checked
            at.tag = Text(NULL, 0)
            if self.t.keys[key].tag:
                utf8_of(name, &own_name)
                at.tag = Text(own_name.data + TAG_AT, own_name.size - TAG_AT)
            s.frame.s.sources[key] = n
            n += 1
            c.has_wide |= chunk.is_list or (chunk.code_width != 0 and not at.has_code_memo)
            c.has_texts |= at.has_texts
            c.gives_tags |= has_trait(&self.t.keys[key], OF_TAGS)
            c.gives_owners |= has_trait(&self.t.keys[key], OF_OWNER)
        c.columns = s.columns
        c.n_columns = n
        if self.n >= MANY:
            others = others or s.memo_n_principals != self.t.n_principals
            if others:
                reserve_truths(s.frame, &self.t)
                s.memo_generation, s.memo_n_principals = self.generation, self.t.n_principals
            self.thread_states.reserve_filters(s, &self.t, others)
        self.thread_states.find_template_bits(s, &self.t)
        c.lacks_keys = find_lacking(&s.frame.s, &self.t, self.declared is not None)
        self.thread_states.clear_agreed(s)
        s.has_endpoints = self.t.n_endpoints != 0 and s.frame.s.sources[self.t.key_source_vpce] >= 0
        if s.has_endpoints:
            self.thread_states.fit_endpoints(&s.columns[s.frame.s.sources[self.t.key_source_vpce]], others)
        return left

    cdef str _text(self, TextColumn column, int64_t row, str name):
        """The text of a row, or an error where there is none."""
        text = self._value(column, row)
        if text is None:
            raise RequestValueError("the value is null", column=name, hint="principal, action and resource are needed in every row")
        return text

    cdef object _value(self, TextColumn column, int64_t row):
        """The text of a row; None where it has none, or a list of them."""
        cdef Text text
        cdef int64_t local, left
        cdef const Column* chunk = column.chunk_of(row, &local, &left)
        if column.is_list or not item_text(chunk, local, &text):
            return None
        return text.data[:text.size].decode()

    # -- what a pass found ----------------------------------------------------------------------------------------------------------------------

    cdef int keep(self) except -1:
        """Turn the numbers of the chunk into what they stand for, while they still mean what they meant."""
        if self.reason_columns is not None:
            self.reason_columns.keep(&self.t, self.thread_states, self.key_names)
            if self.core.tables.generation != self.generation:
                self.reason_columns.number_statements(self.occurrences)
        if self.key_names is not None:
            self.thread_states.take_missing_keys(self.t.n_keys, self.key_names, self.missing_keys)
        return 0

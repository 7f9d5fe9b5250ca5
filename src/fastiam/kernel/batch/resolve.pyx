"""Decisions for columns of requests: `decide_columns`.

Rows that a pass defers are resolved with the GIL by the rules of `_core`: up to a thousand rows together if they have the same kind of miss.
Then the next chunk begins.
"""
from cython cimport no_gc_clear
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free, malloc

from fastiam.kernel.base.text cimport Text
from fastiam.kernel.batch.misses cimport RetryKey, Misses
from fastiam.kernel.columns.column cimport Column, item_text, row_items
from fastiam.kernel.columns.read cimport TextColumn
from fastiam.kernel.model.decision cimport BAD_UNKNOWN, DONE, MISSING, NO_ACTION, NO_FACTS, NO_PRINCIPAL, UNCHECKED
from fastiam.kernel.model.plan cimport PlanKey
from fastiam.kernel.model.tables cimport *
from fastiam.kernel.plan.tables cimport Tables

from fastiam.errors import PolicyError, RequestValueError, error_at, not_resolved
from fastiam.model.profile import FEDERATION
from fastiam.model.request import check_action, check_resource, check_root

_ARGUMENTS = {  # what errors of single requests call a value -> its column in a batch
    "principal": "principals", "action": "actions", "resource": "resources", "resource_account": "resource_accounts",
}


cdef enum:
    CHUNK = 65536              # rows between two settlements, for each thread
    LONG_CHUNK = 4 * CHUNK     # where the last ones missed little
    FEW = 64                   # where no more than one row in so many misses something, that is little
    TOGETHER = 1024            # rows that are resolved together
    MAX_CAUSES = 4096          # of errors that are kept, of each column
    MAX_ROUNDS = 12            # more than there are things that a row can miss one after the other


def decide_columns(
    Core core, TextColumn principals, TextColumn actions, TextColumn resources, dict context, TextColumn owners, dict sessions,
    frozenset unknown, int64_t n, int64_t now, bint reasons, dict errors, pool, int threads,
):
    """Decide `n` rows. What `bulk.Decisions` takes, by its names.

    `errors` takes the rows that cannot be read; None raises the first of them.
    """
    cdef _Batch batch = _Batch(core, principals, actions, resources, context, owners, sessions, unknown, n, now, reasons)
    cdef int64_t first = 0, last, size = CHUNK
    while first < n:
        last = min(n, first + size * threads)
        batch.begin(first, last)
        batch.n_resolved = 0
        if core.has_many_misses:
            batch.resolve_ahead()
        batch.run_chunk(pool, threads)
        batch.resolve_deferred(errors)
        batch.keep()
        # what the next chunk asks for again is not dropped before it: sessions named in the call count after it alone
        core.resolver.enforce_cache_bound(batch.session_bytes if last < n else 0)
        core.has_many_misses = batch.n_resolved * FEW > last - first
        size = CHUNK if core.has_many_misses else LONG_CHUNK
        first = last
    batch.give_back()
    return batch.answers()


def _refuses(check, value):
    """Whether a check raises."""
    try:
        check(value)
    except RequestValueError:
        return True
    return False


@no_gc_clear  # as the passes
cdef class _Batch(_Passes):
    """One call of `decide_many`: passes, and between them the resolution of what rows miss."""

    cdef int64_t n_resolved                               # names and plans that rows of the chunk at hand missed
    cdef dict known_errors                               # column -> cause -> error, of those that rest on nothing else

    def __cinit__(self, *_):
        """Errors are stored column by column, in the order in which a row is evaluated."""
        self.known_errors = {name: {} for name in ("action", "principal", "resource", *self.context)}

    def resolve_ahead(self):
        """Resolve what rows of the chunk at hand miss before they are decided: names first, since an unknown principal misses no plans yet."""
        cdef Misses* missing = <Misses*>malloc(sizeof(Misses))
        if missing == NULL:
            raise MemoryError()
        try:
            self._find_and_resolve(True, missing)
            self._find_and_resolve(False, missing)
        finally:
            free(missing)

    cdef int _find_and_resolve(self, bint names, Misses* missing) except -1:
        cdef int64_t row = self.first, n
        while row < self.last:
            missing.n_names = missing.n_policies = 0
            n = self._find_misses(row, names, missing)
            if n == 0:
                break
            row += n
            if missing.n_names or missing.n_policies:
                self._enter_names(missing.names, missing.n_names)
                self._build_missing_plans(missing.policies, missing.n_policies)
                self.n_resolved += missing.n_policies
                self.prepare()
        return 0

    cdef int _enter_names(self, const RetryKey* tried, uint32_t n) except -1:
        """Enter the names that rows miss; the errors of names that cannot be entered are reported when their rows are decided."""
        cdef uint32_t i
        entered = set()
        for i in range(n):
            self.n_resolved += self._resolve_row_miss(&tried[i], entered)
        if entered:
            self._renumber_dictionaries()
        return 0

    def resolve_deferred(self, errors):
        """Decide the rows of the slow lists, with the GIL, on the tables as they become."""
        for row in self._resolve_batch(self.thread_states.take_deferred()):
            error = self._known_error(row)
            if error is None:
                error = self._error_of(row)
            if error is None:
                continue
            if isinstance(error, RequestValueError):
                error = error_at(error, column=_ARGUMENTS.get(error.column, error.column), row=row)
            if errors is None:
                self.check()                             # what cannot be read comes first
                raise error
            errors[row] = error

    cdef object _error_of(self, int64_t row):
        """Resolve a row; its error, or None."""
        try:
            self._decide_row_general(row)
        except PolicyError as error:
            return error
        except RequestValueError as error:
            self._keep_error(error, row)
            return error
        return None

    # -- errors that rows have in common: a log may be full of them ---------------------------------------------------------

    cdef int _keep_error(self, error, int64_t row) except -1:
        """Keep an error for the rows that surely have it, too."""
        known = self.known_errors.get(error.column)
        if known is not None and len(known) < MAX_CAUSES and self._depends_on_error_column(error.column, row):
            known[self._error_column(error.column, row)] = error.with_traceback(None)
        return 0

    cdef object _known_error(self, int64_t row):
        """What is wrong with a row that has what was wrong with another one, or None."""
        for column, known in self.known_errors.items():
            error = known.get(self._error_column(column, row)) if known else None
            if error is not None:
                return error
        return None

    cdef object _error_column(self, str column, int64_t row):
        """The arguments that determine an error which is named after this column."""
        if column == "action":
            return self._value(self.actions, row)
        if column == "resource":
            return self._value(self.resources, row)
        principal = self._value(self.principals, row)
        if column == "principal":                        # of a name without `arn:`, the action decides if it can be a provider (N3)
            action = self._value(self.actions, row)
            return principal, action is not None and action.lower() in FEDERATION
        return principal, self._value(self.context[column], row)

    cdef bint _depends_on_error_column(self, str column, int64_t row) except -1:
        """Whether the cause of an error determines it, whatever else the row has."""
        cause = self._error_column(column, row)
        if column == "action":
            return _refuses(check_action, cause)
        if column == "resource":
            return _refuses(check_resource, cause)
        if column == "principal":                        # INVARIANT: no error of a principal is due to anything else
            return column not in self.context            # else a key of this name may be meant
        principal, value = cause
        if value is None or not (principal == "*" or principal.startswith("arn:")):
            return False
        # a key that nothing reads is checked where another one is in doubt, and not elsewhere
        return self.core._key(column) >= 0 and self.core.resolver.contradicts(self.sessions.get(principal, principal), column, value)

    cdef list _resolve_batch(self, list rows):
        """Resolve what many rows miss, and decide them. The rows that are left are resolved one by one."""
        cdef list single = []
        for _ in range(MAX_ROUNDS):
            if len(rows) < 2:
                break
            entered, again = set(), []
            for at in range(0, len(rows), TOGETHER):
                self._decide_again(rows[at:at + TOGETHER], entered, again, single)
            rows = again
            if entered:
                self._renumber_dictionaries()
        return sorted(single + rows)

    cdef int _decide_again(self, list part, set entered, list again, list single) except -1:
        """Decide some rows, in their order; those that miss something are appended to a list, `again` where it was resolved."""
        cdef RetryKey tried[TOGETHER]
        cdef int i, n = <int>len(part)
        for i in range(n):
            tried[i].row = part[i]
        self._retry_rows(tried, n)
        for i in range(n):
            if tried[i].status == DONE:
                continue
            if self._resolve_row_miss(&tried[i], entered):
                self.n_resolved += 1
                again.append(tried[i].row)
            else:
                single.append(tried[i].row)
        return 0

    cdef bint _resolve_row_miss(self, const RetryKey* tried, set entered) except -1:
        """Resolve what a row misses; False where it has to be resolved by itself. `entered` holds the names that were."""
        cdef Core core = self.core
        if core.tables.generation != self.generation:
            return tried.status == MISSING
        if tried.status == MISSING:
            self._build_missing_plans(&tried.missing, 1)
            return True
        if (tried.status != NO_ACTION and tried.status != NO_PRINCIPAL) or self._known_error(tried.row) is not None:
            return False
        try:
            action = self._text(self.actions, tried.row, "action")
            if tried.status == NO_ACTION:
                if action not in entered:
                    self._enter_action(action)
                    entered.add(action)
                return True
            principal = self._text(self.principals, tried.row, "principal")
            if principal in self.broken_sessions or (not principal.startswith("arn:") and self._is_federation(action)):
                return False                             # a name may stand for a provider (N3)
            if principal not in entered:
                core._enter_principal(principal, action)
                entered.add(principal)
            return True
        except PolicyError:
            return False                                 # raised again where the row is resolved by itself
        except RequestValueError as error:
            self._keep_error(error, tried.row)
            return False

    cdef bint _is_federation(self, str action) except -1:
        """Whether an action that has been entered is one that providers ask for."""
        cdef Tables tables = self.core.tables
        cdef uint32_t name
        with self.core.lock:
            tables.find_action(action.encode(), &name)
            return tables.t.classes[tables.t.name_classes[name]].flags & ACT_FEDERATION != 0

    cdef void _renumber_dictionaries(self):
        """Number dictionaries again: what they hold has been entered. Not large ones, for each chunk of rows may enter something."""
        for known in (self.principal_codes, self.action_codes):
            for key in [key for key, codes in known.items() if len(codes) <= MAX_RENUMBERED]:
                del known[key]

    cdef int _decide_row_general(self, int64_t row) except -1:
        """One row of a batch: as `Core._decide`, but its context lies in columns."""
        cdef RetryKey tried
        cdef bint is_checked = False
        tried.row = row
        for _ in range(MAX_ATTEMPTS):
            self._retry_row(&tried, is_checked)
            if tried.status == DONE:
                return 0
            self._resolve_status(&tried, &is_checked)
        raise not_resolved()

    cdef int _resolve_status(self, const RetryKey* tried, bint* is_checked) except -1:
        """Resolve the status of a row, or raise its error."""
        cdef Core core = self.core
        if tried.status == MISSING:
            return self._build_missing_plans(&tried.missing, 1)
        action = self._text(self.actions, tried.row, "action")
        if tried.status == NO_ACTION:
            return self._enter_action(action)
        if tried.status == BAD_UNKNOWN:
            check_root(("aws:assumedroot",))             # raises
        principal = self._text(self.principals, tried.row, "principal")
        if tried.status == NO_PRINCIPAL:
            if principal in self.broken_sessions:
                raise self.broken_sessions[principal]
            core._enter_principal(principal, action)
            return 0
        resource = self._text(self.resources, tried.row, "resource")
        if tried.status == NO_FACTS:
            core.resolver.add_resource(resource)
            return 0
        check_resource(resource)
        owner = None
        if self.owners is not None:
            try:
                owner = self._text(self.owners, tried.row, "resource_account")
            except RequestValueError:
                owner = None
        core.resolver.check_request(self.sessions.get(principal, principal), action, resource, self._context_of(tried.row), owner)
        if tried.status != UNCHECKED:
            raise RequestValueError("the row cannot be read", column="resource")
        is_checked[0] = True
        return 0

    cdef int _build_missing_plans(self, const PlanKey* keys, uint32_t n) except -1:
        """Build plans that are not there yet."""
        cdef Tables tables = self.core.tables
        if n:
            with self.core.lock:                        # one builder at a time; while it is waited for, the numbers may be dropped
                if tables.generation == self.generation:
                    tables.build_plans(keys, n)
        return 0

    cdef int _enter_action(self, str action) except -1:
        cdef uint32_t name
        check_action(action)
        with self.core.lock:
            self.core.tables.find_action(action.encode(), &name)
        return 0

    def _context_of(self, int64_t row):
        """The context of a row as a mapping."""
        cdef TextColumn column
        cdef const Column* chunk
        cdef Text text
        cdef int64_t local, left, first, last, i
        found = {}
        for name, column in self.context.items():
            chunk = column.chunk_of(row, &local, &left)
            row_items(chunk, local, &first, &last)
            values = []
            for i in range(first, last):
                if item_text(chunk, i, &text):
                    values.append(text.data[:text.size].decode())
            if values:
                found[name] = values if column.is_list else values[0]
        return found

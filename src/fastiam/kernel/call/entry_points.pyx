"""Calls that read their arguments in place, and calls with ad-hoc profiles. A part of `_core`."""


cdef uint64_t decided_by_route(Route route) noexcept:
    return route_count(route)


cdef object allowed_positional(
    Core self, object principal, object action, object resource, object context, object unknown, object resource_account, object now
):
    cdef Call c
    cdef RawDecision a
    cdef int64_t seconds = INT64_MIN if now is None else epoch_seconds(now)
    cdef int status = MISSING
    cdef Workspace* w = take(self)
    try:
        while status == MISSING and unknown is () and is_ready(self, w):
            status = decide_single_fast(
                w, &a, &self.names.t, <PyObject*>self.key_ids, <PyObject*>principal, <PyObject*>action, <PyObject*>resource,
                <PyObject*>context, <PyObject*>resource_account, seconds, False,
            )
            if status == DONE:
                return a.outcome == ALLOW
            if status == MISSING:
                self._build_missing_plan(w, &a)
        self._decide_general(w, &c, &a, principal, action, resource, context, resource_account, seconds, False, unknown, [])
        return a.outcome == ALLOW
    finally:
        give(self, w)


cdef object decision_positional(
    Core self, object principal, object action, object resource, object context, object unknown, object resource_account, object now
):
    cdef Call c
    cdef RawDecision a
    cdef list keep
    cdef int64_t seconds = INT64_MIN if now is None else epoch_seconds(now)
    cdef int status = MISSING
    cdef Workspace* w = take(self)
    found = None
    try:
        while status == MISSING and unknown is () and is_ready(self, w):
            status = decide_single_fast(
                w, &a, &self.names.t, <PyObject*>self.key_ids, <PyObject*>principal, <PyObject*>action, <PyObject*>resource,
                <PyObject*>context, <PyObject*>resource_account, seconds, True,
            )
            if status == DONE:
                found = self._decision_of(w, &w.call, &a)
            elif status == MISSING:
                self._build_missing_plan(w, &a)
        while found is None:
            keep = []
            self._decide_general(w, &c, &a, principal, action, resource, context, resource_account, seconds, True, unknown, keep)
            found = self._decision_of(w, &c, &a)
        return found
    finally:
        give(self, w)


take_is_allowed(Core.is_allowed, <Method>allowed_positional)
take_decide(Core.decide, <Method>decision_positional)


def decide_ad_hoc(Core core, resource, request, *, uint32_t principal, uint32_t record, owner, partition, uint32_t rcp_set, endpoint):
    """The `Decision` on a request whose principal, resource and endpoint are in the tables by number: nothing is looked up by name.

    owner, partition: symbols, or None. endpoint: its number, -1 for an unknown one, None for none.
    """
    cdef _Declared declared = _Declared(request.unknown) if request.unknown else None
    cdef str action = request.action, arn = resource.arn
    cdef dict context = {**dict.fromkeys(request.absent, _ABSENT), **request.context}
    cdef Workspace* w = take(core)
    cdef Frame* f = &w.frame
    cdef Call c
    cdef RawDecision a
    cdef uint64_t generation
    cdef int status
    cdef bint checked = True
    found = None
    try:
        while found is None:
            core._refresh()
            generation = core.tables.generation
            memset(&c, 0, sizeof(Call))
            c.is_ad_hoc = c.reasons = True
            c.now = request.now
            c.accept[0] = STRICT
            c.accept[1] = BROAD
            c.owner_known = owner is not None
            c.assumed_owner, c.owner_override, c.unknown_owner = resource.assumed_owner, resource.owner_override, resource.unknown_owner
            c.rcp_set = rcp_set
            c.partition = <uint32_t>NONE if partition is None else <uint32_t>partition
            c.account = NONE
            clear(f)
            fit_frame(f, &core.tables.t)
            core._add_values(f, context)
            if declared is not None:
                declared.fit(core.tables)
            core._action_number(action, &c)
            if not utf8_of(arn, &c.resource):
                check_resource(arn)                      # raises
            if not core._point(w, &c, declared):
                continue
            c.principal = &c.t.principals[principal]
            apply_record(&c, record)
            if owner is not None:
                c.owner = symbol_text(c.t, owner)
            c.endpoint_state = ENDPOINT_NONE if endpoint is None else ENDPOINT_UNKNOWN if endpoint < 0 else ENDPOINT_KNOWN
            if c.endpoint_state == ENDPOINT_KNOWN:
                c.endpoint = &c.t.endpoints[<uint32_t>endpoint]
            status = BAD_RESOURCE
            if cut_resource(&c):
                next_stamp(c.s)
                status = answer(&c, &a)
            if f.s.failed:
                f.s.failed = 0
                raise MemoryError()
            if status == DONE:
                found = core._decision_of(w, &c, &a)
            else:
                core._resolve_miss(status, &c, &a, generation, (None, action, arn, context, None, ()), &checked)
        return found
    finally:
        give(core, w)


cdef object listed(object requests):
    """Requests as a list or tuple."""
    if type(requests) is list or type(requests) is tuple:
        return requests
    if isinstance(requests, (str, bytes)) or not is_iterable(requests):
        raise RequestValueError(
            f"a `{type(requests).__name__}` is not a list of requests",
            column="requests",
            hint="pass a list of tuples `(principal, action, resource, context)`",
        )
    return list(requests)


cdef tuple parts_of(object row):
    """A request of a list: principal, action, resource, context."""
    if not isinstance(row, tuple) or not 3 <= len(row) <= 4:
        size = f" of {len(row)}" if isinstance(row, tuple) else ""
        raise RequestValueError(
            f"a `{type(row).__name__}`{size} is not a request",
            column="requests",
            hint="pass tuples `(principal, action, resource)` or `(principal, action, resource, context)`",
        )
    return row if len(row) == 4 else (*row, None)

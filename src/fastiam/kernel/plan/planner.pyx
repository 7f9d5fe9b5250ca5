"""Plans: the statements of a policy set that can apply to an action class, built on first use; and the action names and classes.

Invariant: a plan is complete before its id is published, and never changes. All plans are a cache that `Tables.drop` evicts.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from fastiam.kernel.base.invariants cimport narrow16, narrow32
from fastiam.kernel.base.text cimport hash_bytes, mix, prefetch
from fastiam.kernel.eval.glob cimport glob
from fastiam.kernel.model.decision cimport LAYER_RCP, LAYER_RESOURCE
from fastiam.kernel.model.plan_lookup cimport cell_key, find_plan, grid_cell
from fastiam.kernel.model.tables cimport *
from fastiam.kernel.storage.vectors cimport LIMIT, Vector, emptied, fastiam_publish, free_items


cdef enum:
    MAX_GRID = 1 << 24         # cells of the grid
    PREFETCH_DISTANCE = 32     # rows of which all that they are built of is asked for before
    MAX_POLICIES = 1024        # policies of these, at most
    MAX_BODIES = 16            # and statements of each


cdef extern from "Python.h":
    int PyGC_Enable()
    int PyGC_Disable()         # whether it was enabled


cdef class Planner(Vectors):
    """Vectors with action names, action classes and rows."""

    def __cinit__(self):
        self.class_ids = {}
        self.pattern_texts = []
        self._cells(64)

    cdef uint32_t find_action(self, bytes action, uint32_t* name) except? 0xFFFFFFFE:
        """The class of an action, and the number of its name; enters what is new."""
        cdef uint32_t found = self._find(&self.action_names, action)
        cdef ActionClass* k
        cdef uint32_t first
        if found != NONE:
            name[0] = found
            return (<uint32_t*>self.name_classes.data)[found]
        key = self.match_actions(action)
        patterns = list(key[0])
        found = self._find(&self.action_names, action)   # a finalizer that ran meanwhile may have asked for it, too
        if found != NONE:
            name[0] = found
            return (<uint32_t*>self.name_classes.data)[found]
        number = self.class_ids.get(key)
        if self.name_classes.data == NULL:
            self._resize(&self.name_classes, 8)          # where there is a class, kernels read this
        if number is None:
            first = self._numbers(&self.class_patterns, patterns)
            k = <ActionClass*>self._push(&self.classes)
            k[0] = ActionClass(key[1], first, narrow32(len(patterns)))
            number = self.classes.n - 1
            self.class_ids[key] = number
        name[0] = self.name_classes.n
        self._number(&self.name_classes, number)
        try:
            self._name(&self.action_names, action, name[0])
        except BaseException:
            self.name_classes.n -= 1                     # as many as there are names
            raise
        self.sync()
        return number

    cdef int _cells(self, uint64_t capacity) except -1:
        """An empty table of cells, and no rows."""
        cdef Vector cells = emptied(&self.cells), slots = emptied(&self.plan_slots)
        if self.plans.n == 0:
            (<Plan*>self._push(&self.plans))[0] = summarize_plan(self, 0, 0)  # of all that are not there yet
            store_filter(self, 0)
            self.read_ids = {}
            self.scratch_reads.n = 0
            self._number(&self.plan_reads, intern_reads(self))
        self._resize(&cells, capacity)
        self._release(self.cells.data)
        self.cells = cells
        self.n_cells = 0
        self.n_hashed = 0
        self._resize(&slots, 64)
        self._release(self.plan_slots.data)
        self.plan_slots = slots
        self.sync()
        return 0

    cdef int build_plans(self, const PlanKey* keys, uint32_t n) except -1:
        """Build the rows of cells that have none; one may be named twice.

        Nothing is collected meanwhile: a finalizer may decide with the same engine, and would build a row in the midst of another one.
        """
        cdef uint32_t first, i
        cdef bint collects = PyGC_Disable()
        try:
            for first in range(0, n, PREFETCH_DISTANCE):
                prefetch_inputs(self, keys + first, min(n - first, <uint32_t>PREFETCH_DISTANCE))
                for i in range(first, min(n, first + <uint32_t>PREFETCH_DISTANCE)):
                    build_plan(self, keys + i)
        finally:
            if collects:
                PyGC_Enable()
        return 0


# -- actions ---------------------------------------------------------------------------------------------------------------------


# -- rows --------------------------------------------------------------------------------------------------------------------------

cdef int enter_cell(Planner self, uint32_t policy_set, uint32_t action, uint32_t number) except -1:
    """Let a cell be found: in the grid, or by hash where the grid would become too large."""
    cdef uint64_t needed
    self.n_cells += 1
    if policy_set < self.t.n_indexed_sets < LIMIT and action < <uint32_t>BY_ACTION_NAME:
        needed = (<uint64_t>action + 1) * self.t.n_indexed_sets
        if not action & <uint32_t>FULL_PLAN and needed <= MAX_GRID:
            if needed > self.grid.n:
                self._push(&self.grid, needed - self.grid.n)
            self.sync()                              # the row is there before its number is
            (<uint32_t*>self.grid.data)[<size_t>action * self.t.n_indexed_sets + policy_set] = number
            return 0
    return enter_hashed(self, cell_key(policy_set, action), number)


cdef int enter_hashed(Planner self, uint64_t key, uint64_t number) except -1:
    cdef PlanCell* old
    cdef PlanCell* cells
    cdef uint32_t i, n, at
    cdef Vector before, larger
    if self.n_hashed * 2 >= self.cells.capacity:
        larger = emptied(&self.cells)
        self._resize(&larger, <uint64_t>self.cells.capacity * 2)
        before = self.cells
        self.cells = larger
        self.sync()
        old = <PlanCell*>before.data
        n = before.capacity
        self.n_hashed = 0
        for i in range(n):
            if old[i].key != 0:
                enter_hashed(self, old[i].key, old[i].plan)
        self._release(before.data)
    cells = <PlanCell*>self.cells.data
    at = <uint32_t>mix(key) & (self.cells.capacity - 1)
    while cells[at].key != 0:
        at = (at + 1) & (self.cells.capacity - 1)
    cells[at].plan = number
    fastiam_publish(&cells[at].key, key)
    self.n_hashed += 1
    return 0


cdef int stamp_patterns(Planner self, uint32_t action_class) except -1:
    """Mark the action patterns of a class."""
    cdef ActionClass k = (<ActionClass*>self.classes.data)[action_class]
    cdef uint32_t* patterns = <uint32_t*>self.class_patterns.data
    cdef uint32_t i
    if self.stamps.capacity < len(self.pattern_texts):
        self._resize(&self.stamps, len(self.pattern_texts) + 64)
    self.stamp += 1
    if self.stamp == 0:
        memset(self.stamps.data, 0, <size_t>self.stamps.capacity * 4)
        self.stamp = 1
    for i in range(k.n):
        (<uint32_t*>self.stamps.data)[patterns[k.first + i]] = self.stamp
    return 0


cdef int stamp_name(Planner self, uint32_t name) except -1:
    """Mark all action patterns that match a name: those of its class, and those that no class knows."""
    cdef PoolText text = (<PoolText*>self.action_names.texts.data)[name]
    cdef bytes action = self.pool.data[text.text:text.text + text.size].lower()
    cdef const uint8_t* t = action
    cdef int64_t n = len(action), colon = action.index(b":"), i
    cdef bytes prefix, rest
    stamp_patterns(self, (<uint32_t*>self.name_classes.data)[name])
    for i in range(self.n_matched, len(self.pattern_texts)):
        parts = self.pattern_texts[i]
        if parts is None:
            (<uint32_t*>self.stamps.data)[i] = self.stamp
            continue
        prefix, rest = parts
        if glob(prefix, <const uint8_t*>prefix + len(prefix), t, t + colon):
            if glob(rest, <const uint8_t*>rest + len(rest), t + colon + 1, t + n):
                (<uint32_t*>self.stamps.data)[i] = self.stamp
    return 0


cdef int action_truth(Planner self, const StatementBody* b):
    """T, F or U of the action element of a statement, for the marked patterns (A3 to A5)."""
    cdef const uint32_t* actions = <uint32_t*>self.action_lists.data + b.actions
    cdef const uint32_t* stamps = <uint32_t*>self.stamps.data
    cdef uint32_t i
    cdef int found = U if b.flags & BODY_ACTION_U else F
    if b.flags & BODY_NO_ACTION:
        return T
    for i in range(b.n_actions):
        if stamps[actions[i]] == self.stamp:
            found = T
            break
    return 1 - found if b.flags & BODY_NOT_ACTION and found != U else found


cdef int collect_statements(Planner self, LayerLevel s) except -1:
    """The statements of a segment that can apply, into the two scratch lists."""
    cdef const uint32_t* members = <uint32_t*>self.set_policies.data + s.first
    cdef Range policy
    cdef StatementBody b
    cdef StatementEntry* e
    cdef uint32_t i, j
    cdef int truth
    for i in range(s.n):
        policy = (<Range*>self.policies.data)[members[i]]
        for j in range(policy.n):
            b = (<StatementBody*>self.bodies.data)[(<uint32_t*>self.policy_bodies.data)[policy.first + j]]
            if s.layer == LAYER_RCP and not b.flags & BODY_DENY:
                continue                             # D13
            truth = action_truth(self, &b)
            if truth == F:
                continue
            e = <StatementEntry*>self._push(&self.scratch_denies if b.flags & BODY_DENY else &self.scratch_allows)
            e.occurrence = policy.first + j
            e.resources = b.resources
            e.conditions = b.conditions
            e.principals = b.principals
            e.level = s.level
            e.layer = s.layer
            e.flags = 0
            if b.flags & BODY_NOT_RESOURCE:
                e.flags |= ENTRY_NOT_RESOURCE
            if b.flags & BODY_NOT_PRINCIPAL:
                e.flags |= ENTRY_NOT_PRINCIPAL
            if b.flags & BODY_U or truth == U:
                e.flags |= ENTRY_U
            if b.flags & BODY_DENY:
                e.flags |= ENTRY_DENY
    return 0


cdef int close_run(Planner self, Vector* scratch, uint32_t first, uint8_t layer, uint8_t level, bint whole) except -1:
    """Make what a scratch list holds from `first` on a run; what follows an entry that always counts is left out, unless it is
    to be `whole`."""
    cdef const StatementEntry* e = <StatementEntry*>scratch.data
    cdef uint32_t i, n = scratch.n
    cdef uint8_t flags = 0
    cdef StatementRun* run
    for i in range(first, scratch.n):
        # a later grant of a resource policy may match in a class that decides more (6.5)
        if whole or (e[i].layer == LAYER_RESOURCE and not e[i].flags & ENTRY_DENY):
            continue
        if e[i].resources == NONE and e[i].conditions == NONE and e[i].principals == NONE and not e[i].flags & ENTRY_U:
            flags = RUN_ALL if i + 1 == scratch.n else RUN_ALL | RUN_CUT
            n = i + 1
            break
    scratch.n = n
    run = <StatementRun*>self._push(&self.scratch_runs)
    run.first = first                                # one by one: the padding between them must stay zero, for plans are hashed
    run.n = n - first
    run.index = NONE
    run.layer = layer
    run.level = level
    run.flags = flags
    return 0


cdef void prefetch_inputs(Planner self, const PlanKey* keys, uint32_t n):
    """PERF: prefetch the inputs of some plans, each step what the next one reads."""
    cdef const PolicySet* policy_sets = <PolicySet*>self.policy_sets.data
    cdef const LayerLevel* layer_levels = <LayerLevel*>self.layer_levels.data
    cdef const uint32_t* members = <uint32_t*>self.set_policies.data
    cdef const Range* policies = <Range*>self.policies.data
    cdef const uint32_t* listed = <uint32_t*>self.policy_bodies.data
    cdef const StatementBody* bodies = <StatementBody*>self.bodies.data
    cdef const uint32_t* actions = <uint32_t*>self.action_lists.data
    cdef uint32_t found[MAX_POLICIES]
    cdef uint32_t n_policies = 0, i, j, k
    cdef Range r
    if n < 2:
        return
    for i in range(n):
        prefetch(policy_sets + keys[i].policy_set)
        prefetch(grid_cell(&self.t, keys[i].policy_set, keys[i].cls))
    for i in range(n):
        prefetch(layer_levels + policy_sets[keys[i].policy_set].first)
    for i in range(n):
        for j in range(policy_sets[keys[i].policy_set].n):
            prefetch(members + layer_levels[policy_sets[keys[i].policy_set].first + j].first)
    for i in range(n):
        for j in range(policy_sets[keys[i].policy_set].n):
            for k in range(layer_levels[policy_sets[keys[i].policy_set].first + j].n):
                if n_policies < MAX_POLICIES:
                    found[n_policies] = members[layer_levels[policy_sets[keys[i].policy_set].first + j].first + k]
                    prefetch(policies + found[n_policies])
                    n_policies += 1
    for i in range(n_policies):
        prefetch(listed + policies[found[i]].first)
    for i in range(n_policies):
        r = policies[found[i]]
        for j in range(min(r.n, <uint32_t>MAX_BODIES)):
            prefetch(bodies + listed[r.first + j])
    for i in range(n_policies):
        r = policies[found[i]]
        for j in range(min(r.n, <uint32_t>MAX_BODIES)):
            prefetch(actions + bodies[listed[r.first + j]].actions)


cdef int build_plan(Planner self, const PlanKey* plan) except -1:
    """The denies of all segments, then the allows of each."""
    cdef PolicySet s = (<PolicySet*>self.policy_sets.data)[plan.policy_set]
    cdef LayerLevel* layer_levels = <LayerLevel*>self.layer_levels.data + s.first
    cdef bint late = plan.policy_set >= self.t.n_indexed_sets
    cdef uint32_t key = (plan.name | BY_ACTION_NAME if late else plan.cls) | plan.flag
    cdef uint32_t i, first
    if find_plan(&self.t, plan.policy_set, key).n:
        return 0
    if late:
        stamp_name(self, plan.name)
    else:
        stamp_patterns(self, plan.cls)
    self.scratch_denies.n = self.scratch_allows.n = self.scratch_runs.n = 0
    for i in range(s.n):
        first = self.scratch_allows.n
        collect_statements(self, layer_levels[i])
        if layer_levels[i].layer != LAYER_RCP:
            close_run(self, &self.scratch_allows, first, layer_levels[i].layer, layer_levels[i].level, plan.flag != 0)
    close_run(self, &self.scratch_denies, 0, 0, 0, plan.flag != 0)
    enter_cell(self, plan.policy_set, key, intern_plan(self, plan.flag != 0))
    self.sync()
    return 0


# -- equal rows exist once ---------------------------------------------------------------------------------------------------

cdef uint32_t intern_plan(Planner self, bint whole) except? 0xFFFFFFFE:
    """The number of the row that the scratch lists hold, which is new or known."""
    cdef StringSlot* slots = <StringSlot*>self.plan_slots.data
    cdef uint64_t h
    cdef uint32_t at
    h = hash_bytes(self.scratch_denies.data, <int64_t>self.scratch_denies.n * <int64_t>sizeof(StatementEntry), self.t.seed)
    h = hash_bytes(self.scratch_allows.data, <int64_t>self.scratch_allows.n * <int64_t>sizeof(StatementEntry), h)
    h = hash_bytes(self.scratch_runs.data, <int64_t>self.scratch_runs.n * <int64_t>sizeof(StatementRun), h)
    at = (<uint32_t>h >> 1) & (self.plan_slots.capacity - 1)
    while slots[at].hash != 0:
        if slots[at].hash == <uint32_t>h | 1 and is_plan(self, slots[at].value):
            return slots[at].value
        at = (at + 1) & (self.plan_slots.capacity - 1)
    append_plan(self, whole)
    slots[at] = StringSlot(<uint32_t>h | 1, self.plans.n - 1)
    if self.plans.n * 2 > self.plan_slots.capacity:
        grow_plan_slots(self)
    return self.plans.n - 1


cdef int grow_plan_slots(Planner self) except -1:
    cdef Vector before = self.plan_slots, larger = emptied(&before)
    cdef const StringSlot* slots = <const StringSlot*>before.data
    cdef uint32_t i
    self._resize(&larger, <uint64_t>before.capacity * 2)
    for i in range(before.capacity):
        if slots[i].hash != 0:
            self._insert_slot(&larger, slots[i].hash, slots[i].value)
    self.plan_slots = larger
    free_items(before.data)
    return 0


cdef const StatementEntry* scratch_entries(Planner self, uint32_t i):
    """The entries of a scratch run, of which the denies come first in a row and last in the list."""
    cdef const StatementRun* run = <StatementRun*>self.scratch_runs.data + (self.scratch_runs.n - 1 if i == 0 else i - 1)
    return <StatementEntry*>(self.scratch_denies.data if i == 0 else self.scratch_allows.data) + run.first


cdef bint is_plan(Planner self, uint32_t number):
    """Whether a row is the one that the scratch lists hold."""
    cdef Plan plan = (<Plan*>self.plans.data)[number]
    cdef const StatementRun* run
    cdef const StatementRun* other
    cdef uint32_t i
    if plan.n != self.scratch_runs.n:
        return False
    for i in range(plan.n):
        run = <StatementRun*>self.runs.data + plan.first + i
        other = <StatementRun*>self.scratch_runs.data + (self.scratch_runs.n - 1 if i == 0 else i - 1)
        if run.n != other.n or run.layer != other.layer or run.level != other.level or run.flags != other.flags:
            return False
        if run.n and memcmp(<StatementEntry*>self.entries.data + run.first, scratch_entries(self, i), <size_t>run.n * sizeof(StatementEntry)) != 0:
            return False
    return True


cdef int append_plan(Planner self, bint whole) except -1:
    """Append the plan that the scratch lists hold; it is not visible before its number is in a cell."""
    cdef uint32_t first = self.runs.n, i, at
    cdef StatementRun run
    cdef Plan* plan
    for i in range(self.scratch_runs.n):
        run = (<StatementRun*>self.scratch_runs.data)[self.scratch_runs.n - 1 if i == 0 else i - 1]
        at = self.entries.n
        if run.n:
            memcpy(self._push(&self.entries, run.n), scratch_entries(self, i), <size_t>run.n * sizeof(StatementEntry))
        run.first = at
        run.index = build_index(self, at, run.n) if run.n >= self.index_from and not whole else NONE
        (<StatementRun*>self._push(&self.runs))[0] = run
    plan = <Plan*>self._push(&self.plans)
    plan[0] = summarize_plan(self, first, self.runs.n - first)
    if not whole:
        build_program(self, plan)
    find_paths(self, plan)
    store_filter(self, filter_of(self, plan))
    store_reads(self, plan)
    return 0


cdef Plan summarize_plan(Planner self, uint32_t first, uint32_t n):
    """A plan, with its flags."""
    cdef const StatementRun* runs = <const StatementRun*>self.runs.data + first
    cdef uint32_t i
    cdef Plan plan
    memset(&plan, 0, sizeof(Plan))
    plan.first = first
    plan.n = narrow16(n)
    plan.paths = PATH_GENERAL << REASONS_SHIFT | PATH_GENERAL
    if n == 0:
        return plan
    if n > 1:
        plan.flags = PLAN_EVERY_LEVEL_ALLOWS
    if runs[0].n:
        plan.flags |= PLAN_HAS_DENY
    for i in range(1, n):
        if not runs[i].flags & RUN_ALL:
            plan.flags &= ~PLAN_EVERY_LEVEL_ALLOWS
    if n > 2 and runs[2].flags & RUN_ALL:
        plan.flags |= PLAN_BOUNDARY_ALLOWS_ALL
    if n > 3 and runs[3].flags & RUN_ALL:
        plan.flags |= PLAN_SESSION_ALLOWS_ALL
    if n > 1 and runs[1].n:
        plan.flags |= PLAN_HAS_ALLOW
        if runs[1].flags & RUN_ALL:
            plan.flags |= PLAN_ALLOWS_ALL
    return plan


cdef void find_paths(Planner self, Plan* plan):
    """What the flags leave to do."""
    cdef uint8_t own = 0 if plan.flags & PLAN_HAS_PROGRAM else PATH_LAYERED, reasons = own
    if plan.flags & PLAN_HAS_DENY or (plan.flags & PLAN_HAS_ALLOW and not plan.flags & PLAN_ALLOWS_ALL):
        own |= PATH_PRINCIPAL_ONLY
    if plan.flags & (PLAN_HAS_DENY | PLAN_HAS_ALLOW):
        reasons |= PATH_PRINCIPAL_ONLY
    plan.paths = reasons << REASONS_SHIFT | own | PLAN_SERVICES_GENERAL * may_mean_services(self, plan)


cdef bint may_mean_services(Planner self, const Plan* plan):
    """Whether an allow of a resource's policies is perhaps about services."""
    cdef const StatementRun* run
    cdef const StatementEntry* e
    cdef uint32_t i
    if plan.n < 2:
        return False
    run = <const StatementRun*>self.runs.data + plan.first + 1
    e = <const StatementEntry*>self.entries.data + run.first
    for i in range(run.n):
        if e[i].layer == LAYER_RESOURCE and e[i].principals != NONE and may_leave_services_out(self, e + i):
            return True
    return False

"""Plans: the statements of a policy set that can apply to an action class. Header only."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef enum PlanFlag:            # what most requests need to know of a plan
    PLAN_HAS_DENY = 1          # has denies
    PLAN_HAS_ALLOW = 2         # has allows in the first segment
    PLAN_ALLOWS_ALL = 4        # the first segment holds an allow that always counts; of SCPs this and the next two say it of levels (`find_levels`)
    PLAN_EVERY_LEVEL_ALLOWS = 8  # every segment does
    PLAN_HAS_PROGRAM = 16      # the denies and the allows of the first segment are few: `match_ops` has all of them
    PLAN_BOUNDARY_ALLOWS_ALL = 32  # the second segment holds an allow that always counts: a principal's boundary
    PLAN_SESSION_ALLOWS_ALL = 64  # the third one does: its session policies
    PLAN_LIMITS_HAVE_PROGRAM = 128  # where these two do not, `match_ops` has all of them


cdef enum EvalPath:            # what is left to do for a request, as bits: the highest one decides
    PATH_PRINCIPAL_ONLY = 1    # nothing counts but the principal's plan
    PATH_LAYERED = 2           # other layers, or what is stored about the resource, do too
    PATH_GENERAL = 4           # it may have rules of its own, or something is not there yet
    PATH_MASK = 7              # all of these


cdef enum:                     # in `Plan.paths`
    REASONS_SHIFT = 4          # the paths where the reported statement is requested
    PLAN_SERVICES_GENERAL = 128  # some allow is about every principal except services, which ops do not distinguish


cdef struct Plan:              # (policy set, action class): one run of denies, then a run of allows a segment
    uint32_t first             # `runs`
    uint32_t program           # `match_ops`: the denies, then the allows of the first segment, of boundary and session policies; or of levels of SCPs
    uint16_t n                 # 1 + number of segments; 0: the plan is not there yet
    uint8_t flags
    uint8_t n_deny_ops         # how many ops are denies
    uint8_t n_ops              # these, and the allows of the first segment
    uint8_t n_boundary_ops
    uint8_t n_session_ops
    uint8_t paths              # PATH_* as the plan of a principal's own layers; from REASONS_SHIFT on where the reported statement is asked for


cdef enum:
    BY_ACTION_NAME = 0x80000000  # in a cell: an action name, not a class
    FULL_PLAN = 0x40000000     # in a cell: the plan with nothing left out, which says what an answer depends on (D74)


cdef struct PlanCell:          # (policy set, class or name) -> plan
    uint64_t key               # policy_set << 32 | class, plus 1; 0: empty
    uint64_t plan              # index in `plans`


cdef struct PlanTable:         # cells in a grid, class by class, and those that it has no place for by hash
    const Plan* plans          # the first one stands for all that are not there yet
    const uint32_t* grid       # [class * n_policy_sets + policy_set]: index in `plans`
    const PlanCell* cells
    uint32_t mask
    uint32_t n_plans
    uint32_t n_policy_sets
    uint32_t n_classes


cdef struct PlanKey:            # a plan, whether it is built or not
    uint32_t policy_set
    uint32_t cls               # of the action
    uint32_t name
    uint32_t flag              # FULL_PLAN or 0

from typing_extensions import disjoint_base

from fastiam.kernel.plan.deny_filters import DenyFilterBuilder

@disjoint_base
class Planner(DenyFilterBuilder): ...

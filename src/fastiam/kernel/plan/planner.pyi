from typing_extensions import disjoint_base

from fastiam.kernel.plan.deny_filters import Sieves

@disjoint_base
class Rows(Sieves): ...

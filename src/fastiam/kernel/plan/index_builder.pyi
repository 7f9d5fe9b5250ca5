from typing_extensions import disjoint_base

from fastiam.kernel.plan.index_terms import Ways

@disjoint_base
class Indexes(Ways): ...

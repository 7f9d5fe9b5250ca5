from typing_extensions import disjoint_base

from fastiam.kernel.plan.index_terms import IndexTerms

@disjoint_base
class Indexes(IndexTerms): ...

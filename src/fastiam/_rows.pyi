from typing_extensions import disjoint_base

from fastiam._index import Indexes

@disjoint_base
class Rows(Indexes): ...

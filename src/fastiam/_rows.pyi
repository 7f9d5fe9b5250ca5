from typing_extensions import disjoint_base

from fastiam._sieves import Sieves

@disjoint_base
class Rows(Sieves): ...

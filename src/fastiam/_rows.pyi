from typing_extensions import disjoint_base

from fastiam._flats import Flats

@disjoint_base
class Rows(Flats): ...

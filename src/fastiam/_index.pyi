from typing_extensions import disjoint_base

from fastiam._ways import Ways

@disjoint_base
class Indexes(Ways): ...

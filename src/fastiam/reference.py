"""The old path of `fastiam.spec`, kept for one release: `from fastiam.reference import decide`."""

import warnings

from fastiam.spec import decide

__all__ = ["decide"]

warnings.warn("`fastiam.reference` is now `fastiam.spec`", DeprecationWarning, stacklevel=2)

"""Accounts: who has which policies, and where (spec 1.1, 3.1, 6.1, 6.2, 6.10), resolved into profiles.

`AccountModel` is written, `Snapshot` is read. `loose` makes the same profiles from the arguments of `fastiam.simulate`.
"""

from fastiam.account.documents import Mode, PolicyLike
from fastiam.account.model import AccountModel
from fastiam.account.snapshot import Snapshot

__all__ = ["AccountModel", "Mode", "PolicyLike", "Snapshot"]

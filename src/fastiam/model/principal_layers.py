"""The principal policies of a profile by layer and level."""

from __future__ import annotations

from fastiam.model.decision import Layer
from fastiam.model.profile import Levels, PrincipalProfile


def principal_layers(profile: PrincipalProfile) -> dict[Layer, Levels]:
    """Return the levels of each layer that the principal has. Layers other than `scp` have one level."""
    found: dict[Layer, Levels] = {Layer.IDENTITY: (profile.identity_policies,)}
    if profile.boundary is not None:
        found[Layer.BOUNDARY] = (profile.boundary,)
    if profile.session_policies is not None:
        found[Layer.SESSION] = (profile.session_policies,)
    if profile.scps is not None:
        found[Layer.SCP] = profile.scps
    return found

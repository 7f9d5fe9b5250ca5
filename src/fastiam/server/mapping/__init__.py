"""Foreign ids and facts to principals, actions, resources and contexts of IAM, and ids back for searches.

Protocols import from here. A request's facts reach the engine only through `facts`, `check_asserted` and `read_owner` (G7), and
its principals only through `read_principal`, `role_session` and `EntityMapper` (G4).
"""

from fastiam.server.mapping.encodings import Encoding, encode
from fastiam.server.mapping.entities import EntityMapper, Resource, Subject
from fastiam.server.mapping.entity_types import (
    BUILT_IN,
    EntityMapping,
    PartsSection,
    ResourceSection,
    ResourceType,
    SubjectSection,
    SubjectType,
)
from fastiam.server.mapping.facts import (
    NO_FACTS,
    FactRules,
    Facts,
    Key,
    check_asserted,
    check_column_value,
    check_members,
    column_key,
    facts,
    facts_of_call,
    ignored_names,
    read_owner,
    scopes_to_state,
)
from fastiam.server.mapping.faults import MappingError, RequestRefused
from fastiam.server.mapping.forms import MAX_ACTION, MAX_ID, read_members, read_text
from fastiam.server.mapping.known import KnownRecords
from fastiam.server.mapping.member_values import read_instant
from fastiam.server.mapping.principal_templates import MappedPrincipal, PrincipalTemplate
from fastiam.server.mapping.request_principals import named_principal, read_principal, role_session, stated_session
from fastiam.server.mapping.templates import Template, config_error

__all__ = [
    "BUILT_IN",
    "MAX_ACTION",
    "MAX_ID",
    "NO_FACTS",
    "Encoding",
    "EntityMapper",
    "EntityMapping",
    "FactRules",
    "Facts",
    "Key",
    "KnownRecords",
    "MappedPrincipal",
    "MappingError",
    "PartsSection",
    "PrincipalTemplate",
    "RequestRefused",
    "Resource",
    "ResourceSection",
    "ResourceType",
    "Subject",
    "SubjectSection",
    "SubjectType",
    "Template",
    "check_asserted",
    "check_column_value",
    "check_members",
    "column_key",
    "config_error",
    "encode",
    "facts",
    "facts_of_call",
    "ignored_names",
    "named_principal",
    "read_instant",
    "read_members",
    "read_owner",
    "read_principal",
    "read_text",
    "role_session",
    "scopes_to_state",
    "stated_session",
]

"""The organisation in a folder of iam-collect: `{structure,accounts,ous,metadata,policy}.json`, `scps/`, `rcps/`, `indexes/`.

The ids of an organisation have distinct forms (`r-`, `ou-`, `p-`, 12 digits), which determine how a file is read. A value inside
an element is below it. Policies in a member with SCPs or RCPs in its name are attached to the enclosing element.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastiam.directory.account_model import AccountModel
from fastiam.directory.organization import RCP_TYPE, SCP_TYPE
from fastiam.errors import Severity
from fastiam.model.arn import is_account
from fastiam.sources.located_values import LocatedValue
from fastiam.sources.organization_builder import KINDS, OrganizationBuilder

_ELEMENT = re.compile(r"(?:.*/)?(r-[0-9a-z]+|ou-[0-9a-z-]+|[0-9]{12})")
_POLICY = re.compile(r"(?:.*/)?(p-[0-9A-Za-z_]+)")
_TYPES = {"scp": SCP_TYPE, "rcp": RCP_TYPE, "servicecontrolpolic": SCP_TYPE, "resourcecontrolpolic": RCP_TYPE}
_IDS = ("id", "accountid", "ouid", "arn")
_PARENTS = ("parent", "parentid", "ou", "ouid")
_MANAGEMENT = ("managementaccountid", "managementaccount", "masteraccountid", "masteraccount")


class OrganizationFolderReader:
    """Reads the files of the folder of an organisation into an organization builder."""

    def __init__(self, builder: OrganizationBuilder) -> None:
        self._builder = builder

    def read(self, model: AccountModel, node: LocatedValue, organization: str, name: str) -> None:
        """Read a file; `name` is its path in the folder of the organisation, without `.json`."""
        folder, _, rest = name.partition("/")
        self._builder.set_fact("organization", organization, node)
        if name == "metadata":
            self._read_metadata(node)
        elif name in ("structure", "accounts", "ous"):
            self._walk(node, None, None)
        elif rest and folder in ("scps", "rcps"):
            self._read_policy(model, node, SCP_TYPE if folder == "scps" else RCP_TYPE, rest)
        elif folder != "indexes":
            node.note(model, "COLLECT-NOT-READ", f"`{name}.json` of the organization is not read", severity=Severity.WARN)

    def _read_metadata(self, node: LocatedValue) -> None:
        self._builder.set_arn(node, node.text_of("arn"))
        for name, value in node.members():
            if _folded(name) in _MANAGEMENT:
                self._builder.set_fact("management account", value.text(), value)
            elif _folded(name) == "rootid":
                self._builder.set_fact("root", value.text(), value)

    def _read_policy(self, model: AccountModel, node: LocatedValue, type_: str, rest: str) -> None:
        """Read `<id>/policy`, the document, or `<id>/metadata`, which can have the targets."""
        id_, _, name = rest.partition("/")
        self._builder.types = {type_} | (self._builder.types or set())
        self._builder.types_of[id_] = type_
        if name == "policy":
            self._builder.describe(id_, type_, node.policy(model, KINDS[type_], id_), node, model)
        elif name == "metadata" and node.get("targets") is not None:
            for target, at in _matches(node.need("targets"), _ELEMENT):
                self._builder.attach(id_, type_, target, at)

    def _walk(self, node: LocatedValue, own: str | None, above: str | None) -> None:
        """Read a value that describes the element `own`, or is inside the element `above`."""
        if isinstance(node.value, list):
            for item in node.items():
                self._walk(item, None, own or above)
        elif isinstance(node.value, dict):
            self._walk_members(node, own or _own_id(node), above)
        elif isinstance(node.value, str) and _ELEMENT.fullmatch(node.value):
            self._put(_last(node.value), own or above, node)

    def _walk_members(self, node: LocatedValue, own: str | None, above: str | None) -> None:
        if own is not None:
            self._put(own, above, node)
        inside = own or above
        for name, child in node.members():
            folded = _folded(name)
            type_ = next((type_ for word, type_ in _TYPES.items() if word in folded), None)
            if _ELEMENT.fullmatch(name):
                self._put(_last(name), inside, child)
                self._walk(child, _last(name), inside)
            elif type_ is not None and inside is not None:
                self._builder.complete.add((type_, inside))
                for policy, at in _matches(child, _POLICY):
                    self._builder.attach(policy, type_, inside, at)
            elif folded in _PARENTS and own is not None and isinstance(child.value, str) and _last(child.value) != own:
                self._put(own, _last(child.value), child)
            elif folded == "name" and own is not None and is_account(own):
                self._builder.accounts[own] = (child.text(), "aws")
            elif isinstance(child.value, (dict, list)):
                self._walk(child, None, inside)

    def _put(self, element: str, above: str | None, node: LocatedValue) -> None:
        self._builder.add_element(element, node)
        if above is not None and above != element and not element.startswith("r-"):
            self._builder.put_below(element, above, node)


def _own_id(node: LocatedValue) -> str | None:
    """Return the id of the element that an object describes."""
    for name, value in node.members():
        if _folded(name) in _IDS and isinstance(value.value, str) and _ELEMENT.fullmatch(value.value):
            return _last(value.value)
    return None


def _matches(node: LocatedValue, form: re.Pattern[str]) -> Iterator[tuple[str, LocatedValue]]:
    """Yield all ids of a form in values, ARNs and names of members."""
    if isinstance(node.value, list):
        for item in node.items():
            yield from _matches(item, form)
    elif isinstance(node.value, dict):
        for name, child in node.members():
            found = form.fullmatch(name)
            if found is not None:
                yield found[1], child
            yield from _matches(child, form)
    elif isinstance(node.value, str):
        found = form.fullmatch(node.value)
        if found is not None:
            yield found[1], node


def _last(id_or_arn: str) -> str:
    return id_or_arn.rpartition("/")[2]


def _folded(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")

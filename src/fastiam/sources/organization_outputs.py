"""Reader of the outputs of `aws organizations ...`: one file for each call, recognised by its content.

Some outputs do not contain the parameter of their call, for example the target of the policies. It is an additional member with
the name of the parameter (`"TargetId": "ou-..."`), or part of the file name (docs/sources.md).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from fastiam.directory.account_model import AccountModel
from fastiam.errors import Severity
from fastiam.sources.located_values import LocatedValue
from fastiam.sources.organization_builder import KINDS, OrganizationBuilder

_ACCOUNT, _UNIT, _ROOT = r"[0-9]{12}", r"ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}", r"r-[0-9a-z]{4,32}"
_FORMS = {  # parameters in file names; the first form that occurs is used
    "TargetId": (_UNIT, _ROOT, _ACCOUNT),
    "ParentId": (_UNIT, _ROOT),
    "ChildId": (_UNIT, _ACCOUNT),
    "PolicyId": ("p-[0-9A-Za-z_]{8,128}",),
    "AccountId": (_ACCOUNT,),
    "ServicePrincipal": (r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.amazonaws\.com",),
}
_TYPE_WORDS = {"scp": 0, "service_control_policy": 0, "rcp": 1, "resource_control_policy": 1}


class OrganizationsReader:
    """Reads the outputs into an organization builder, which other readers can share."""

    def __init__(self, builder: OrganizationBuilder) -> None:
        self._builder = builder
        self._pages: defaultdict[tuple[str, str | None], list[LocatedValue]] = defaultdict(list)

    def is_format(self, node: LocatedValue) -> bool:
        """Whether the value is the output of a supported call."""
        return _call_of(node) is not None

    def read_policies(self, model: AccountModel, node: LocatedValue) -> None:
        """Read an output."""
        call = _call_of(node) or ""
        read: Callable[[AccountModel, LocatedValue], str | None] = getattr(self, f"_read_{call}")
        self._pages[call, read(model, node)].append(node)

    def finish(self, model: AccountModel) -> None:
        """Note outputs whose last page is missing."""
        for pages in self._pages.values():
            if all(page.get("NextToken") for page in pages):
                pages[-1].note(model, "ORG-TRUNCATED", "the output is truncated: its last page is missing")

    # -- one function for each call; it returns the parameter of the call ------------------------------------------------

    def _read_organization(self, model: AccountModel, node: LocatedValue) -> None:
        found = node.need("Organization")
        self._builder.set_fact("organization", found.need("Id").text(), found)
        master = found.text_of("MasterAccountId")
        if master is not None:
            self._builder.set_fact("management account", master, found)
        self._builder.set_arn(found, found.text_of("MasterAccountArn"))

    def _read_roots(self, model: AccountModel, node: LocatedValue) -> None:
        for root in node.list_of("Roots"):
            self._builder.add_element(root.need("Id").text(), root)
            self._builder.set_arn(root, root.text_of("Arn"))
            types = {item.need("Type").text() for item in root.list_of("PolicyTypes")}
            self._builder.types = types | (self._builder.types or set())

    def _read_units(self, model: AccountModel, node: LocatedValue) -> str | None:
        parent = _parameter(node, "ParentId")
        for unit in _listed(node, "OrganizationalUnits", "OrganizationalUnit"):
            self._place(unit, unit.need("Id").text(), parent)
            path = unit.get("Path")
            if path is not None:
                self._builder.put_path(path.text(), path)
        return parent

    def _read_accounts(self, model: AccountModel, node: LocatedValue) -> str | None:
        parent = _parameter(node, "ParentId")
        for account in _listed(node, "Accounts", "Account"):
            id_, arn = account.need("Id").text(), account.get("Arn")
            self._place(account, id_, parent)
            self._builder.accounts[id_] = (account.text_of("Name"), "aws" if arn is None else arn.arn().split(":")[1])
            for path in account.list_of("Paths"):
                self._builder.put_path(path.text(), path)
            state = account.text_of("State") or account.text_of("Status") or "ACTIVE"
            if state != "ACTIVE":
                message = f"account `{id_}` is {state}: its policies are read as if it were active"
                account.note(model, "ORG-NOT-ACTIVE", message, severity=Severity.WARN)
        return parent

    def _place(self, node: LocatedValue, id_: str, parent: str | None) -> None:
        self._builder.add_element(id_, node)
        self._builder.set_arn(node, node.text_of("Arn"))
        if parent is not None:
            self._builder.put_below(id_, parent, node)

    def _read_parents(self, model: AccountModel, node: LocatedValue) -> str:
        child = _needed(node, "ChildId")
        for parent in node.list_of("Parents"):
            self._builder.put_below(child, parent.need("Id").text(), parent)
        return child

    def _read_children(self, model: AccountModel, node: LocatedValue) -> str:
        parent = _needed(node, "ParentId")
        for child in node.list_of("Children"):
            self._builder.put_below(child.need("Id").text(), parent, child)
        return parent

    def _read_policies(self, model: AccountModel, node: LocatedValue) -> str | None:
        """`list-policies-for-target`, or without a target `list-policies`."""
        target = _target(node)
        types = _filter(node)
        for policy in node.list_of("Policies"):
            id_, type_ = policy.need("Id").text(), policy.need("Type").text()
            types.add(type_)
            self._builder.types_of[id_] = type_
            self._builder.set_arn(policy, policy.text_of("Arn"))
            if type_ in KINDS and target is not None:
                self._builder.attach(id_, type_, target, policy)
            elif type_ in KINDS:
                self._builder.listed[type_].add(id_)
        if target is not None:
            self._builder.complete.update((type_, target) for type_ in types)
        return f"{target} {sorted(types)}"

    def _read_policy(self, model: AccountModel, node: LocatedValue) -> str:
        found = node.need("Policy")
        summary, content = found.need("PolicySummary"), found.get("Content")
        id_, type_ = summary.need("Id").text(), summary.need("Type").text()
        self._builder.set_arn(summary, summary.text_of("Arn"))
        self._builder.types_of[id_] = type_
        if type_ in KINDS and content is not None:
            name, arn = summary.text_of("Name") or id_, summary.text_of("Arn")
            self._builder.describe(id_, type_, content.policy(model, KINDS[type_], name, arn=arn), content, model)
        return id_

    def _read_targets(self, model: AccountModel, node: LocatedValue) -> str:
        policy = _needed(node, "PolicyId")
        self._builder.with_targets.add(policy)
        targets = self._builder.targets.setdefault(policy, {})
        for target in node.list_of("Targets"):
            targets.setdefault(target.need("TargetId").text(), target)
        return policy

    def _read_delegates(self, model: AccountModel, node: LocatedValue) -> str | None:
        service = _parameter(node, "ServicePrincipal")
        for account in node.list_of("DelegatedAdministrators"):
            _, services = self._builder.delegates.setdefault(account.need("Id").text(), (account, set()))
            services.update([service] if service else [])
        return service

    def _read_services(self, model: AccountModel, node: LocatedValue) -> str:
        account = _needed(node, "AccountId")
        _, services = self._builder.delegates.setdefault(account, (node, set()))
        services.update(item.need("ServicePrincipal").text() for item in node.list_of("DelegatedServices"))
        return account


_CALLS = {
    "Organization": "organization",
    "Roots": "roots",
    "OrganizationalUnits": "units",
    "OrganizationalUnit": "units",
    "Accounts": "accounts",
    "Account": "accounts",
    "Parents": "parents",
    "Children": "children",
    "Targets": "targets",
    "DelegatedAdministrators": "delegates",
    "DelegatedServices": "services",
}


def _call_of(node: LocatedValue) -> str | None:
    """Return the name of the call whose output a value is."""
    value = node.value
    if not isinstance(value, dict):
        return None
    policy, policies = value.get("Policy"), value.get("Policies")
    if isinstance(policy, dict) and "PolicySummary" in policy:
        return "policy"
    if isinstance(policies, list) and (_is_summary(policies[0]) if policies else _target(node) is not None):
        return "policies"
    return next((call for name, call in _CALLS.items() if isinstance(value.get(name), (dict, list))), None)


def _is_summary(value: object) -> bool:
    return isinstance(value, dict) and "Type" in value and str(value.get("Id", "")).startswith("p-")


def _listed(node: LocatedValue, several: str, one: str) -> list[LocatedValue]:
    """Return the items of a `list-...` output, or the item of a `describe-...` output."""
    single = node.get(one)
    return node.list_of(several) if single is None else [single]


def _target(node: LocatedValue) -> str | None:
    """Return the target whose policies the output lists. An output of `list-policies` has none."""
    name = Path(node.source.name).name
    if node.get("TargetId") is None and "list-policies" in name and "for-target" not in name:
        return None
    return _parameter(node, "TargetId")


def _filter(node: LocatedValue) -> set[str]:
    """Return the policy type of the call, from the output or the file name; empty if neither has it."""
    given = node.text_of("Filter")
    name = Path(node.source.name).name.lower()
    words = {tuple(KINDS)[i] for word, i in _TYPE_WORDS.items() if word in name}
    return {given} if given else words if len(words) == 1 and not node.list_of("Policies") else set()


def _parameter(node: LocatedValue, name: str) -> str | None:
    """Return a parameter of the call: the member with its name, or the only id of its form in the file name."""
    given = node.text_of(name)
    if given is not None:
        return given
    file = Path(node.source.name).name
    for form in _FORMS[name]:
        found = set(re.findall(rf"(?<![0-9A-Za-z])(?:{form})(?![0-9A-Za-z])", file))
        if len(found) > 1:
            raise node.error(f"the file name has several ids, `{min(found)}` and `{max(found)}`", hint=_hint(name))
        if found:
            return str(found.pop())
    return None


def _needed(node: LocatedValue, name: str) -> str:
    found = _parameter(node, name)
    if found is None:
        raise node.error(f"the output does not have the `{name}` of its call", hint=_hint(name))
    return found


def _hint(name: str) -> str:
    return f'put the id into the file name, or into the output as `"{name}": "..."`'

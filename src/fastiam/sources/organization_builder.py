"""Builds one organisation from the facts of all files, and writes it after all files are read.

Missing facts are not guessed. An element without a known parent or known policies, and an attached policy without a document,
deny everything by an undetermined statement (V4, F7), so that a decision based on it is marked (F6). A finding names the missing
fact and the file that has it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from fastiam.directory.account_model import AccountModel
from fastiam.directory.organization import RCP_TYPE, SCP_TYPE
from fastiam.directory.stored_policies import FULL_ACCESS_ARN, StoredPolicy, denying_policy
from fastiam.errors import Severity
from fastiam.model.arn import is_account, split_arn
from fastiam.model.policy import PolicyKind
from fastiam.sources.located_values import LocatedValue

KINDS = {SCP_TYPE: PolicyKind.SCP, RCP_TYPE: PolicyKind.RCP}
_SHORT = {SCP_TYPE: "SCPs", RCP_TYPE: "RCPs"}
_FULL = {"p-FullAWSAccess": (FULL_ACCESS_ARN,), "p-RCPFullAWSAccess": ()}  # the latter always applies (G3, D13)
_ONE = "a directory holds one organization: load the files of each by themselves"


class OrganizationBuilder:
    """Facts about one organisation, each with its value in a file."""

    def __init__(self) -> None:
        self.facts: dict[str, tuple[str, LocatedValue]] = {}  # "organization", "root", "management account"
        self.types: set[str] | None = None  # the enabled policy types, None if no file has them
        self.elements: dict[str, LocatedValue] = {}  # units and accounts
        self.accounts: dict[str, tuple[str | None, str]] = {}  # name and partition
        self.parents: defaultdict[str, dict[str, LocatedValue]] = defaultdict(dict)
        self.attached: defaultdict[tuple[str, str], dict[str, LocatedValue]] = defaultdict(dict)  # by type and element
        self.complete: set[tuple[str, str]] = set()  # types and elements whose policies a file lists
        self.listed: defaultdict[str, set[str]] = defaultdict(set)  # policies of a type
        self.with_targets: set[str] = set()  # policies whose targets a file lists
        self.documents: dict[str, StoredPolicy] = {}
        self.types_of: dict[str, str] = {}  # the type of each policy that a file describes
        self.targets: dict[str, dict[str, LocatedValue]] = {}  # by policy: where it is attached
        self.delegates: dict[str, tuple[LocatedValue, set[str]]] = {}

    # -- facts ----------------------------------------------------------------------------------------------------------

    def set_fact(self, what: str, value: str, node: LocatedValue) -> None:
        """Set the id of the organisation, its root or its management account."""
        known, first = self.facts.setdefault(what, (value, node))
        if known != value:
            other = f"{first.source.name}:{first.place()[0]}"
            raise node.error(f"`{value}` and `{known}` ({other}) cannot both be the {what}", hint=_ONE)

    def set_arn(self, node: LocatedValue, arn: str | None) -> None:
        """Set the organisation and the management account from the ARN of an element."""
        parts = split_arn(arn or "")
        steps = parts.rest.split("/") if parts is not None and parts.service == "organizations" else []
        if parts is not None and len(steps) > 2 and steps[1].startswith("o-") and is_account(parts.account):
            self.set_fact("organization", steps[1], node)
            self.set_fact("management account", parts.account, node)

    def add_element(self, id_: str, node: LocatedValue) -> None:
        """Add a unit or account, or set the root."""
        if id_.startswith("r-"):
            self.set_fact("root", id_, node)
        elif id_.startswith("ou-") or is_account(id_):
            self.elements.setdefault(id_, node)
        else:
            raise node.error(f"`{id_}` is not a root, organizational unit or account")

    def put_below(self, child: str, parent: str, node: LocatedValue) -> None:
        """Set the parent of an element."""
        self.add_element(child, node)
        self.add_element(parent, node)
        if child.startswith("r-") or is_account(parent):
            raise node.error(f"`{child}` cannot be below `{parent}`")
        self.parents[child].setdefault(parent, node)

    def put_path(self, path: str, node: LocatedValue) -> None:
        """Add the elements of a path: `o-1/r-1/ou-a/ou-b/`, or with an account at its end."""
        steps = [step for step in path.split("/") if step]
        if len(steps) < 2 or not steps[0].startswith("o-"):
            raise node.error(f"`{path}` is not a path of an organization", hint="such a path is `o-.../r-.../ou-.../`")
        self.set_fact("organization", steps[0], node)
        self.add_element(steps[1], node)
        for parent, child in zip(steps[1:], steps[2:], strict=False):
            self.put_below(child, parent, node)

    def attach(self, policy: str, type_: str, element: str, node: LocatedValue) -> None:
        """Attach a policy to an element."""
        self.attached[type_, element].setdefault(policy, node)

    def describe(self, policy: str, type_: str, document: StoredPolicy, node: LocatedValue, model: AccountModel) -> None:
        """Add the document of a policy. A second, different document is a finding."""
        self.types_of[policy] = type_
        if self.documents.setdefault(policy, document).text != document.text:
            node.note(model, "ORG-EXISTS", f"`{policy}` occurs twice with different documents; the first one is used")

    # -- writing --------------------------------------------------------------------------------------------------------

    def write(self, model: AccountModel) -> None:
        """Write the organisation into the directory, if a file has one.

        Raises
        ------
        SourceError
            the id or the root is missing, an element is below itself, or the directory has an organisation.
        """
        node = next(iter([node for _, node in self.facts.values()] + list(self.elements.values())), None)
        if node is None:
            return
        if model.tables.organization is not None:
            raise node.error("another file has an organization as well", hint=_ONE)
        id_, root = self._need("organization", "describe-organization", node), self._need("root", "list-roots", node)
        self._attach_by_targets(model)
        self._add_targets(model)
        parents, lost = self._parents(model, root)
        types = self._types(model, node)
        levels = {type_: self._levels(model, type_, root, lost) for type_ in types}
        for account, (name, partition) in self.accounts.items():
            with self.elements[account].writing(model, "ORG"):
                model.add_account(account, name=name, canonical_id=None, partition=partition)
        with node.writing(model, "ORG"):
            model.set_organization(
                id_,
                management_account=self._fact("management account"),
                root=root,
                organizational_units={unit: parent for unit, parent in parents.items() if not is_account(unit)},
                accounts={account: parent for account, parent in parents.items() if is_account(account)},
                delegated_administrators=self._delegates(model, parents),
                scps=levels.get(SCP_TYPE, {}),
                rcps=levels.get(RCP_TYPE, {}),
                policy_types=types,
            )
        self._check_outside(model, node)

    def _fact(self, what: str) -> str | None:
        return self.facts[what][0] if what in self.facts else None

    def _need(self, what: str, call: str, node: LocatedValue) -> str:
        found = self._fact(what)
        if found is None:
            raise node.error(f"no file has the id of the {what}", hint=f"add the output of `aws organizations {call}`")
        return found

    def _attach_by_targets(self, model: AccountModel) -> None:
        """Attach the policies with known targets. Their type can be in another file."""
        for policy, targets in self.targets.items():
            type_ = self.types_of.get(policy)
            for target, node in targets.items():
                if type_ in KINDS:
                    self.attach(policy, type_, target, node)
                elif type_ is None:
                    hint = f"add the output of `aws organizations describe-policy --policy-id {policy}`"
                    message = f"no file has the type of `{policy}`, which is attached to `{target}`: it counts as SCP and as RCP"
                    node.note(model, "ORG-NO-TYPE", message, hint=hint)
                    for any_type in KINDS:
                        self.attach(policy, any_type, target, node)

    def _add_targets(self, model: AccountModel) -> None:
        """Note policies attached to unknown elements. An unknown account belongs to the organisation."""
        for (_, element), policies in list(self.attached.items()):
            if element in self.elements or element == self._fact("root"):
                continue
            for policy, node in policies.items():
                node.note(model, "ORG-NO-TARGET", f"`{policy}` is attached to `{element}`, which is in no other file")
            if is_account(element):
                self.elements[element] = next(iter(policies.values()))

    def _parents(self, model: AccountModel, root: str) -> tuple[dict[str, str], set[str]]:
        """Return the parent of each element, and the elements with an unknown parent, which are put below the root."""
        parents: dict[str, str] = {}
        lost: set[str] = set()
        for element, node in self.elements.items():
            found = self.parents.get(element, {})
            if len(found) != 1:
                lost.add(element)
                self._note_parent(model, element, node, found)
            parents[element] = next(iter(found)) if len(found) == 1 else root
        self._check_cycles(parents, root)
        return parents, lost

    def _note_parent(self, model: AccountModel, element: str, node: LocatedValue, found: dict[str, LocatedValue]) -> None:
        what = "account" if is_account(element) else "organizational unit"
        so = "everything is denied there"
        if not found:
            hint = f"add the output of `aws organizations list-parents --child-id {element}`, with the id in the file's name"
            node.note(model, "ORG-NO-PARENT", f"no file has the parent of the {what} `{element}`: {so}", hint=hint)
            return
        *_, (last, at) = found.items()
        names = " and ".join(f"`{parent}`" for parent in found)
        at.note(
            model, "ORG-PARENTS", f"the {what} `{element}` has the parents {names}: {so}", hint="export all files at one time"
        )

    def _check_cycles(self, parents: dict[str, str], root: str) -> None:
        safe = {root}
        for start in parents:
            seen: list[str] = []
            at = start
            while at not in safe and at in parents:
                if at in seen:
                    raise self.parents[at][parents[at]].error(f"`{at}` is below itself")
                seen.append(at)
                at = parents[at]
            safe.update(seen)

    def _types(self, model: AccountModel, node: LocatedValue) -> set[str]:
        if self.types is None:
            hint = "add the output of `aws organizations list-roots`"
            node.note(model, "ORG-NO-TYPES", "no file has the enabled policy types: SCPs and RCPs both apply", hint=hint)
            return set(KINDS)
        return self.types & set(KINDS)

    def _levels(self, model: AccountModel, type_: str, root: str, lost: set[str]) -> dict[str, list[StoredPolicy | str]]:
        """Return the policies of one type at each element."""
        missing = dict(self._without_document(model, type_))
        levels: dict[str, list[StoredPolicy | str]] = {}
        for element in (root, *self.elements):
            level: list[StoredPolicy | str] = []
            for policy in self.attached.get((type_, element), ()):
                level += _FULL.get(policy) or ([] if policy in _FULL else [self.documents.get(policy) or missing[policy]])
            if element in lost:
                level.append(denying_policy(KINDS[type_], element, "its parent is not known"))
            levels[element] = level
        for element in self._missing_facts(model, type_, root):
            levels[element].append(denying_policy(KINDS[type_], element, "its policies are not known"))
        return levels

    def _without_document(self, model: AccountModel, type_: str) -> Iterator[tuple[str, StoredPolicy]]:
        """Yield the attached policies without a document, each with a substitute that denies everything."""
        found = {policy: node for (t, _), at in self.attached.items() if t == type_ for policy, node in at.items()}
        for policy, node in found.items():
            if policy not in _FULL and policy not in self.documents:
                hint = f"add the output of `aws organizations describe-policy --policy-id {policy}`"
                message = f"`{policy}` is attached and no file has its document: everything is denied where it is attached"
                node.note(model, "ORG-NO-POLICY", message, hint=hint)
                yield policy, denying_policy(KINDS[type_], policy, "no document is known")

    def _missing_facts(self, model: AccountModel, type_: str, root: str) -> Iterator[str]:
        """Yield the elements with unknown policies of an enabled type. The management account needs none (D11)."""
        if self.listed[type_] and self.listed[type_] <= self.with_targets:
            return
        elements = [e for e in (root, *self.elements) if e != self._fact("management account")]
        unknown = [e for e in elements if (type_, e) not in self.complete and not self.attached.get((type_, e))]
        is_whole = unknown == elements
        for element in [root] if is_whole else unknown:
            call = f"list-policies-for-target --target-id {element} --filter {type_}"
            hint = f"add the output of `aws organizations {call}`, with the id in the file's name"
            where = "the organization" if is_whole else f"`{element}`"
            node = self.elements.get(element) or self.facts["root"][1]
            message = f"no file has the {_SHORT[type_]} of {where}: everything is denied there"
            node.note(model, "ORG-NO-POLICIES", message, hint=hint)
            yield element

    def _delegates(self, model: AccountModel, parents: dict[str, str]) -> dict[str, Iterable[str]]:
        for account, (node, services) in self.delegates.items():
            if account not in parents:
                node.note(
                    model, "ORG-NO-ACCOUNT", f"`{account}` is a delegated administrator and is in no file of the organization"
                )
            elif not services:
                hint = "add the output of `aws organizations list-delegated-services-for-account`, with the id in the file's name"
                message = f"no file has the services for which `{account}` is a delegated administrator: it counts for none"
                node.note(model, "ORG-NO-SERVICES", message, hint=hint)
        return {account: services for account, (_, services) in self.delegates.items() if services and account in parents}

    def _check_outside(self, model: AccountModel, node: LocatedValue) -> None:
        """Note accounts with users or roles that are in no list: the organisation does not apply to them."""
        for account in dict.fromkeys(entity.account for entity in model.tables.entities.values()):
            if account not in self.elements:
                message = (
                    f"account `{account}` is not in the lists of the organization: it counts as outside, without SCPs and RCPs"
                )
                node.note(model, "ORG-OUTSIDE", message, severity=Severity.WARN)

"""Write `src/fastiam/cognito/user_pools/operations.json`: the calls of user pools with the limits of their parameters.

    python tools/cognito_operations.py

The source is the service model `cognito-idp` of botocore (Apache-2.0). Documentation and results are left out.
"""

from __future__ import annotations

import functools
import json
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

import botocore.session
from botocore import xform_name

TARGET = Path(__file__).resolve().parents[1] / "src/fastiam/cognito/user_pools/operations.json"
SHOWN = {"AttributeValueType", "ClientIdType", "UserContextDataType", "UsernameType"}  # sensitive there, but not a secret
HIDDEN = {"ConfirmationCodeType"}  # a secret, though the model does not say so
TEXT = r"\p{L}\p{M}\p{S}\p{N}\p{P}"
OPERATIONS = """
AddCustomAttributes AddUserPoolClientSecret AdminAddUserToGroup AdminConfirmSignUp AdminCreateUser AdminDeleteSoftwareToken
AdminDeleteUser AdminDeleteUserAttributes AdminDisableProviderForUser AdminDisableUser AdminEnableUser AdminGetUser
AdminInitiateAuth AdminLinkProviderForUser AdminListGroupsForUser AdminRemoveUserFromGroup AdminResetUserPassword
AdminRespondToAuthChallenge AdminSetUserMFAPreference AdminSetUserPassword AdminUpdateUserAttributes AdminUserGlobalSignOut
AssociateSoftwareToken ChangePassword ConfirmForgotPassword ConfirmSignUp CreateGroup CreateIdentityProvider
CreateResourceServer CreateUserPool CreateUserPoolClient CreateUserPoolDomain DeleteGroup DeleteIdentityProvider
DeleteResourceServer DeleteUser DeleteUserAttributes DeleteUserPool DeleteUserPoolClient DeleteUserPoolClientSecret
DeleteUserPoolDomain DescribeIdentityProvider DescribeResourceServer DescribeUserPool DescribeUserPoolClient
DescribeUserPoolDomain ForgotPassword GetGroup GetIdentityProviderByIdentifier GetTokensFromRefreshToken GetUser
GetUserAttributeVerificationCode GetUserPoolMfaConfig GlobalSignOut InitiateAuth ListGroups ListIdentityProviders
ListResourceServers ListTagsForResource ListUserPoolClientSecrets ListUserPoolClients ListUserPools ListUsers
ListUsersInGroup ResendConfirmationCode RespondToAuthChallenge RevokeToken SetUserMFAPreference SetUserPoolMfaConfig SignUp
TagResource UntagResource UpdateGroup UpdateIdentityProvider UpdateResourceServer UpdateUserAttributes UpdateUserPool
UpdateUserPoolClient VerifySoftwareToken VerifyUserAttribute
""".split()


@functools.cache  # each of a million characters is read
def ranges(categories: str) -> str:
    """The characters of some categories of Unicode, as ranges of a character class. Characters without a category are in."""
    found: list[list[int]] = []
    for code in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if category[0] in categories or (category == "Cn" and "L" in categories):
            if found and found[-1][1] == code - 1:
                found[-1][1] = code
            else:
                found.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" if last > first else f"\\U{first:08x}" for first, last in found)


def pattern(text: str) -> str:
    """A pattern of the model in the syntax of `re`. `\\w`, `\\s` and `\\d` mean ASCII in both (`re.ASCII`)."""
    return text.replace(TEXT, ranges("LMSNP")).replace(r"\p{Z}", ranges("Z"))


def read(model: Any) -> dict[str, Any]:
    shapes: dict[str, Any] = {}

    def add(name: str) -> None:
        if name in shapes:
            return
        source = model["shapes"][name]
        kept = {key: source[key] for key in ("type", "min", "max", "enum", "required", "sensitive") if key in source}
        if name in SHOWN:
            kept.pop("sensitive", None)
        if name in HIDDEN:
            kept["sensitive"] = True
        if "pattern" in source:
            kept["pattern"] = pattern(source["pattern"])
            re.compile(kept["pattern"], re.ASCII)
        shapes[name] = kept
        for key in ("key", "value", "member"):
            if key in source:
                kept[key] = source[key]["shape"]
                add(kept[key])
        if "members" in source:
            kept["members"] = {member: value["shape"] for member, value in source["members"].items()}
            if name in ("LambdaConfigType", "PreTokenGenerationVersionConfigType"):  # ARNs are only names of callables here
                kept["members"] = {m: "TriggerName" if s == "ArnType" else s for m, s in kept["members"].items()}
            for member in kept["members"].values():
                if member != "TriggerName":
                    add(member)

    operations = {}
    shapes["TriggerName"] = {"type": "string", "min": 1, "max": 2048}
    for name, source in sorted(model["operations"].items()):
        errors = [error["shape"] for error in source["errors"]]
        if name not in OPERATIONS:
            operations[name] = {"refused": "OperationNotEnabledException" in errors}
            continue
        members = model["shapes"][source["input"]["shape"]]["members"]
        add(source["input"]["shape"])
        operations[name] = {
            "method": xform_name(name),
            "public": source.get("authtype") == "none",
            "input": source["input"]["shape"],
            "parameters": {xform_name(member): member for member in members},
        }
    return {"operations": operations, "shapes": dict(sorted(shapes.items()))}


def main() -> None:
    """Write the file."""
    model = botocore.session.get_session().get_component("data_loader").load_service_model("cognito-idp", "service-2")
    TARGET.write_text(json.dumps(read(model), indent=None, separators=(",", ":")).replace('},"', '},\n"') + "\n")


if __name__ == "__main__":
    main()

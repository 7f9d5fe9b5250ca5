"""Cognito user pools: the library runs each call, and has the permissions of those that are signed."""

from __future__ import annotations

from fastiam.aws_data.service_models import service
from fastiam.cognito.user_pool_permissions import check_own, permissions
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.operations import Operation

# Operations on outside providers are absent: nothing here would use what they set.
_SERVED = """
    CreateUserPool DescribeUserPool UpdateUserPool DeleteUserPool ListUserPools AddCustomAttributes
    GetUserPoolMfaConfig SetUserPoolMfaConfig TagResource UntagResource ListTagsForResource
    CreateUserPoolClient DescribeUserPoolClient UpdateUserPoolClient DeleteUserPoolClient ListUserPoolClients
    AddUserPoolClientSecret DeleteUserPoolClientSecret ListUserPoolClientSecrets
    AdminCreateUser AdminGetUser AdminDeleteUser AdminEnableUser AdminDisableUser ListUsers
    AdminSetUserPassword AdminResetUserPassword AdminConfirmSignUp AdminUserGlobalSignOut
    AdminUpdateUserAttributes AdminDeleteUserAttributes AdminSetUserMFAPreference AdminDeleteSoftwareToken
    AdminInitiateAuth AdminRespondToAuthChallenge
    CreateUserPoolDomain DescribeUserPoolDomain DeleteUserPoolDomain
    CreateResourceServer DescribeResourceServer UpdateResourceServer DeleteResourceServer ListResourceServers
    CreateGroup GetGroup UpdateGroup DeleteGroup ListGroups
    AdminAddUserToGroup AdminRemoveUserFromGroup AdminListGroupsForUser ListUsersInGroup
    InitiateAuth RespondToAuthChallenge GetTokensFromRefreshToken RevokeToken GlobalSignOut
    SignUp ConfirmSignUp ResendConfirmationCode ForgotPassword ConfirmForgotPassword
    GetUser UpdateUserAttributes DeleteUserAttributes DeleteUser ChangePassword
    GetUserAttributeVerificationCode VerifyUserAttribute
    AssociateSoftwareToken VerifySoftwareToken SetUserMFAPreference
""".split()


def signed(call: Call) -> Result:
    """A call on the caller's account."""
    check_own(call, call.region)
    return call.services.user_pools.run(call.operation.name, call.parameters, account=call.account, region=call.region)


def public(call: Call) -> Result:
    """A call of a user, who proves the right to it by what the call contains."""
    return call.services.user_pools.call(call.operation.name, call.parameters)


OPERATIONS = {
    name: Operation(public, library_decides=True, own_transactions=True)
    if service("cognito-idp").operations[name].is_unsigned
    else Operation(signed, permissions(name), own_transactions=True)
    for name in _SERVED
}

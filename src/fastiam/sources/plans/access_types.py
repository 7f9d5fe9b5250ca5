"""Resource types of Terraform that can give access and are not compared: changes of them are reported."""

from __future__ import annotations

import re
from typing import Final

from fastiam.sources.plans.plan_values import PlannedResource, Side

_ACCESS_ATTRIBUTES = frozenset(
    "policy access_policy access_policies assume_role_policy resource_policy policy_document key_policy inline_policy "
    "managed_policy_arns permissions_boundary grant acl".split()
)
_ACCESS_TYPES = re.compile(
    r"aws(cc)?_(iam|organizations|ssoadmin|sso|ram|lakeformation)_|aws(cc)?_\w*_(policy|policies|permissions?|grants?|acl)$"
    r"|aws(cc)?_(cloudformation|serverlessapplicationrepository_cloudformation)_stack"  # stacks can create anything
)
IGNORED: Final = frozenset(  # they have no effect on decisions, or are policies of another kind
    "aws_iam_access_key aws_iam_account_alias aws_iam_account_password_policy aws_iam_instance_profile "
    "aws_iam_service_specific_credential aws_iam_signing_certificate aws_iam_ssh_key aws_iam_user_login_profile "
    "aws_iam_user_ssh_key aws_iam_virtual_mfa_device aws_iam_server_certificate aws_s3_bucket_acl aws_autoscaling_policy "
    "aws_appautoscaling_policy aws_ecr_lifecycle_policy aws_s3_bucket_lifecycle_policy aws_dlm_lifecycle_policy "
    "aws_network_acl aws_default_network_acl aws_wafv2_web_acl aws_waf_web_acl aws_wafregional_web_acl "
    "aws_lb_ssl_negotiation_policy aws_load_balancer_policy aws_load_balancer_listener_policy "
    "aws_load_balancer_backend_server_policy aws_app_cookie_stickiness_policy aws_lb_cookie_stickiness_policy "
    "aws_xray_sampling_policy aws_cloudfront_cache_policy aws_cloudfront_origin_request_policy "
    "aws_cloudfront_response_headers_policy aws_networkfirewall_firewall_policy aws_fms_policy aws_backup_policy".split()
)


def may_give_access(resource: PlannedResource) -> bool:
    """Whether a type without a row can give access: by its name, or because it has an attribute for a policy."""
    if _ACCESS_TYPES.match(resource.type):
        return True
    return resource.type.startswith(("aws_", "awscc_")) and any(
        resource.value(side, name) is not None and resource.sets(name) for side in Side for name in _ACCESS_ATTRIBUTES
    )

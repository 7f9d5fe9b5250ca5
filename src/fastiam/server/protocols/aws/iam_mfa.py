"""IAM operations on virtual MFA devices. The seed of a device is in the answer that creates it, and in no other (G145)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from fastiam.credentials.credential_records import MfaDevice
from fastiam.model.key_registry import fold
from fastiam.server.protocols.aws import permissions as p
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.documents import UNKNOWN_DATE, tag_list, without_nones
from fastiam.server.protocols.aws.iam_users import user_of
from fastiam.server.protocols.aws.operations import NOTHING, Operation
from fastiam.server.protocols.aws.pages import page, same, tag_key
from fastiam.sts.signed_calls import Permission, given, stored_tag_keys


def create_virtual_mfa_device(call: Call) -> Result:
    """CreateVirtualMFADevice, assigned to no user. There is no QR code: clients make it from the seed."""
    given = call.parameters
    if call.sts.mfa.find(call.new_arn("mfa", given["VirtualMFADeviceName"], given.get("Path"))) is not None:
        raise ApiError("EntityAlreadyExists", "MFADevice entity at the same path and name already exists.")
    made = call.sts.mfa.create_unassigned(
        call.account,
        given["VirtualMFADeviceName"],
        path=given.get("Path", "/"),
        tags=p.tags_of(call),
        partition=call.partition,
    )
    members: dict[str, Any] = {"SerialNumber": made.serial, "Base32StringSeed": made.seed.encode()}
    if given.get("Tags"):
        members["Tags"] = tag_list(_device(call, made.serial).tags)
    return {"VirtualMFADevice": members}


def delete_virtual_mfa_device(call: Call) -> Result:
    """DeleteVirtualMFADevice, of a device that no user has."""
    device = _device(call)
    if device.enabled is not None:
        raise ApiError("DeleteConflict", "MFA VirtualDevice in use. Must deactivate first.")
    call.sts.mfa.delete(device.serial)
    return NOTHING


def list_virtual_mfa_devices(call: Call) -> Result:
    """ListVirtualMFADevices of the account."""
    wanted = {"Assigned": (True,), "Unassigned": (False,)}.get(call.parameters.get("AssignmentStatus", "Any"), (True, False))
    devices = [device for device in call.sts.mfa.of_account(call.account) if (device.enabled is not None) in wanted]
    return page(call, "VirtualMFADevices", devices, _order, lambda device: _listed(call, device))


def enable_mfa_device(call: Call) -> Result:
    """EnableMFADevice: assign a device to a user, which shows two codes of it."""
    device, given = _device(call), call.parameters
    call.sts.mfa.enable(device.serial, given["AuthenticationCode1"], given["AuthenticationCode2"], principal=_owner(call))
    return NOTHING


def deactivate_mfa_device(call: Call) -> Result:
    """DeactivateMFADevice: the user has it no more."""
    call.sts.mfa.deactivate(_device_of_user(call).serial)
    return NOTHING


def resync_mfa_device(call: Call) -> Result:
    """ResyncMFADevice."""
    given = call.parameters
    call.sts.mfa.resync(_device_of_user(call).serial, given["AuthenticationCode1"], given["AuthenticationCode2"])
    return NOTHING


def list_mfa_devices(call: Call) -> Result:
    """ListMFADevices of a user."""
    devices = [device for device in call.sts.mfa.list(_owner(call)) if device.enabled is not None]
    return page(call, "MFADevices", devices, _order, _of_user)


def get_mfa_device(call: Call) -> Result:
    """GetMFADevice of a user."""
    owner = call.parameters.get("UserName")
    device = _device(call)
    if device.enabled is None or (owner is not None and device.principal != _owner(call)):
        raise _absent(device.serial)
    return _of_user(device)


def tag_mfa_device(call: Call) -> Result:
    """TagMFADevice. The case of keys does not count."""
    device, tags = _device(call), p.tags_of(call)
    new = {fold(key) for key in tags}
    call.sts.mfa.set_tags(device.serial, {key: v for key, v in device.tags.items() if fold(key) not in new} | tags)
    return NOTHING


def untag_mfa_device(call: Call) -> Result:
    """UntagMFADevice."""
    device, gone = _device(call), {fold(key) for key in call.parameters["TagKeys"]}
    call.sts.mfa.set_tags(device.serial, {key: value for key, value in device.tags.items() if fold(key) not in gone})
    return NOTHING


def list_mfa_device_tags(call: Call) -> Result:
    """ListMFADeviceTags."""
    return page(call, "Tags", tag_list(_device(call).tags), tag_key, same)


# -- records --------------------------------------------------------------------------------------------------------------


def _device(call: Call, serial: str | None = None) -> MfaDevice:
    """The device of `SerialNumber`, if it is one of the caller's account."""
    serial = call.parameters["SerialNumber"] if serial is None else serial
    device = call.sts.mfa.find(serial)
    if device is None or device.serial.split(":")[4] != call.account:
        raise _absent(serial)
    return device


def _device_of_user(call: Call) -> MfaDevice:
    """The enabled device of `SerialNumber`, which must be one of the user of the call."""
    device, owner = _device(call), _owner(call)
    if device.enabled is None or device.principal != owner:
        raise _absent(device.serial)
    return device


def _absent(serial: str) -> ApiError:
    return ApiError("NoSuchEntity", f"MFA Device with serial number {serial} does not exist.")


def _owner(call: Call) -> str:
    """The ARN of the user or root that the call is about, which exists."""
    arn = call.user_arn()
    return arn if arn.endswith(":root") else call.user().arn


def _owner_of_device(call: Call) -> str:
    """The user of `UserName`; without one, that of the device, or the caller's own."""
    if "UserName" in call.parameters:
        return call.user_arn()
    device = call.sts.mfa.find(call.parameters["SerialNumber"])
    is_own = device is not None and device.serial.split(":")[4] == call.account
    return device.principal if device is not None and is_own and device.principal else call.user_arn()


def _order(device: MfaDevice) -> str:
    """By name; serial numbers can be longer than markers."""
    return f"{device.serial.rpartition('/')[2][:64]} {hashlib.sha256(device.serial.encode()).hexdigest()[:32]}"


def _of_user(device: MfaDevice) -> dict[str, Any]:
    name = None if device.principal.endswith(":root") else device.principal.rpartition("/")[2]
    return without_nones({"UserName": name, "SerialNumber": device.serial, "EnableDate": device.enabled})


def _listed(call: Call, device: MfaDevice) -> dict[str, Any]:
    """A device as an item of the account's list. It has the user, and no tags, as on AWS."""
    members: dict[str, Any] = {"SerialNumber": device.serial, "EnableDate": device.enabled}
    if device.enabled is not None:
        user = call.tables.entities.get(device.principal)
        root = {"UserId": call.account, "Arn": device.principal, "CreateDate": UNKNOWN_DATE}
        members["User"] = root if user is None else user_of(call, user)
    return without_nones(members)


def _tags(call: Call, resource: str) -> Mapping[str, Any]:
    """`aws:ResourceTag/...` of a device."""
    device = call.sts.mfa.find(resource)
    return {} if device is None else stored_tag_keys(device.tags)


_NEW = p.created("mfa", "VirtualMFADeviceName")
_SERIAL = given("SerialNumber")
_DEVICE = (Permission(_SERIAL, (_tags,)),)
_TAG = (Permission(_SERIAL, (_tags, p.request_tags)),)
_USER = (Permission(p.user),)

OPERATIONS = {
    "CreateVirtualMFADevice": Operation(
        create_virtual_mfa_device,
        (Permission(_NEW, (p.request_tags,)), Permission(_NEW, (p.request_tags,), "iam:TagMFADevice", only_with="Tags")),
        writes=True,
    ),
    "DeleteVirtualMFADevice": Operation(delete_virtual_mfa_device, _DEVICE, writes=True),
    "ListVirtualMFADevices": Operation(list_virtual_mfa_devices, (Permission(p.listed("mfa")),)),
    "EnableMFADevice": Operation(enable_mfa_device, _USER, writes=True),
    "DeactivateMFADevice": Operation(deactivate_mfa_device, _USER, writes=True),
    "ResyncMFADevice": Operation(resync_mfa_device, _USER, writes=True),
    "ListMFADevices": Operation(list_mfa_devices, _USER, is_short=True),
    "GetMFADevice": Operation(get_mfa_device, (Permission(_owner_of_device, shown=_SERIAL),), is_short=True),
    "TagMFADevice": Operation(tag_mfa_device, _TAG, writes=True),
    "UntagMFADevice": Operation(untag_mfa_device, _TAG, writes=True),
    "ListMFADeviceTags": Operation(list_mfa_device_tags, _DEVICE, is_short=True),
}

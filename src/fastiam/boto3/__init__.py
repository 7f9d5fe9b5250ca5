"""The calls of boto3, botocore and aiobotocore: recorded into a smaller policy, or decided before they are sent.

`enforce` decides each call of the block with the policies, and answers a denied one as AWS does. `record` lets each call pass.
Both see every client of the process, also those made before. docs/boto3.md has the rules of the mapping.
"""

from __future__ import annotations

import functools
import inspect
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal, Self, TypeVar, cast
from weakref import WeakSet, ref

from fastiam.boto3.call_errors import UncheckedCall, UndecidedCall, UnknownCredentials, UnmappedCall
from fastiam.errors import RequestValueError, missing_package

try:
    import msgspec  # noqa: F401  (of the tables of CloudTrail)
    from botocore.client import BaseClient
    from botocore.exceptions import ClientError
except ModuleNotFoundError as error:
    raise missing_package("fastiam.boto3", error, "boto3") from None

from fastiam.boto3.call_messages import not_announced
from fastiam.boto3.client_calls import _SUSPENDED, Mark, OnPresigned, OnUndecided, OnUnmapped, Policies, SdkCalls
from fastiam.boto3.draft import Draft
from fastiam.boto3.endpoint_state import READING, AccountState
from fastiam.boto3.recorded import CheckedRequest, name_of
from fastiam.model.request import Context
from fastiam.model.session import Session
from fastiam.sources.cloudtrail.outcomes import logged_of

__all__ = [
    "CheckedRequest",
    "Draft",
    "SdkCalls",
    "UncheckedCall",
    "UndecidedCall",
    "UnknownCredentials",
    "UnmappedCall",
    "account_state",
    "enforce",
    "record",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_SDK = frozenset(("botocore", "boto3", "aiobotocore", "aioboto3", "s3transfer")) | sys.stdlib_module_names
_DELETE = ("s3", "DeleteObjects")


def enforce(
    policies: Policies,
    *,
    principal: str | Session | None = None,
    principals: Mapping[str, str | Session] = _NOTHING,
    depends: OnUndecided = "error",
    unmapped: OnUnmapped = "error",
    presigned: OnPresigned = "record",
    context: Context = _NOTHING,
    unknown: Collection[str] = (),
    now: datetime | None = None,
    account: str | None = None,
) -> _Block:
    """Decide each call of a block before it is sent. A context manager, and a decorator of functions.

    Parameters
    ----------
    policies
        an engine, a `Directory`, a path or list of paths as `fastiam.load` takes them, or an `account_state`.
    principal
        the principal of calls whose credentials nothing else determines: an ARN or a `Session`.
    principals
        principals by access key id.
    depends
        what happens to a call whose outcome depends on what it does not contain: `error` raises `UndecidedCall`, also at the
        end of the block if the code under test caught it; `deny` answers as AWS does; `warn` and `allow` let it pass.
    unmapped
        the same for an operation without known requests, with `UnmappedCall`.
    presigned
        what happens to a presigned URL or post: `record` notes its decision, since signing needs no permission; `check` answers
        as for a call.
    context
        context keys of all requests, in place of what the call determines; None for an absent key.
    unknown
        further keys that are unknown, such as `aws:PrincipalTag/team`.
    now
        the time of all requests; by default the clock.
    account
        the account of ARNs that a call leaves out; by default that of the principal.

    Raises
    ------
    RequestValueError
        the policies do not contain a principal that is named here.
    SourceError
        the policies cannot be read.
    """
    if policies is None:
        raise RequestValueError("enforcement needs policies", column="policies", hint="`record()` needs none")
    return _Block(
        lambda: SdkCalls(
            policies,
            is_enforced=True,
            principal=principal,
            principals=principals,
            depends=depends,
            unmapped=unmapped,
            presigned=presigned,
            context=context,
            unknown=unknown,
            now=now,
            account=account,
        )
    )


def record(
    policies: Policies | None = None,
    principal: str | Session | None = None,
    *,
    principals: Mapping[str, str | Session] = _NOTHING,
    context: Context = _NOTHING,
    now: datetime | None = None,
    account: str | None = None,
) -> _Block:
    """Note the requests of each call of a block; each call passes. With policies, they are decided as well.

    Parameters and errors as in `enforce`.
    """
    return _Block(
        lambda: SdkCalls(
            policies,
            is_enforced=False,
            principal=principal,
            principals=principals,
            depends="allow",
            unmapped="allow",
            presigned="record",
            context=context,
            unknown=(),
            now=now,
            account=account,
        )
    )


def account_state(
    session: Any = None, *, refresh: Literal["writes", "call", "manual"] = "writes", endpoint_url: str | None = None
) -> AccountState:
    """Return policies that are read from the endpoint of the calls, such as moto or LocalStack: pass it to `enforce` or `record`.

    Users, roles, groups and managed policies are read when the block begins; the policies of buckets, keys, queues and topics
    when a call first concerns their service.

    Parameters
    ----------
    session
        a session of boto3 or botocore, whose credentials may read them; by default one of the environment.
    refresh
        when they are read again: after a call of this process that may change them (`writes`), before each call (`call`), or by
        `calls.refresh()` alone (`manual`).
    endpoint_url
        the endpoint; by default that of the session.
    """
    if refresh not in ("writes", "call", "manual"):
        raise RequestValueError(f"`{refresh}` is none of writes, call, manual", column="refresh")
    return AccountState(session, refresh, endpoint_url)


# -- the hook in botocore

_BLOCKS: ContextVar[tuple[SdkCalls, ...]] = ContextVar("fastiam_blocks", default=())
_MARK: ContextVar[Mark | None] = ContextVar("fastiam_mark", default=None)
_active: list[SdkCalls] = []  # outer blocks before inner ones
_lock = threading.RLock()
_prepared: WeakSet[Any] = WeakSet()  # clients with both handlers
_wrappers: dict[type, tuple[Any, Any]] = {}  # by class of client: what was set as `_make_api_call`, and what it calls
_initializer: Any = None  # what was set as `__init__`, so that clients of a block announce what they sign
_original_initializer: Any = None


def _install() -> None:
    global _initializer, _original_initializer
    if _initializer is None or BaseClient.__init__ is not _initializer:
        _original_initializer = BaseClient.__init__
        _initializer = _initializing(_original_initializer)
        BaseClient.__init__ = _initializer
    _wrap(BaseClient)
    if (asynchronous := _asynchronous_client()) is not None:
        _wrap(asynchronous)


def _asynchronous_client() -> Any:
    """Return the class of clients of aiobotocore, None if it is not loaded."""
    loaded = sys.modules.get("aiobotocore.client")
    return getattr(loaded, "AioBaseClient", None)


def _wrap(kind: Any) -> None:
    """Set our `_make_api_call` on a class of clients, unless it is there."""
    known = _wrappers.get(kind)
    if known is not None and kind._make_api_call is known[0]:
        return
    original = kind._make_api_call
    wrapper = _wrapped_coroutine(original) if inspect.iscoroutinefunction(original) else _wrapped(original)
    _wrappers[kind] = wrapper, original
    kind._make_api_call = wrapper


def _remove() -> None:
    """Put the method back, unless another library has wrapped ours meanwhile: ours stays then, and calls through (T100)."""
    global _initializer, _original_initializer
    for kind, (wrapper, original) in tuple(_wrappers.items()):
        if cast("Any", kind)._make_api_call is wrapper:
            cast("Any", kind)._make_api_call = original
            del _wrappers[kind]
    if BaseClient.__init__ is _initializer:
        BaseClient.__init__ = _original_initializer
        _initializer = _original_initializer = None


def _initializing(original: Any) -> Any:
    @functools.wraps(original)
    def initialize(client: Any, *given: Any, **options: Any) -> None:
        original(client, *given, **options)
        if _active and not READING.get():
            with _lock:
                asynchronous = _asynchronous_client()  # its module may have been loaded since the block began
                if asynchronous is not None and asynchronous not in _wrappers:
                    _wrap(asynchronous)
            _prepare(client)

    return initialize


def _wrapped(original: Any) -> Any:
    @functools.wraps(original)
    def make_api_call(client: Any, operation_name: str, api_params: Any) -> Any:
        begun = _begun(client, operation_name, make_api_call)
        if begun is None:
            return original(client, operation_name, api_params)
        calls, mark = begun
        if mark is None:
            answer = original(client, operation_name, api_params)
            calls._note(client.meta.service_model.service_name, operation_name)
            return answer
        with _under(mark):
            answer = original(client, operation_name, api_params)
        return _ended(mark, answer)

    return make_api_call


def _wrapped_coroutine(original: Any) -> Any:
    """The same for clients of aiobotocore."""

    @functools.wraps(original)
    async def make_api_call(client: Any, operation_name: str, api_params: Any) -> Any:
        begun = _begun(client, operation_name, make_api_call)
        if begun is None:
            return await original(client, operation_name, api_params)
        calls, mark = begun
        if mark is None:
            answer = await original(client, operation_name, api_params)
            calls._note(client.meta.service_model.service_name, operation_name)
            return answer
        credentials = getattr(client._request_signer, "_credentials", None)
        if credentials is not None and inspect.isawaitable(refreshed := credentials.get_frozen_credentials()):
            await refreshed  # now, since handlers cannot wait
        with _under(mark):
            answer = await original(client, operation_name, api_params)
        return _ended(mark, answer)

    return make_api_call


def _begun(client: Any, operation: str, wrapper: Any) -> tuple[SdkCalls, Mark | None] | None:
    """Return the block of a call and its mark; no mark for a call that is only counted, None for one outside of blocks."""
    if not _active or READING.get():
        return None
    waiting = _MARK.get()
    if waiting is not None and waiting.wrapper is not wrapper and not waiting.is_checked:
        return None  # an outer wrapper of ours has begun this call
    calls, is_suspended = _block_of_call()
    if calls is None:
        return None
    if is_suspended or _is_internal():
        with calls._lock:
            calls._n_suspended += is_suspended
            calls._n_internal += not is_suspended
        return calls, None
    _prepare(client)
    return calls, Mark(calls, client, operation, wrapper)


@contextmanager
def _under(mark: Mark) -> Iterator[None]:
    """Let the handlers of this thread or task find the mark of a call, and note an error of the endpoint."""
    token = _MARK.set(mark)
    try:
        yield
    except ClientError as failed:
        code = str(failed.response.get("Error", {}).get("Code", ""))
        if mark.seen is not None:
            mark.seen.outcome, mark.seen.error = logged_of(code), code
        raise
    finally:
        _MARK.reset(token)


def _ended(mark: Mark, answer: Any) -> Any:
    """Note what came of a call that returned. A call that no handler saw is an error (T102)."""
    if not mark.is_checked:
        raise mark.calls._keep(not_announced(mark.client.meta.service_model.service_name, mark.operation))
    mark.calls._finish(mark, answer)
    return answer


def _block_of_call() -> tuple[SdkCalls | None, bool]:
    """Return the block that decides a call of this thread or task, and whether it is suspended (T103)."""
    own = [block for block in _BLOCKS.get() if block in _active]
    if own:
        block = own[-1]
        is_suspended = block in _SUSPENDED.get()
    else:
        with _lock:
            active = list(_active)
        if not active:
            return None, False
        block = active[-1]
        if any(each._outer is not before for before, each in zip([None, *active], active, strict=False)):
            raise active[0]._keep(UncheckedCall(_several(active)))
        is_suspended = block._n_pausing > 0
    return block, is_suspended


def _several(active: Sequence[SdkCalls]) -> str:
    shown = ", ".join(f"`{name_of(each._principal) if each._principal else 'no principal'}`" for each in active)
    text = f"{len(active)} blocks are active in several threads ({shown}), and this thread has none"
    return f"{text}\nhelp: enter a block in this thread, or run it with `contextvars.copy_context()`"


def _is_internal() -> bool:
    """Whether an emulator makes the call: the innermost frame outside of SDKs and the standard library is one of moto (T104)."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__") or ""
        if name.partition(".")[0] not in _SDK and name != __name__:
            return name.startswith("moto.") and name != "moto.core.models"
        frame = cast("Any", frame.f_back)
    return False


def _prepare(client: Any) -> None:
    """Register both handlers on a client, once."""
    if client in _prepared:
        return
    with _lock:
        events = client.meta.events
        events.register_first("before-parameter-build.*.*", _on_parameters, unique_id="fastiam-parameters")
        events.register_first("before-call.*.*", _on_call, unique_id="fastiam-call")
        signing = functools.partial(_on_presigning, ref(client))
        events.register_first("before-parameter-build.*.*", signing, unique_id="fastiam-presigning")
        _prepared.add(client)


def _on_parameters(params: Any, model: Any, context: Mapping[str, Any], **_: Any) -> None:
    mark = _MARK.get()
    if mark is None or context.get("is_presign_request"):
        return
    mark.parameters = params
    if (model.service_model.service_name, model.name) == _DELETE:
        mark.calls._filter_deletion(mark, model, params, context)


def _on_presigning(client: Any, params: Any, model: Any, context: Mapping[str, Any], **_: Any) -> None:
    if not context.get("is_presign_request") or not _active or READING.get():
        return
    calls, is_suspended = _block_of_call()
    if calls is not None and not is_suspended and not _is_internal():
        calls._presign(client(), model, params, context)


def _on_call(model: Any, params: Any, context: Mapping[str, Any], **_: Any) -> Any:
    mark = _MARK.get()
    if mark is None:
        return None
    mark.is_checked = True
    return mark.calls._check(mark, model, params, context)


# -- blocks


class _Block:
    """A context manager and a decorator; each use has its own `SdkCalls`."""

    def __init__(self, make: Callable[[], SdkCalls]) -> None:
        self._make = make
        self._calls: SdkCalls | None = None

    def __enter__(self) -> SdkCalls:
        if self._calls is not None:
            raise RuntimeError("the block is active already; make another one")
        calls = self._make()
        own = [block for block in _BLOCKS.get() if block in _active]
        calls._outer = own[-1] if own else None
        with _lock:
            _active.append(calls)
            _install()
        _BLOCKS.set((*own, calls))
        self._calls = calls
        return calls

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        calls, self._calls = self._calls, None
        assert calls is not None
        with _lock:
            _active.remove(calls)
            if not _active:
                _remove()
        _BLOCKS.set(tuple(block for block in _BLOCKS.get() if block is not calls))
        if kind is None:
            calls._raise_kept()

    def __call__(self, function: _Function) -> _Function:
        if inspect.isclass(function) or inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("only functions are decorated; use `with` in generators and fixtures")
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def in_task(*args: Any, **kwargs: Any) -> Any:
                with self._copy():
                    return await function(*args, **kwargs)

            return cast("_Function", in_task)

        @functools.wraps(function)
        def in_block(*args: Any, **kwargs: Any) -> Any:
            with self._copy():
                return function(*args, **kwargs)

        return cast("_Function", in_block)

    def _copy(self) -> Self:
        return type(self)(self._make)

"""Arguments that are expressions of a library (`pl.Expr`, a `Column` of Spark) instead of columns of a frame."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeVar

from fastiam.errors import RequestValueError
from fastiam.frames.arguments import FrameArguments

E = TypeVar("E")
_SOURCES: Final = ("principal", "action", "resource", "resource_account")


def read_expressions(
    kind: type[E], column: Callable[[str], E], *, context: Mapping[str, Any] | Collection[str], **arguments: Any
) -> tuple[FrameArguments, dict[str, E]]:
    """The arguments over a table whose columns are expressions, and these expressions by name.

    Parameters
    ----------
    kind
        the type of an expression.
    column
        makes one from the name of a column.
    context
        names of columns that are condition keys, or a mapping from keys to names, expressions or constants.
    arguments
        those of `FrameArguments`; `principal`, `action`, `resource` and `resource_account` may be expressions.

    Raises
    ------
    RequestValueError
        an argument cannot be read; `context` is text, since an expression does not see the frame.
    """
    if isinstance(context, str):
        hint = "pass a mapping of keys to columns, or a list of the columns that are keys"
        raise RequestValueError("an expression does not see the columns of a frame", column="context", hint=hint)
    fields: dict[str, E] = {}

    def source(name: str, given: Any) -> Any:
        if isinstance(given, str):
            if given == "*":  # libraries read it as all columns
                hint = 'a text is the name of a column; for the value write `fastiam.lit("*")`'
                raise RequestValueError("`*` is not the name of a column", column=name, hint=hint)
            given = column(given)
        if not isinstance(given, kind):
            return given
        fields[name] = given
        return name

    sources = {name: source(name, arguments.pop(name)) for name in _SOURCES if name in arguments}
    keys = dict(context) if isinstance(context, Mapping) else {name: name for name in context}
    checked = FrameArguments(context={key: source(key, value) for key, value in keys.items()}, keep=False, **sources, **arguments)
    return checked, fields

"""Which columns are condition keys: one rule for frames, for files, and for names that a caller gives."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from fastiam.errors import Hint, RequestValueError
from fastiam.frames.nested import TAGS
from fastiam.model.key_names import is_like_key, likely_key
from fastiam.model.request import check_key, shorten


def key_columns(names: Iterable[str], *, named: Collection[str] = (), kept: Collection[str] = ()) -> list[str]:
    """The names that are condition keys: those with a `:`, which all keys have, and those that the caller names.

    Parameters
    ----------
    names
        of columns, without those of the request.
    named
        columns that the caller declares to be keys.
    kept
        columns that are copied, and may be like a key.

    Raises
    ------
    RequestValueError
        a name is not one of a key; a column that is not read is like a key, or like a set of tags.
    """
    keys = []
    for name in names:
        if ":" in name or name in named:
            check_name(name)
            keys.append(name)
        elif name not in kept and is_like_key(name):
            column, key = shorten(name), likely_key(name)
            hint = Hint(
                f"rename it to `{key}`, or name the columns that are keys: `context=[...]`",
                f"`--map {column}={key}` reads it, `--map {column}=` leaves it out",
            )
            raise RequestValueError(f"the column `{column}` is like a condition key, and is not read", column=name, hint=hint)
    return keys


def check_name(name: str) -> None:
    """Check the name of a key, or of a set of tags such as `aws:RequestTag/*`.

    Raises
    ------
    RequestValueError
        as `check_key`.
    """
    check_key(f"{name.removesuffix('*')}x" if name.endswith(TAGS) else name)

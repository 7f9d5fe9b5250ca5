"""A log of CloudTrail as calls that an engine can decide: who, which actions on what, and what the log tells of the context.

`records` reads files, `actions` names the IAM actions, `resources` the resources, `callers` who asks, `network` the way the
call came, `outcomes` what became of it; `reader` puts them into columns.
"""

from importlib.util import find_spec

from fastiam.errors import SourceError

if find_spec("msgspec") is None:  # the library alone was installed
    raise SourceError("reading a log needs a few more packages", source="msgspec", hint="pip install 'fastiam[logs]'")

from fastiam.sources.cloudtrail.reader import CloudTrail

__all__ = ["CloudTrail"]

"""CloudTrail logs as calls that an engine can decide: principals, actions, resources, context and outcomes.

`records` reads files. `principals` finds the principal, `actions` the IAM actions, `resources` the resources, `network` the
context keys of the network, `outcomes` the outcome in the log. `requests` combines them, and `reader` builds columns.
"""

from importlib.util import find_spec

from fastiam.errors import SourceError, pip_install

if find_spec("msgspec") is None:  # the library alone was installed
    raise SourceError("the packages for reading a log are missing", source="msgspec", hint=pip_install("logs"))

from fastiam.sources.cloudtrail.reader import CloudTrail

__all__ = ["CloudTrail"]

"""A log of CloudTrail as calls that an engine can decide: who, which actions on what, and what the log tells of the context.

`records` reads files, `actions` names the IAM actions, `resources` the resources, `callers` who asks, `network` the way the
call came, `outcomes` what became of it; `reader` puts them into columns.
"""

from fastiam.sources.cloudtrail.reader import CloudTrail

__all__ = ["CloudTrail"]

"""The executable specification: plain, slow, complete, each function citing its rules.

It judges the compiled engine, so it shares nothing with it above floor 0: it reads every action, ARN, principal,
variable, number, date and address by itself. `decide` is its one door.
"""

from fastiam.spec.evaluate import decide

__all__ = ["decide"]

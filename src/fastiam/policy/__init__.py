"""Policy documents: parse them into the model, and validate them (spec 1).

`document.read_policy` returns a `Policy` or raises; `document.validate_policy` returns the findings. Both read a document
once, as mode `lenient` does, and record each rule that it breaks; the mode decides which findings reject it. `document` defines
the meaning of a policy that was read in mode `lenient`, `validation_rules` lists the rules.
"""

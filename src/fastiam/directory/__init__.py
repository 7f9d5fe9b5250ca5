"""Accounts: who has which policies, and where (spec 1.1, 3.1, 6.1, 6.2, 6.10), resolved into profiles.

`model.AccountModel` is written, `snapshot.Snapshot` is read. `loose` makes the same profiles from the arguments of
`fastiam.simulate`.
"""

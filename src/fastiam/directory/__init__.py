"""Directories: records, transactions, and the writes of IAM and Organizations (spec 1.1, 3.1, 6.1, 6.2, 6.10).

`account_model.AccountModel` has the writes. Package `resolve` reads the records and builds profiles.
"""

"""Readers of planned changes: Terraform plans, CloudFormation templates, and single policies that are replaced.

A reader gives the facts of both sides (`facts`), and `writing` writes them into one directory. `api.planned_changes` compiles it
before and after.
"""

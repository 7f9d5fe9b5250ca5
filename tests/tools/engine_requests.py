"""Principals, policies and sessions that tests of the engine share."""

from __future__ import annotations

from fastiam import Outcome, PrincipalKind, Session

A, B = "111111111111", "222222222222"
ANA, APP = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/app"
RUN = f"arn:aws:sts::{A}:assumed-role/app/run"
OK, NO, DENY = Outcome.ALLOW, Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action, resource="*", **condition):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **({"Condition": condition} if condition else {})}


def session(*, arn=RUN, kind=PrincipalKind.ROLE, issuer=APP, **more):
    return Session(arn, kind=kind, issuer=issuer, **more)

"""Operations of AWS's SDKs as requests that an engine can decide.

`operations` has the operations whose requests do not follow from their name and from AWS's list of actions; replay of CloudTrail
logs uses it too. `requests` maps the call of a client, `keys` reads its context, `sessions` the sessions that STS issues,
`refusals` writes AWS's answer to a denied call, and `recorded` holds what was seen.
"""

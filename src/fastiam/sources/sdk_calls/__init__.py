"""Operations of AWS's SDKs as requests that an engine can decide.

`call_requests` maps the call of a client, `call_keys` reads its context, `event_actions` has the actions of an operation, and
`arn_templates` the ARNs of a type of resource. `data_operations` and `resource_operations` have the operations whose requests do
not follow from their name and from AWS's list of actions; replay of CloudTrail logs uses them too.
"""

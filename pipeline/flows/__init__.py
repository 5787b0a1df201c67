"""What a person declares: tasks, flows, states, entities, pipe keys and schedules, and the plan that is cut from a
flow.

Pure: the standard library and `pipeline.errors` alone. Begin with `task`, then `flow`; `plan` is what the rest of
the engine runs.
"""

"""What a load needs and costs: a model of waves, a queue, tasks that start late, and a scaling policy.

Uses `control.policy`, the policy that is deployed. Begin with `simulation`.
"""

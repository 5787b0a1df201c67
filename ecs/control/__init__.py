"""The control service: measures the queues, sets the counts of services, and protects what runs.

Uses `pipeline`. Begin with `controller`; `policy` is its arithmetic.
"""

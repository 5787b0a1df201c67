"""Models served through the queue.

A *producer* (in the API's process) puts what arrives within a few milliseconds on the model's queue as one message.
A *worker* that holds the model answers into the producer's reply stream. Nobody waits in a thread, and Celery's
results are not used. Uses `gate`, `messaging` and `telemetry`. Begin with `producer` for one side of the queue, with
`server` for the other.
"""

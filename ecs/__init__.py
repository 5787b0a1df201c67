"""celery-waves on Amazon ECS: deployment, autoscaling on the queues' depth, and a simulator of both.

It uses the engine, and nothing of the engine knows of it.
"""

"""What one machine needs: a private Redis, and child processes that end with their owner.

Uses no part of the engine but its errors. Begin with `supervise`.
"""

"""Ready collectors: HTTP, SQL, and files.

Uses `pipeline` and `tasks.errors`. Begin with `declare`, which all of them share, then the collector in question.
"""

"""Deploy, push, destroy, and look at what is there.

Uses `templates` and boto3. Begin with `deployer`.
"""

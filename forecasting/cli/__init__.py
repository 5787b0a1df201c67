"""Commands that join `wave`: each is named in the entry points of setup.cfg and loaded when it is used.

Uses all of `forecasting` but its pages. Begin with the module named like the command: `forecast`, `model`, `compare`.
"""

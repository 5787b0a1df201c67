"""The dashboard: pages made on the server, which work offline, on a phone and by keyboard.

Uses `waves` and `monitoring`, and the extra [web]. Begin with `routes`; pages of other packages join by `additions`.
"""

"""What several suites share: servers, stand-ins, terminals, and flows to test with."""

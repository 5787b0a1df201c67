"""The dashboard: pages made on the server, which work offline, on a phone and by keyboard. Needs the extra [web]."""

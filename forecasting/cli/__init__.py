"""Commands that join `wave`: each is named in the entry points of setup.cfg and loaded when it is used."""

"""The only room that sees more than one place: wiring, the demo, the closed loop.

The other rooms take what they need as arguments; here it is decided which engine, which key file
and which process they get. Command line and Python callers both come in through these files.
"""

"""The command line: one file per command group; each parses, calls one function, prints.

Nothing is imported before it is needed, so that `edgewright --help` answers at once. Errors of the
tree in `edgewright.errors` become one line on stderr and their branch's exit code; results go to
stdout, progress and errors to stderr.
"""

from edgewright.cli._main import main

__all__ = ["main"]

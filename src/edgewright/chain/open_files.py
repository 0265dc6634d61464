"""How many files and connections this process may hold open.

Shells commonly start programs with 1,024, which is a fleet of 500 devices, and let each program ask
for more: the soft limit is a habit of old programs, the hard one is the administrator's word.
"""

import resource


def allow_all_open_files() -> int:
    """Take as many as the administrator allows; how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard

"""How many files and connections this process may hold open.

Shells commonly start programs with 1,024, which is a fleet of 500 devices, and let each program ask
for more: the soft limit is a habit of old programs, the hard one is the administrator's word.
"""

import resource

_OTHER_FILES = 64


def allow_all_open_files() -> int:
    """Take as many as the administrator allows; how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def peers_within(open_files: int, wanted: int, *, ways: int) -> int:
    """How many peers each of several ways in may have: one more than there are files for would end
    in an error of the system, where otherwise the one that was idle longest makes room.

    >>> [peers_within(1024, wanted, ways=2) for wanted in (100, 1024)]
    [100, 480]
    """
    if open_files == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, max(open_files - _OTHER_FILES, open_files // 2) // ways)

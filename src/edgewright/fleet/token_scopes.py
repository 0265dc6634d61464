"""What a token may open that is made over HTTP: no more than the token in hand opens, and for
another person nothing by which one could be two.

On the fleet's own machine anybody who may use its folder makes any token.

>>> granted([], held=[], is_own=True)
()
>>> granted([], held=["read", "user"], is_own=True)
('read', 'user')
>>> granted(["publish"], held=[], is_own=False)
('publish',)
"""

from collections.abc import Sequence
from typing import get_args

from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError, TrustError
from edgewright.fleet.roles import ALL_PERMISSIONS, Permission

NEVER_FOR_ANOTHER: frozenset[Permission] = frozenset({"approve", "user"})
"""Approving is the second person's word, and who manages people could give oneself that role."""


def check_scopes(scopes: Sequence[str]) -> None:
    """Refuse what is no permission.

    Raises:
        InputError: one of them is none.
    """
    if unknown := [scope for scope in scopes if scope not in ALL_PERMISSIONS]:
        raise InputError(
            f"there is no scope {unknown[0]!r}",
            hint=suggestion(unknown[0], list(ALL_PERMISSIONS)),
        )


def granted(asked: Sequence[str], *, held: Sequence[str], is_own: bool) -> tuple[str, ...]:
    """The scopes of the new token: what was asked for, or all that can be had where nothing was.
    No scopes, `held` or granted, mean all that the role holds.

    Raises:
        InputError: there is no such scope.
        TrustError: it is beyond the token in hand, or not for another person.
    """
    check_scopes(asked)
    if not asked and not held and is_own:
        return ()
    most = [
        scope
        for scope in get_args(Permission)
        if (scope in held or not held) and (is_own or scope not in NEVER_FOR_ANOTHER)
    ]
    beyond = [scope for scope in asked if scope not in most]
    if beyond or not most:
        what = repr(beyond[0]) if beyond else "anything"
        whose = "" if is_own else " for another person"
        raise TrustError(
            f"who asks cannot make a token{whose} that opens {what}",
            hint="use a token or session that opens it, or make it on the fleet's own machine",
        )
    return tuple(asked) if asked else tuple(most)

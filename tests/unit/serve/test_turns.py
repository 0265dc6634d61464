"""Turns on a core, where this kernel has them; elsewhere nothing is asked, and nothing fails."""

import threading

from edgewright.device.serve.turns import SHORT_S, ask_for_short_turns, turn_s


def usual_s() -> float:
    """How long this thread's turns are, 0 where nobody knows."""
    try:
        return turn_s()
    except OSError:
        return 0.0


def test_thread_that_asks_has_short_turns_and_those_before_it_keep_theirs() -> None:
    before_s = usual_s()
    found: list[tuple[bool, float]] = []
    asking = threading.Thread(target=lambda: found.append((ask_for_short_turns(), usual_s())))
    asking.start()
    asking.join()
    ((is_granted, now_s),) = found
    assert is_granted is (now_s == SHORT_S)
    assert now_s in (SHORT_S, before_s)
    assert usual_s() == before_s

"""Where models are sent from: releases, devices, rollouts, and the two front doors to them.

Deciding and doing live apart: `rollout` is a pure rule, `rollouts` keeps its state in the database
of `state` and feeds it. Every change is one transaction with its entry in the audit log; the server
and the command line work on the same database at the same time. The device API (`device_api`) and
the people's API and page (`people_api`, `ui`) only translate.

The rule alone:

    >>> from edgewright.fleet.rollout import begin, step
    >>> from edgewright.fleet.rollout_terms import Acknowledged, Failed, Limits, Seen
    >>> state = begin([("canary",), ("d1", "d2")], Limits(), now_s=0.0)
    >>> state = step(state, [Seen("canary")], now_s=1.0).state
    >>> state = step(state, [Acknowledged("canary")], now_s=2.0).state
    >>> state = step(state, [Failed("canary", "probe: wrong output")], now_s=3.0).state
    >>> state.status, state.reason
    ('aborted', '1 of 1 finished devices failed in wave 1, the limit is 10 % and 1')

Importing this room loads no database and no web framework; its files do, where they need them.
"""

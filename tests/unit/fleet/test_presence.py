import asyncio

from edgewright.fleet.presence import Presence


def test_a_woken_device_looks_again_and_others_wait_on() -> None:
    async def case() -> None:
        presence = Presence()
        polls = {
            name: asyncio.create_task(presence.wait(name, since=0, timeout_s=60))
            for name in ("a", "b")
        }
        await asyncio.sleep(0)
        presence.wake(["a", "stranger"])
        await polls["a"]
        assert not polls["b"].done()
        assert presence.waiting == 1
        presence.wake_all()
        await polls["b"]
        assert presence.waiting == 0

    asyncio.run(case())


def test_a_wait_ends_when_its_time_is_up() -> None:
    presence = Presence()
    asyncio.run(presence.wait("a", since=0, timeout_s=0))
    assert presence.waiting == 0


def test_who_waits_is_here_and_seen_now() -> None:
    async def case() -> None:
        presence = Presence()
        presence.pends("b")
        presence.acknowledged("c")
        presence.saw("b", at_s=1.0)
        poll = asyncio.create_task(presence.wait("a", since=0, timeout_s=60))
        await asyncio.sleep(0)
        assert presence.has_news
        assert presence.take_news() == ({"a", "b"}, {"c"})
        assert presence.take_news() == ({"a"}, frozenset())
        assert presence.take_seen(now_s=9.0) == {"a": 9.0, "b": 1.0}
        presence.wake_all()
        await poll

    asyncio.run(case())


def test_who_was_woken_while_somebody_looked_does_not_wait() -> None:
    async def case() -> list[bool]:
        presence = Presence()
        turn = presence.turn
        presence.wake(["a"])
        waits = [
            asyncio.create_task(presence.wait(name, since=turn, timeout_s=60)) for name in "ab"
        ]
        waits.append(asyncio.create_task(presence.wait("a", since=presence.turn, timeout_s=60)))
        for _ in range(5):
            await asyncio.sleep(0)
        found = [each.done() for each in waits]
        presence.wake_all()
        await asyncio.gather(*waits)
        return found

    assert asyncio.run(case()) == [True, False, False]

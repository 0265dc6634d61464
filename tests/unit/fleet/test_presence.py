import asyncio

from edgewright.fleet.presence import Presence


def test_a_woken_device_looks_again_and_others_wait_on() -> None:
    async def case() -> None:
        presence = Presence()
        polls = {
            name: asyncio.create_task(presence.wait(name, timeout_s=60)) for name in ("a", "b")
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
    asyncio.run(presence.wait("a", timeout_s=0))
    assert presence.waiting == 0


def test_who_waits_is_here_and_seen_now() -> None:
    async def case() -> None:
        presence = Presence()
        presence.pends("b")
        presence.acknowledged("c")
        presence.saw("b", at_s=1.0)
        poll = asyncio.create_task(presence.wait("a", timeout_s=60))
        await asyncio.sleep(0)
        assert presence.has_news
        assert presence.take_news() == ({"a", "b"}, {"c"})
        assert presence.take_news() == ({"a"}, frozenset())
        assert presence.take_seen(now_s=9.0) == {"a": 9.0, "b": 1.0}
        presence.wake_all()
        await poll

    asyncio.run(case())

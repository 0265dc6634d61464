"""What the device's admin may choose."""

from typing import Literal

import msgspec

from edgewright.device.agent.facts import local_timezone
from edgewright.device.agent.machine import State
from edgewright.device.agent.maintenance import Maintenance
from edgewright.device.agent.step_hooks import MOST_S
from edgewright.errors import InputError
from edgewright.wire.remote_commands import USUAL_KINDS, Kind
from edgewright.wire.windows import check_timezone, parse_window


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`agent.toml`: what the device's admin may choose."""

    serve_http: str = "127.0.0.1:8000"
    poll_s: float = 30.0
    probation_s: float = 300.0
    probation_error_rate: float = 0.01
    probe_timeout_s: float = 120.0
    probe_memory_mb: float = 1024.0
    disk_budget_mb: float = 2048.0
    disk_reserve_mb: float = 64.0
    download_limit_kbit_s: float | None = None
    deadlines_s: dict[State, float] = {}
    maintenance_windows: tuple[str, ...] = ()
    timezone: str = ""
    windows_without_clock: Literal["wait", "go"] = "wait"
    allow_hooks: bool = False
    allow_step_hooks: bool = False
    step_hook_timeout_s: float = 10.0
    mqtt: str = ""
    mqtt_password_file: str = ""
    amqp: str = ""
    amqp_password_file: str = ""
    coap: str = ""
    remote_commands: tuple[Kind, ...] = USUAL_KINDS
    capture: str = ""
    measure_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_deadlines()
        self._check_windows()
        self._check_broker()
        if not 0 < self.step_hook_timeout_s <= MOST_S:
            raise ValueError(
                f"step_hook_timeout_s is {self.step_hook_timeout_s:g}, expected more than 0 and at "
                f"most {MOST_S:g}"
            )
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, float) and not 0 <= value < float("inf"):
                raise ValueError(f"{name} is {value:g}, expected 0 or more")

    @property
    def maintenance(self) -> Maintenance:
        """The windows as a value; this machine's own time zone where none is named."""
        return Maintenance(
            windows=tuple(map(parse_window, self.maintenance_windows)),
            timezone=self.timezone or local_timezone(),
            without_clock=self.windows_without_clock,
        )

    def _check_deadlines(self) -> None:
        for state, deadline_s in self.deadlines_s.items():
            if state is State.IDLE or not 0 < deadline_s < float("inf"):
                raise ValueError(
                    f"deadlines_s.{state} is {deadline_s:g}, expected more than 0 for a state that "
                    "ends"
                )

    def _check_broker(self) -> None:
        """This file goes into support bundles, so it holds no secret."""
        named = {"mqtt": self.mqtt, "amqp": self.amqp, "coap": self.coap}
        given = [name for name, url in named.items() if url]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are named, expected one way beside HTTP")
        for name in given:
            login = named[name].partition("://")[2].rpartition("@")[0]
            if ":" in login:
                raise ValueError(f"{name} holds a password; put it into {name}_password_file")

    def _check_windows(self) -> None:
        if not self.maintenance_windows:
            return
        try:
            check_timezone(self.maintenance.timezone)
        except InputError as error:
            hint = "set timezone, or install the time zone database (Debian: tzdata)"
            raise ValueError(f"{error}; {hint}") from error

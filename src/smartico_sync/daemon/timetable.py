"""When views are polled: APScheduler's jobs, held to the steady clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog
from apscheduler.events import EVENT_JOB_ERROR
from apscheduler.executors.pool import ThreadPoolExecutor as JobThreads
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from smartico_sync.errors import Unexpected

if TYPE_CHECKING:
    from collections.abc import Callable

    from apscheduler.events import JobExecutionEvent

__all__ = ["Timetable"]

log = structlog.get_logger()


class Every(BaseTrigger):  # type: ignore[misc] # APScheduler has no types
    """Due so often; what was missed is due once. APScheduler's own trigger lists every missed time: 400 days of seconds fill the memory."""

    def __init__(self, seconds: float) -> None:
        self.interval = timedelta(seconds=seconds)

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """The next time after `previous`; never more than an interval ahead of `now`, nor behind it."""
        due = now if previous is None else previous + self.interval
        return due if previous is None or now < due <= now + self.interval else now + self.interval


class Timetable:
    """Calls actions at intervals, one at a time, and those `beside` them in a thread of their own.

    APScheduler writes due times by the wall clock and waits for them by the steady one. A wall clock that is set forward makes everything
    due once. Set back it leaves them far ahead: `correct`, called every second or so of the steady clock, makes them due.
    """

    def __init__(self) -> None:
        self.jobs = BackgroundScheduler(
            executors={"default": JobThreads(1), "beside": JobThreads(1)},
            # However late: better than never.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=UTC,
        )
        self.jobs.add_listener(mishap, EVENT_JOB_ERROR)

    def every(self, seconds: float, name: str, action: Callable[..., None], *arguments: Any) -> None:
        """Call an action at once, and then at this interval."""
        self.jobs.add_job(action, Every(seconds), args=arguments, id=name)

    def beside(self, seconds: float, name: str, action: Callable[..., None]) -> None:
        """The same for an action that may take its time; the first time after an interval."""
        first = datetime.now(UTC) + timedelta(seconds=seconds)
        self.jobs.add_job(action, Every(seconds), id=name, executor="beside", next_run_time=first)

    def correct(self) -> None:
        """Have done now what is due later than its interval allows, and let nobody sleep until a time that a clock gave which is right again."""
        now = datetime.now(UTC)
        for job in self.jobs.get_jobs():
            if job.next_run_time > now + job.trigger.interval:
                job.modify(next_run_time=now)
        self.jobs.wakeup()

    def start(self) -> None:
        """Begin."""
        self.jobs.start()

    def stop(self) -> None:
        """Call nothing any more; what is under way is not waited for."""
        self.jobs.shutdown(wait=False)


def mishap(event: JobExecutionEvent) -> None:
    """Say that a job ended in a way that nobody foresaw."""
    log.error("job", job=event.job_id, reason=Unexpected(event.exception).message)

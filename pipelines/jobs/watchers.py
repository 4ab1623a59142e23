"""Everybody who watches the queue, each in a thread of its own: a slow or broken one harms nobody but itself."""

import logging
import queue
import threading
from collections.abc import Callable

from pipelines.core.event import Event, Preview, Progress

log = logging.getLogger(__name__)

Listener = Callable[[str, Event], None]
"""Hears every event of every job: (job id, event), in their order."""

ENOUGH_WAITING = 256
"""A listener this far behind misses previews and progress (newer ones follow), never anything else."""


class Watchers:
    """The listeners of one queue."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mailboxes: list[_Mailbox] = []

    def add(self, listener: Listener) -> Callable[[], None]:
        """Returns the function that ends it."""
        mailbox = _Mailbox(listener)
        with self._lock:
            self._mailboxes.append(mailbox)

        def leave() -> None:
            with self._lock:
                if mailbox in self._mailboxes:
                    self._mailboxes.remove(mailbox)
            mailbox.leave()

        return leave

    def tell(self, job: str, event: Event) -> None:
        """Returns at once."""
        with self._lock:
            for mailbox in self._mailboxes:
                mailbox.put(job, event)

    def close(self) -> None:
        """What is on its way still arrives, unless a listener hangs."""
        with self._lock:
            leaving, self._mailboxes = self._mailboxes, []
        for mailbox in leaving:
            mailbox.close()
        for mailbox in leaving:
            mailbox.join(timeout=1.0)


class _Mailbox:
    """Events on their way to one listener."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._letters: queue.SimpleQueue[tuple[str, Event] | None] = queue.SimpleQueue()
        self._left = False
        self._thread = threading.Thread(target=self._deliver, name="queue-listener", daemon=True)
        self._thread.start()

    def put(self, job: str, event: Event) -> None:
        if isinstance(event, Preview | Progress) and self._letters.qsize() > ENOUGH_WAITING:
            return
        self._letters.put((job, event))

    def close(self) -> None:
        self._letters.put(None)

    def leave(self) -> None:
        """Nothing more is delivered, also of what is on its way."""
        self._left = True
        self.close()

    def join(self, timeout: float) -> None:
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _deliver(self) -> None:
        while (letter := self._letters.get()) is not None and not self._left:
            try:
                self._listener(*letter)
            except Exception:  # a listener is somebody else's code: its bugs are its own
                log.exception("A listener of the job queue failed")

"""`conductor hook EVENT --client CLIENT`: what coding agents run before and after their tools.

It must end within 2 s and fail closed: whatever goes wrong before a tool (garbage on the input, no daemon, a defect
here) refuses the tool with exit code 2, which all clients obey; other codes would let it pass. After a tool there is
nothing to refuse: code 1 and a sentence. Standard library only, for this is run at every edit.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType

from conductor.cli.quick import adapters, identity, judging, options
from conductor.cli.quick.adapters import Client, Event
from conductor.domain import errors

ASK_WITHIN_S = 1.2
END_WITHIN_S = 1.6
MOST_BYTES = 32 * 1024 * 1024
"""Of what a client says: a written file stands in it."""

_REFUSED, _SAID = 2, 1
_HELP = f"""conductor hook EVENT --client CLIENT [--agent NAME] [--url URL] [--home DIR]

For the hooks of coding agents; `conductor init` writes them. EVENT: {", ".join(Event)}.
CLIENT: {", ".join(Client)}. The client's JSON is read from the input, the answer is written to the output.
CONDUCTOR_OFFLINE=1 lets edits pass while the daemon cannot be asked; each is recorded when it is back.
"""


def run(arguments: Sequence[str]) -> int:
    """Answer a hook; gives the exit code."""
    if "--help" in arguments or not arguments:
        print(_HELP, end="")
        return 0 if arguments else _REFUSED
    last = _Last(_SAID if arguments[0] in set(Event) - {Event.PRE_TOOL} else _REFUSED)
    last.guard()
    try:
        answer = _answer(arguments)
    except errors.ConductorError as error:
        return last.say(error.message)
    except TimeoutError:
        return last.say("The client did not say what it is about to do in time")
    return last.answer(answer)


def _answer(arguments: Sequence[str]) -> dict[str, object] | None:
    words, given = options.parsed(arguments, ("client", "agent", "url", "home"))
    try:
        event = Event(words[0] if len(words) == 1 else "")
        client = Client(given.get("client", Client.CLAUDE))
    except ValueError:
        raise errors.Invalid(
            f"conductor hook takes one of {', '.join(Event)}, and --client {'|'.join(Client)}"
        ) from None
    environ = identity.environment(os.environ, given)
    said = _read()
    if event is Event.PRE_TOOL:
        reason = judging.judge(said, client, environ, ASK_WITHIN_S)
        return adapters.refusal(client, reason) if reason is not None else None
    from conductor.cli.quick import moments  # noqa: PLC0415 (an edit waits for the hook before it)

    told = moments.pass_by(event, said, client, environ, ASK_WITHIN_S)
    return adapters.context(client, event, told) if told is not None else None


def _read() -> Mapping[str, object]:
    content = sys.stdin.buffer.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise errors.Invalid(f"The client said more than {MOST_BYTES // 1024**2} MiB of the tool")
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise errors.Invalid("What the client said of the tool is no JSON object")
    return said


class _Last:
    """Has the last word, once: an answer, a sentence, or a sentence instead of an answer that does not come.

    code: the exit code with which it is closed.
    """

    def __init__(self, code: int) -> None:
        self._code = code
        self._word = threading.Lock()

    def guard(self) -> None:
        """Close when time is over, and when anything breaks."""
        signal.signal(signal.SIGALRM, _time_is_over)
        signal.setitimer(signal.ITIMER_REAL, ASK_WITHIN_S)
        sys.excepthook = self._broke
        # A name that is looked up cannot be interrupted by a signal.
        timer = threading.Timer(END_WITHIN_S, self._close, ("Conductor did not answer in time",))
        timer.daemon = True
        timer.start()

    def answer(self, answer: dict[str, object] | None) -> int:
        """Give an answer to the client; gives the exit code."""
        self._take()
        if answer is not None:
            print(json.dumps(answer), flush=True)
        return 0

    def say(self, why: str) -> int:
        """Say why there is no answer; gives the exit code."""
        self._take()
        self._write(why)
        return self._code

    def _take(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._word.acquire()

    def _write(self, why: str) -> None:
        end = "the tool is refused" if self._code == _REFUSED else "nothing was done"
        print(f"conductor: {' '.join(why.rstrip('.').split())}: {end}.", file=sys.stderr, flush=True)

    def _close(self, why: str) -> None:
        if self._word.acquire(blocking=False):
            self._write(why)
            os._exit(self._code)

    def _broke(self, kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
        self._word.acquire(blocking=False)
        self._write(f"The hook is broken ({kind.__name__}: {error})")
        os._exit(self._code)


def _time_is_over(*_: object) -> None:
    raise TimeoutError

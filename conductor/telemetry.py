"""Logs: events with fields, one line each, and never a secret in any of them.

`configure` is called once in each process; after it Conductor's own events and the libraries' messages leave by one
way, through one mask. A log that cannot be written never fails the work it tells about.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

Format = Literal["json", "text"]
Level = Literal["debug", "info", "warning", "error"]

MASK = "***"

_WORDS = "token|authorization|secret|password|passwd|passphrase|pepper|cookie|credentials?|api[_-]?key|private[_-]?key"
_SECRET_KEY = re.compile(rf"(?:{_WORDS})$", re.IGNORECASE)
_TOKEN = re.compile(r"(cdr_(?:usr|agt|enr|svc))_[\w.~+/=-]+", re.IGNORECASE)
_CREDENTIALS = re.compile(r"""([a-z][a-z0-9+.-]{0,30}://)[^/\s"'<>]*@""", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{16,}", re.IGNORECASE)
# A key and its value in running text: password=x, 'token': 'x', Authorization: x. The look-behind keeps it linear;
# the back-slashes are those of JSON inside JSON.
_PAIR = re.compile(
    rf"""(?<![\w-])(?P<key>[\w-]*(?:{_WORDS}))
    (?P<between>\\*["']?\s*=\s*|\\*["']\s*:\s*|(?<=authorization):\s*)
    (?:(?:bearer|basic)\s+)?(?P<value>\\*"[^"]*"?|\\*'[^']*'?|[^\s"',;&)\]}}]+)""",
    re.IGNORECASE | re.VERBOSE,
)
# Nearly every text of a log has none of these, and is done with one look.
_SUSPECT = re.compile(r"[:=]|cdr_|bearer|basic", re.IGNORECASE)
_TEXT_AT_MOST = 16_384
_DEPTH_AT_MOST = 8

# Each talks for itself at these levels; Conductor's own events already tell of calls and requests.
_LIBRARIES: Mapping[str, int] = {
    "alembic": logging.WARNING,
    "asyncio": logging.WARNING,
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,
    "mcp": logging.WARNING,
    "ray": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "uvicorn": logging.INFO,
    "uvicorn.access": logging.CRITICAL,
    "uvicorn.asgi": logging.INFO,
    "uvicorn.error": logging.INFO,
}


def configure(format: Format, level: Level, stream: TextIO | None = None) -> None:
    """Send every event of this process to one stream, standard error by default.

    format: `json`, one object a line with timestamp, level and event first; `text` for a terminal. A second call
    replaces the first, also for loggers already handed out.
    """
    out = cast(TextIO, _Unfailing(stream or sys.stderr))
    stamp: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    finish: list[Processor] = [structlog.processors.format_exc_info, _mask_event, _renderer(format, stream)]
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *stamp, *finish],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )

    handler = logging.StreamHandler(out)
    handler.setLevel(threshold)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_name_library, *stamp],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    # A library's malformed message would print its arguments to standard error, past the mask.
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(threshold)
    adopt_libraries()


def adopt_libraries() -> None:
    """Take the libraries' own handlers away, so that their messages pass the mask.

    Called by `configure`; call it again after importing one that puts up its handler on import, as ray does (and give
    `ray.init` configure_logging=False, uvicorn log_config=None).
    """
    for name, level in _LIBRARIES.items():
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(level)


def logger(name: str) -> FilteringBoundLogger:
    """The logger of one part, named in each event: `log = telemetry.logger(__name__)`."""
    return cast(FilteringBoundLogger, structlog.get_logger(part=name))


def mask_text(text: str) -> str:
    """A text with every secret in it replaced: tokens, credentials in addresses, `password=…` and the like."""
    if len(text) > _TEXT_AT_MOST:
        half = _TEXT_AT_MOST // 2
        # The end begins after white space: the second half of a token would not be known for one.
        end = "".join(re.split(r"\s", text[-half:], maxsplit=1)[1:])
        text = f"{text[:half]} … {len(text) - half - len(end)} characters left out … {end}"
    if text.isascii() and not _SUSPECT.search(text):
        return text
    text = _TOKEN.sub(rf"\1_{MASK}", text)
    text = _CREDENTIALS.sub(rf"\1{MASK}@", text)
    text = _PAIR.sub(_masked_pair, text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    # Half a surrogate pair cannot be written as UTF-8; callers send such things on purpose.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def mask(value: object, depth: int = 0) -> object:
    """A value as it may be logged: JSON types only, every secret in it replaced, nested ones too."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return mask_text(value)
        case datetime():
            return value.isoformat()
        case _ if depth >= _DEPTH_AT_MOST:
            return "…"
        case Mapping():
            return {
                mask_text(str(key)): MASK if _is_secret(str(key), inner) else mask(inner, depth + 1)
                for key, inner in value.items()
            }
        case list() | tuple() | set() | frozenset():
            return [mask(inner, depth + 1) for inner in value]
        case bytes():
            return mask_text(value.decode("utf-8", "backslashreplace"))
        case _:
            return mask_text(str(value))


def _is_secret(key: str, value: object) -> bool:
    # A number under `token` is a lock's fencing token, which people need to see; nothing and a yes tell nothing.
    if value is None or isinstance(value, bool):
        return False
    return bool(_SECRET_KEY.search(key)) and not (isinstance(value, int) and key.lower().endswith("token"))


def _masked_pair(found: re.Match[str]) -> str:
    if found["value"].isdigit() and found["key"].lower().endswith("token"):
        return found[0]
    return f"{found['key']}{found['between']}{MASK}"


def _name_library(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["part"] = event["_record"].name
    return event


def _mask_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    own = {name: event.pop(name) for name in ("timestamp", "level") if name in event}
    told = {"event": event.pop("event", "")} | dict(event)
    return own | cast("dict[str, object]", mask(told))


def _renderer(format: Format, stream: TextIO | None) -> Processor:
    if format == "json":
        return lambda _logger, _method, event: json.dumps(event, ensure_ascii=False)
    is_terminal = (stream or sys.stderr).isatty()
    # The pretty formatter prints the local variables of every frame, secrets among them.
    return structlog.dev.ConsoleRenderer(
        colors=is_terminal, exception_formatter=structlog.dev.plain_traceback, sort_keys=False
    )


class _Unfailing:
    """A stream whose full disk or closed pipe never reaches the one who logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._try(lambda: self._stream.write(text))

    def flush(self) -> None:
        self._try(self._stream.flush)

    @staticmethod
    def _try(act: Callable[[], int | None]) -> int:
        try:
            return act() or 0
        except (OSError, ValueError):
            return 0

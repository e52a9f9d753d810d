"""`conductor config`: each setting as a daemon started here would read it, with its source. Secrets stay hidden."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from conductor import settings
from conductor.cli import show
from conductor.home import Home


def run(environ: Mapping[str, str], *, file: str | None, as_json: bool) -> None:
    """Print every setting; a wrong one is the error that would stop the daemon's start."""
    loaded = settings.load({}, environ, home=Home.locate(environ).path, config=Path(file) if file else None)
    shown = settings.explain(loaded)
    if as_json:
        sys.stdout.write(json.dumps([setting._asdict() for setting in shown]) + "\n")
    else:
        show.console().print(show.table(None, ("setting", "value", "source"), shown))

"""The settings of the daemon: one frozen tree, read once by `load` and passed down by part.

A flag beats the environment, the environment beats the TOML file, the file beats the default. A wrong setting stops
the start, not the night: the error names the setting, its value, the bound and where it came from. The value of a
secret is never shown, neither in an error nor by `explain`.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple, Self, get_args, get_origin

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from conductor.domain import errors
from conductor.setting_groups import (
    Access,
    Agents,
    Batch,
    Checkpoints,
    Group,
    Keys,
    Leases,
    Limits,
    Log,
    Prices,
    Ray,
    Repositories,
    Server,
    Storage,
    Tasks,
)

__all__ = [
    "Access", "Agents", "Batch", "Checkpoints", "Keys", "Leases", "Limits", "Loaded", "Log", "Prices", "Ray",
    "Repositories", "Server", "Settings", "Shown", "Storage", "Tasks", "explain", "load", "reference_markdown",
]  # fmt: skip

_HIDDEN = "********"
_SHOWN_AT_MOST = 200


class Settings(Group):
    """The whole tree; each part of the daemon is handed its own group."""

    server: Server = Field(default_factory=Server)
    storage: Storage = Field(default_factory=Storage)
    ray: Ray = Field(default_factory=Ray)
    batch: Batch = Field(default_factory=Batch)
    leases: Leases = Field(default_factory=Leases)
    tasks: Tasks = Field(default_factory=Tasks)
    limits: Limits = Field(default_factory=Limits)
    keys: Keys = Field(default_factory=Keys)
    access: Access = Field(default_factory=Access)
    agents: Agents = Field(default_factory=Agents)
    repositories: Repositories = Field(default_factory=Repositories)
    checkpoints: Checkpoints = Field(default_factory=Checkpoints)
    prices: Prices = Field(default_factory=Prices)
    log: Log = Field(default_factory=Log)

    @model_validator(mode="after")
    def _one_writer_on_sqlite(self) -> Self:
        if self.storage.database_url is None and self.ray.hosts != 1:
            raise ValueError("ray.hosts must be 1 on SQLite, which has one writer: set CONDUCTOR_DATABASE_URL for more")
        return self


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and for each dotted name where its value came from.

    sources: `flag`, `environment NAME`, `FILE:LINE` (the file alone where the line is not plain) or `default`.
    """

    settings: Settings
    sources: Mapping[str, str]


class Shown(NamedTuple):
    """One setting as a person may see it: secrets are hidden."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class _Given:
    value: object
    source: str


_GROUPS: Mapping[str, type[Group]] = {
    name: info.annotation
    for name, info in Settings.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, Group)
}
_FIELDS: Mapping[str, FieldInfo] = {
    f"{group}.{name}": info for group, kind in _GROUPS.items() for name, info in kind.model_fields.items()
}
_IN_THE_HOME = {"storage.db": "conductor.db"}
_SPECIAL = {
    "CONDUCTOR_DB": "storage.db",
    "CONDUCTOR_DATABASE_URL": "storage.database_url",
    "CONDUCTOR_MIGRATION_URL": "storage.migration_url",
}
_GENERAL = {"CONDUCTOR_" + name.replace(".", "__").upper(): name for name in _FIELDS}
_ONE_UNDERSCORE = {name.replace("__", "_"): name for name in _GENERAL}


def load(flags: Mapping[str, object], environ: Mapping[str, str], *, home: Path, config: Path | None = None) -> Loaded:
    """Read every setting once.

    flags: by dotted name, `{"server.port": 8080}`; None means not given. home: the home folder; its `conductor.toml`
    is read when present. config: the file to read instead, from a flag; else CONDUCTOR_CONFIG. A relative path counts
    from the current folder, in the file from the file's folder.
    Raises Invalid, exit code 2, with one sentence for each wrong setting.
    """
    given = {name: _Given(Path(os.path.abspath(home / file)), "default") for name, file in _IN_THE_HOME.items()}
    if named := config or environ.get("CONDUCTOR_CONFIG"):
        given |= _from_file(Path(os.path.expanduser(named)))
    elif (usual := home / "conductor.toml").exists():
        given |= _from_file(usual)
    given |= _from_environment(environ)
    given |= {
        _known(name, _FIELDS, "flag"): _taken(name, value, "flag", Path.cwd())
        for name, value in flags.items()
        if value is not None
    }

    tree: dict[str, dict[str, object]] = {}
    for name, one in given.items():
        group, _, field = name.partition(".")
        tree.setdefault(group, {})[field] = one.value
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as wrong:
        sentences = [_sentence(error, given) for error in wrong.errors()]
        # The cause is cut off: it carries the values, secrets among them.
        raise errors.Invalid("\n".join(sentences)) from None
    sources = {name: given[name].source if name in given else "default" for name in _FIELDS}
    return Loaded(settings, MappingProxyType(sources))


def explain(loaded: Loaded) -> list[Shown]:
    """Each setting with its value and source, in the order of the reference, for `conductor config`."""
    shown = []
    for name, source in loaded.sources.items():
        group, _, field = name.partition(".")
        shown.append(Shown(name, _text(name, getattr(getattr(loaded.settings, group), field)), source))
    return shown


def reference_markdown() -> str:
    """The page docs/configuration.md; a test holds the two equal."""
    lines = [_REFERENCE_HEAD]
    for group, kind in _GROUPS.items():
        lines += [f"## {group}", "", (kind.__doc__ or "").strip(), ""]
        lines += ["| setting | environment | default | allowed | what and why |", "|---|---|---|---|---|"]
        for general, name in _GENERAL.items():
            if name.partition(".")[0] != group:
                continue
            special = next((short for short, of in _SPECIAL.items() if of == name), general)
            default = _text(name, _FIELDS[name].default)
            default = f"`{default}`" if default != "none" else "none"
            if name in _IN_THE_HOME:
                default = f"`{_IN_THE_HOME[name]}` in the home"
            cells = [f"`{name}`", f"`{special}`", default, _allowed(_FIELDS[name]), _FIELDS[name].description or ""]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _from_file(path: Path) -> dict[str, _Given]:
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except FileNotFoundError:
        raise errors.Invalid(f"There is no settings file {path}: make it, or unset CONDUCTOR_CONFIG.") from None
    except OSError as wrong:
        raise errors.Invalid(f"The settings file {path} cannot be read: {wrong.strerror}.") from None
    except ValueError as wrong:
        raise errors.Invalid(f"The settings file {path} is not TOML: {wrong}.") from None
    given = {}
    for name, value in _flat(tables):
        line = _line(text, name)
        source = f"{path}:{line}" if line else str(path)
        _known(name, _FIELDS, source)
        given[name] = _taken(name, value, source, Path(os.path.abspath(path)).parent)
    return given


def _flat(tables: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for group, table in tables.items():
        if group in _GROUPS and isinstance(table, Mapping):
            yield from ((f"{group}.{name}", value) for name, value in table.items())
        else:
            yield group, table


def _line(text: str, name: str) -> int | None:
    """The line of a setting written plainly, as `name = …` under `[group]` or as `group.name = …`."""
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([\w-]+)\s*\]", line):
            section = header[1] + "."
        elif (key := re.match(r"\s*([\w.-]+)\s*=", line)) and section + key[1] == name:
            return number
    return None


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    given: dict[str, _Given] = {}
    for variable in sorted(environ):
        if not variable.startswith("CONDUCTOR_"):
            continue
        source = f"environment {variable}"
        if variable in _ONE_UNDERSCORE:
            raise errors.Invalid(f"{variable} is no setting; did you mean {_ONE_UNDERSCORE[variable]}?")
        if variable not in _SPECIAL and "__" not in variable:
            continue  # Not a setting but CONDUCTOR_HOME, CONDUCTOR_TOKEN or another program's.
        name = _SPECIAL.get(variable) or _GENERAL[_known(variable, _GENERAL, "environment")]
        # Compose files and unit files hand over an empty value for what is not set.
        if not (value := environ[variable]):
            continue
        several = get_origin(_FIELDS[name].annotation) is tuple
        parted = [part.strip() for part in value.split(",") if part.strip()] if several else value
        taken = _taken(name, parted, source, Path.cwd())
        if name in given and given[name].value != taken.value:
            raise errors.Invalid(f"{name} is set twice, by {given[name].source} and {source}: unset one of them.")
        given[name] = taken
    return given


def _known(name: str, names: Mapping[str, object], source: str) -> str:
    if name in names:
        return name
    by_small = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), by_small, n=1, cutoff=0.5)
    hint = f"did you mean {by_small[near[0]]}?" if near else "docs/configuration.md lists all."
    raise errors.Invalid(f"{name} ({source}) is no setting; {hint}")


def _taken(name: str, value: object, source: str, folder: Path) -> _Given:
    """A value before its check: paths made absolute, for the daemon leaves the folder it was started in."""
    kind = _FIELDS[name].annotation
    if isinstance(value, bool) and kind is not bool:
        raise errors.Invalid(f"{name} is {str(value).lower()} ({source}): it must not be true or false.")
    if kind == Path | None and isinstance(value, str | Path):
        # The value is not repeated: an address may carry a password.
        if "://" in str(value) or not str(value):
            raise errors.Invalid(
                f"{name} ({source}) must be the path of a file; a PostgreSQL address goes to CONDUCTOR_DATABASE_URL."
            )
        return _Given(Path(os.path.abspath(folder / os.path.expanduser(value))), source)
    return _Given(value, source)


def _sentence(error: ErrorDetails, given: Mapping[str, _Given]) -> str:
    def told(name: str) -> str:
        one = given.get(name) or _Given(_FIELDS[name].default, "default")
        return f"{name} is {_text(name, one.value)} ({one.source})"

    if error["type"] == "value_error":
        reason = str(error["ctx"]["error"])
    else:
        reason = error["msg"].replace("Input should be", "it must be").replace("String should", "it should")
    name = ".".join(str(part) for part in error["loc"][:2])
    if name in _FIELDS:
        return f"{told(name)}: {reason}."
    concerned = [told(known) for known in _FIELDS if re.search(rf"\b{re.escape(known)}\b", reason)]
    return f"{reason} ({'; '.join(concerned)})."


def _is_secret(name: str) -> bool:
    return SecretStr in get_args(_FIELDS[name].annotation)


def _text(name: str, value: object) -> str:
    if value is None or value == ():
        return "none"
    if _is_secret(name):
        return _HIDDEN
    match value:
        case bool():
            text = str(value).lower()
        case float():
            text = f"{value:g}"
        case list() | tuple():
            text = ", ".join(str(part) for part in value)
        case _:
            text = str(value)
    return text if len(text) <= _SHOWN_AT_MOST else text[:_SHOWN_AT_MOST] + "…"


def _allowed(info: FieldInfo) -> str:
    if get_origin(info.annotation) is Literal:
        return ", ".join(get_args(info.annotation))
    if info.annotation is bool:
        return "true, false"
    least = next((bound for rule in info.metadata if (bound := getattr(rule, "ge", None)) is not None), None)
    most = next((bound for rule in info.metadata if (bound := getattr(rule, "le", None)) is not None), None)
    return "" if least is None else f"{least} to {most}"


_REFERENCE_HEAD = """# Configuration

Made from `conductor/setting_groups.py` by `conductor.settings.reference_markdown()`; a test holds the two equal.

Nothing need be set. A flag beats the environment, the environment beats the file, the file beats the default. The file
is `conductor.toml` in the home folder, or the one that `CONDUCTOR_CONFIG` names; `configs/conductor.toml` in the
repository shows every setting. `conductor config` prints each value and where it came from.

Every setting can be given as `CONDUCTOR_<GROUP>__<NAME>`, two underscores between; the table shows the shorter name
where there is one. An empty variable counts as not set. An unknown setting of a group stops the start. A relative
path counts from the current folder, in the file from the file's folder.

These variables are no settings but say where things are:

| environment | default | what |
|---|---|---|
| `CONDUCTOR_HOME` | `~/.conductor` | folder of the daemon: secrets, SQLite file, logs |
| `CONDUCTOR_CONFIG` | `conductor.toml` in the home | settings file |
| `CONDUCTOR_URL` | the running daemon's, from the home | daemon that clients talk to |
| `CONDUCTOR_TOKEN` | the owner's, from the home | token of a client |
| `CONDUCTOR_PROJECT` | | project that a client means |
"""

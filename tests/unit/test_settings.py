"""Settings: precedence, sources, and sentences that stop the start."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from conductor import settings
from conductor.domain import errors
from conductor.home import Home

REPOSITORY = Path(__file__).parents[2]
SECRET = "postgresql://conductor:hunter2@db.example.org/conductor"
NONE: Mapping[str, str] = {}


def test_nothing_need_be_set(tmp_path: Path) -> None:
    loaded = settings.load({}, NONE, home=tmp_path)

    assert loaded.settings.server.port == 8787
    assert set(loaded.sources.values()) == {"default"}


def test_the_file_beats_the_default_and_its_line_is_told(tmp_path: Path) -> None:
    (tmp_path / "conductor.toml").write_text("# mine\n\n[server]\nport = 1001\n")

    loaded = settings.load({}, NONE, home=tmp_path)

    assert loaded.settings.server.port == 1001
    assert loaded.sources["server.port"] == f"{tmp_path / 'conductor.toml'}:4"
    assert loaded.sources["server.host"] == "default"


def test_the_environment_beats_the_file(tmp_path: Path) -> None:
    (tmp_path / "conductor.toml").write_text("server.port = 1001")

    loaded = settings.load({}, {"CONDUCTOR_SERVER__PORT": "1002"}, home=tmp_path)

    assert loaded.settings.server.port == 1002
    assert loaded.sources["server.port"] == "environment CONDUCTOR_SERVER__PORT"


def test_the_environment_beats_the_default(tmp_path: Path) -> None:
    loaded = settings.load({}, {"CONDUCTOR_SERVER__BEHIND_PROXY": "true"}, home=tmp_path)

    assert loaded.settings.server.behind_proxy is True


def test_a_flag_beats_environment_file_and_default(tmp_path: Path) -> None:
    (tmp_path / "conductor.toml").write_text("[server]\nport = 1001\n[ray]\nobject_store_mb = 90\n")
    environ = {"CONDUCTOR_SERVER__PORT": "1002", "CONDUCTOR_BATCH__RETRIES": "1"}
    flags = {"server.port": 1003, "ray.object_store_mb": 91, "batch.retries": 2, "log.format": "text"}

    loaded = settings.load(flags, environ, home=tmp_path)

    tree = loaded.settings
    assert (tree.server.port, tree.ray.object_store_mb, tree.batch.retries, tree.log.format) == (1003, 91, 2, "text")
    assert {loaded.sources[name] for name in flags} == {"flag"}


def test_a_flag_not_given_leaves_the_next_source(tmp_path: Path) -> None:
    loaded = settings.load({"server.port": None}, {"CONDUCTOR_SERVER__PORT": "1002"}, home=tmp_path)

    assert loaded.settings.server.port == 1002


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    loaded = settings.load({}, {"CONDUCTOR_DATABASE_URL": "", "CONDUCTOR_SERVER__PORT": ""}, home=tmp_path)

    assert loaded.settings.storage.database_url is None
    assert loaded.sources["server.port"] == "default"


def test_a_list_in_the_environment_is_parted_by_commas(tmp_path: Path) -> None:
    environ = {"CONDUCTOR_SERVER__ALLOWED_HOSTS": "a.example.org, b.example.org,"}

    loaded = settings.load({}, environ, home=tmp_path)

    assert loaded.settings.server.allowed_hosts == ("a.example.org", "b.example.org")


def test_every_setting_can_be_given_by_the_environment(tmp_path: Path) -> None:
    shown = {one.name: one.value for one in settings.explain(settings.load({}, NONE, home=tmp_path))}
    examples = {name: value for name, value in shown.items() if value != "none"}
    environ = {"CONDUCTOR_" + name.replace(".", "__").upper(): value for name, value in examples.items()}

    loaded = settings.load({}, environ, home=tmp_path)

    assert {one.name: one.value for one in settings.explain(loaded)} == shown
    assert {name for name, source in loaded.sources.items() if source.startswith("environment")} == set(examples)


def test_a_config_file_that_was_named_is_read_instead_of_the_home_s(tmp_path: Path) -> None:
    (tmp_path / "conductor.toml").write_text("server.port = 1001")
    (tmp_path / "named.toml").write_text("server.port = 1002")
    (tmp_path / "flag.toml").write_text("server.port = 1003")
    environ = {"CONDUCTOR_CONFIG": str(tmp_path / "named.toml")}

    by_environment = settings.load({}, environ, home=tmp_path)
    by_flag = settings.load({}, environ, home=tmp_path, config=tmp_path / "flag.toml")

    assert by_environment.settings.server.port == 1002
    assert by_flag.settings.server.port == 1003


def test_the_database_is_in_the_home_unless_said_otherwise(tmp_path: Path) -> None:
    usual = settings.load({}, NONE, home=tmp_path)
    said = settings.load({}, {"CONDUCTOR_DB": str(tmp_path / "other.db")}, home=tmp_path)

    assert usual.settings.storage.db == Home(tmp_path).database
    assert said.settings.storage.db == tmp_path / "other.db"
    assert said.sources["storage.db"] == "environment CONDUCTOR_DB"


def test_a_relative_path_becomes_absolute_where_it_was_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "conductor.toml").write_text('prices.book = "prices.toml"')
    monkeypatch.chdir(tmp_path)

    loaded = settings.load({"storage.db": "here.db"}, NONE, home=tmp_path, config=folder / "conductor.toml")

    assert loaded.settings.storage.db == tmp_path / "here.db"
    assert loaded.settings.prices.book == folder / "prices.toml"


def test_special_names_reach_their_settings(tmp_path: Path) -> None:
    environ = {"CONDUCTOR_DATABASE_URL": SECRET, "CONDUCTOR_MIGRATION_URL": "postgres://o@h/d"}

    storage = settings.load({}, environ, home=tmp_path).settings.storage

    assert storage.database_url is not None
    assert storage.database_url.get_secret_value() == SECRET
    assert storage.migration_url is not None
    assert storage.migration_url.get_secret_value() == "postgresql://o@h/d"


def test_variables_that_are_no_settings_are_left_alone(tmp_path: Path) -> None:
    environ = {"CONDUCTOR_HOME": "/x", "CONDUCTOR_TOKEN": "cdr_usr_a_b", "CONDUCTOR_PROJECT": "p", "PATH": "/bin"}

    loaded = settings.load({}, environ, home=tmp_path)

    assert set(loaded.sources.values()) == {"default"}


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("CONDUCTOR_SERVER__PROT", "CONDUCTOR_SERVER__PORT"),
        ("CONDUCTOR_LEASE__LOST_AFTER_S", "CONDUCTOR_LEASES__LOST_AFTER_S"),
        ("CONDUCTOR_SERVER_PORT", "CONDUCTOR_SERVER__PORT"),
        ("CONDUCTOR_server__port", "CONDUCTOR_SERVER__PORT"),
    ],
)
def test_an_unknown_variable_stops_the_start_and_the_nearest_is_named(tmp_path: Path, variable: str, near: str) -> None:
    with pytest.raises(errors.Invalid, match=f"{variable}.* is no setting; did you mean {near}"):
        settings.load({}, {variable: "1"}, home=tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[server]\nprot = 1", "server.prot .*conductor.toml:2. is no setting; did you mean server.port"),
        ("[servr]\nport = 1", "servr .*is no setting"),
        ("server = 3", "server .*is no setting"),
        ("[server]\nport = true", "server.port is true .*conductor.toml:2.: it must not be true or false"),
        ("[server]\nport = [1]", "server.port is 1 .*it must be a valid integer"),
        ("[server]\nallowed_hosts = 'x'", "server.allowed_hosts is x .*it must be a valid tuple"),
        ("[server]\nport = ", "conductor.toml is not TOML: Invalid value"),
        ("[storage]\ndb = ''", "storage.db .*must be the path of a file"),
    ],
)
def test_a_wrong_file_stops_the_start_with_its_place(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "conductor.toml").write_text(text)

    with pytest.raises(errors.Invalid, match=sentence):
        settings.load({}, NONE, home=tmp_path)


def test_a_named_file_that_is_absent_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid, match=r"There is no settings file .*gone\.toml"):
        settings.load({}, {"CONDUCTOR_CONFIG": str(tmp_path / "gone.toml")}, home=tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("server.port", 65536, r"server.port is 65536 \(flag\): it must be less than or equal to 65535."),
        ("server.port", "many", "server.port is many .*valid integer"),
        ("ray.hosts", 65, "ray.hosts is 65 .*less than or equal to 64"),
        ("batch.linger_ms", 3.5, "batch.linger_ms is 3.5 .*less than or equal to 3"),
        ("batch.deadline_s", float("nan"), "batch.deadline_s is nan .*finite number"),
        ("leases.lost_after_s", 9, "leases.lost_after_s is 9 .*greater than or equal to 10"),
        ("log.format", "xml", "log.format is xml .*'json' or 'text'"),
        ("log.level", "loud", "log.level is loud"),
        ("server.nothing", 1, "server.nothing .* is no setting"),
    ],
)
def test_a_bad_value_is_told_with_setting_value_bound_and_source(
    tmp_path: Path, name: str, value: object, sentence: str
) -> None:
    with pytest.raises(errors.Invalid, match=sentence) as raised:
        settings.load({name: value}, NONE, home=tmp_path)

    assert raised.value.exit_code == 2


def test_all_wrong_settings_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid) as raised:
        settings.load({"server.port": -1}, {"CONDUCTOR_BATCH__RETRIES": "x"}, home=tmp_path)

    assert "server.port is -1 (flag)" in raised.value.message
    assert "batch.retries is x (environment CONDUCTOR_BATCH__RETRIES)" in raised.value.message


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (
            {"leases.late_after_s": 300},
            "leases.late_after_s must be below.*lost_after_s is 900 .default.*late_after_s is 300 .flag",
        ),
        ({"leases.critical_after_s": 900}, "that below leases.lost_after_s"),
        ({"tasks.backoff_s": 601}, "tasks.backoff_s must not be above tasks.backoff_max_s"),
        ({"server.tls_cert": "/c.pem"}, "server.tls_cert and server.tls_key belong together"),
        ({"server.tls_key": "/k.pem"}, "server.tls_cert and server.tls_key belong together"),
        ({"ray.hosts": 2}, "ray.hosts must be 1 on SQLite.*CONDUCTOR_DATABASE_URL"),
    ],
)
def test_settings_that_do_not_go_together_stop_the_start(
    tmp_path: Path, flags: Mapping[str, object], sentence: str
) -> None:
    with pytest.raises(errors.Invalid, match=sentence):
        settings.load(flags, NONE, home=tmp_path)


def test_more_hosts_go_with_postgresql(tmp_path: Path) -> None:
    loaded = settings.load({"ray.hosts": 2}, {"CONDUCTOR_DATABASE_URL": SECRET}, home=tmp_path)

    assert loaded.settings.ray.hosts == 2


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "conductor.example.org", "127.0.0.1.example.org"])
def test_an_open_host_without_tls_or_proxy_is_refused_with_both_remedies(tmp_path: Path, host: str) -> None:
    with pytest.raises(errors.Invalid, match=r"--tls-cert FILE --tls-key FILE, or --behind-proxy") as raised:
        settings.load({"server.host": host}, NONE, home=tmp_path)

    assert f"server.host is {host} (flag)" in raised.value.message


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_neither_tls_nor_proxy(tmp_path: Path, host: str) -> None:
    assert settings.load({"server.host": host}, NONE, home=tmp_path).settings.server.host == host


@pytest.mark.parametrize(
    "remedy", [{"server.behind_proxy": True}, {"server.tls_cert": "/c.pem", "server.tls_key": "/k.pem"}]
)
def test_each_remedy_opens_a_host(tmp_path: Path, remedy: Mapping[str, object]) -> None:
    loaded = settings.load({"server.host": "0.0.0.0", **remedy}, NONE, home=tmp_path)

    assert loaded.settings.server.host == "0.0.0.0"


@pytest.mark.parametrize("url", ["sqlite:///x-hunter2.db", "mysql://u:hunter2@h/d", "hunter2", "postgresql:hunter2"])
def test_a_database_that_is_not_postgresql_is_refused_without_showing_the_address(tmp_path: Path, url: str) -> None:
    with pytest.raises(errors.Invalid, match=r"must begin with postgresql://; .* goes to CONDUCTOR_DB") as raised:
        settings.load({}, {"CONDUCTOR_DATABASE_URL": url}, home=tmp_path)

    assert "hunter2" not in raised.value.message
    assert "storage.database_url is ********" in raised.value.message


def test_an_address_where_a_path_belongs_is_refused_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid, match="goes to CONDUCTOR_DATABASE_URL") as raised:
        settings.load({}, {"CONDUCTOR_DB": SECRET}, home=tmp_path)

    assert "hunter2" not in raised.value.message


def test_one_setting_by_two_variables_is_refused_unless_they_agree(tmp_path: Path) -> None:
    twice = {"CONDUCTOR_DB": "/a.db", "CONDUCTOR_STORAGE__DB": "/b.db"}

    with pytest.raises(
        errors.Invalid, match="set twice, by environment CONDUCTOR_DB and environment CONDUCTOR_STORAGE"
    ):
        settings.load({}, twice, home=tmp_path)

    assert settings.load({}, dict.fromkeys(twice, "/a.db"), home=tmp_path).settings.storage.db == Path("/a.db")


def test_explain_hides_secrets_and_shows_the_rest_with_its_source(tmp_path: Path) -> None:
    loaded = settings.load({"server.port": 0}, {"CONDUCTOR_DATABASE_URL": SECRET}, home=tmp_path)

    shown = {name: (value, source) for name, value, source in settings.explain(loaded)}

    assert shown["server.port"] == ("0", "flag")
    assert shown["server.behind_proxy"] == ("false", "default")
    assert shown["storage.database_url"] == ("********", "environment CONDUCTOR_DATABASE_URL")
    assert shown["storage.migration_url"] == ("none", "default")
    assert "hunter2" not in repr(loaded)


def test_the_tree_is_frozen_and_closed() -> None:
    tree = settings.Settings()

    with pytest.raises(ValidationError):
        tree.server.port = 1  # type: ignore[misc]  # What is tested is that this fails.
    with pytest.raises(ValidationError):
        settings.Server.model_validate({"prot": 1})


def test_every_setting_is_described_and_every_number_has_bounds() -> None:
    rows = [line.split(" | ") for line in settings.reference_markdown().splitlines() if re.match(r"\| `\w+\.", line)]

    undescribed = [row[0] for row in rows if len(row[4].strip(" |")) < 20]
    unbound = [row[0] for row in rows if row[2].strip("`").isdigit() and " to " not in row[3]]

    assert len(rows) == len(settings.load({}, NONE, home=Path("/")).sources)
    assert not undescribed
    assert not unbound


def test_the_reference_page_is_the_generated_one() -> None:
    page = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")

    assert page == settings.reference_markdown(), (
        "write it anew: python -c 'from conductor import settings; print(settings.reference_markdown(), end=\"\")' "
        "> docs/configuration.md"
    )


def test_the_example_file_shows_every_setting_with_its_default() -> None:
    text = (REPOSITORY / "configs" / "conductor.toml").read_text(encoding="utf-8")
    opened = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    example = {f"{group}.{name}": value for group, table in opened.items() for name, value in table.items()}

    loaded = settings.load({}, NONE, home=Path("/"))

    tree = loaded.settings.model_dump(mode="json")
    defaults = {f"{group}.{name}": value for group, table in tree.items() for name, value in table.items()}
    assert list(example) == list(loaded.sources)
    differing = {name for name in defaults if defaults[name] is not None and example[name] != defaults[name]}
    assert differing == {"storage.db"}  # Relative there, made absolute here.
    assert not any(tomllib.loads(text).values())

"""What is made from the catalogue is up to date, and says what the catalogue says."""

import subprocess
import sys
from pathlib import Path

import pytest

from conductor.cli import reference
from conductor.client import fields
from conductor.client.fields import Kind
from conductor.domain import errors
from conductor.operations.audit import ListEvents, LogAction
from conductor.operations.catalogue import CATALOGUE
from conductor.operations.locks import AcquireLock
from conductor.operations.tasks import ClaimedTask, CreateTask

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("name", reference.files())
def test_the_generated_file_is_up_to_date(name: str) -> None:
    written = (REPOSITORY / name).read_text(encoding="utf-8")

    assert written == reference.files()[name], "run `conductor reference` in the repository"


def test_the_page_names_each_operation_on_each_face() -> None:
    page = reference.operations_markdown()

    for row in CATALOGUE.values():
        assert f"\n## {row.name}\n\n{row.description}\n" in page
        assert f"`{row.tool}`" in page
        assert f"`POST /v1/{row.name}`" in page
        assert f"`conductor {' '.join(row.command)}" in page


def test_every_link_of_the_page_leads_somewhere() -> None:
    page = reference.operations_markdown()
    heads = {line.lstrip("#").strip().lower() for line in page.splitlines() if line.startswith("#")}

    links = {part.split(")")[0] for part in page.split("](#")[1:]}

    assert links <= heads


def test_every_error_is_on_the_page() -> None:
    page = reference.operations_markdown()
    raised = {kind for row in CATALOGUE.values() for kind in row.raises}

    for kind in raised:
        assert f"| `{kind.code}` | {kind.http} | {kind.exit_code} |" in page


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "conductor" / "client").mkdir(parents=True)
    (tmp_path / "conductor" / "operations").mkdir()
    (tmp_path / "conductor" / "operations" / "catalogue.py").touch()

    first, second = reference.write(tmp_path), reference.write(tmp_path)

    assert [str(path.relative_to(tmp_path)) for path in first] == list(reference.files())
    assert second == []


def test_it_writes_only_into_a_checkout(tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid, match="not a checkout"):
        reference.write(tmp_path)


def test_a_stale_client_does_not_keep_the_generator_from_running() -> None:
    lines = "import sys; import conductor.client.source; print('conductor.client.typed_async' in sys.modules)"

    said = subprocess.run(
        [sys.executable, "-c", lines], capture_output=True, text=True, check=True, cwd=REPOSITORY
    ).stdout

    assert said.strip() == "False"


def test_fields_are_read_with_kind_bounds_and_default() -> None:
    seen = {field.name: field for field in fields.of(AcquireLock)}

    assert (seen["paths"].many, seen["paths"].is_required, seen["paths"].kinds) == (True, True, (Kind.TEXT,))
    assert seen["paths"].bounds == "1 to 64 items, 1 to 1024 characters"
    assert (seen["ttl_s"].least, seen["ttl_s"].most, seen["ttl_s"].default) == (10, 86_400, 900)
    assert (seen["mode"].words, seen["mode"].default) == (("exclusive", "shared"), "exclusive")


def test_fields_of_several_kinds_mappings_amounts_and_objects_are_told_apart() -> None:
    since = next(field for field in fields.of(ListEvents) if field.name == "since")
    metadata = next(field for field in fields.of(LogAction) if field.name == "metadata")
    cost = next(field for field in fields.of(CreateTask) if field.name == "estimated_cost_usd")
    locks = next(field for field in fields.of(ClaimedTask) if field.name == "locks")

    assert since.kinds == (Kind.INTEGER, Kind.TIME)
    assert (metadata.kinds, Kind.FLAG in metadata.values) == ((Kind.MAPPING,), True)
    assert cost.kinds == (Kind.AMOUNT,)
    assert (locks.shape, locks.many, "expires_at" in {part.name for part in locks.parts}) == ("Lock", True, True)

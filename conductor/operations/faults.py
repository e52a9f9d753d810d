"""The one shape of an error on every face."""

from typing import Any

from pydantic import Field

from conductor.domain import errors
from conductor.operations.agents import NextCall
from conductor.operations.row import Wire


class Fault(Wire):
    """What went wrong: `{code, message, retryable, facts, next, wait_s?}`; next names only tools the caller has."""

    code: str
    message: str
    retryable: bool
    facts: dict[str, Any]
    next: list[NextCall]
    wait_s: float | None = Field(default=None)

    @property
    def http(self) -> int:
        """The status on the REST face."""
        return errors.BY_CODE[self.code].http

    @property
    def exit_code(self) -> int:
        """The exit code of the command line."""
        return errors.BY_CODE[self.code].exit_code

    def line(self) -> str:
        """Say it in one line."""
        return f"{self.code}: {self.message}"


def fault_of(error: errors.ConductorError) -> Fault:
    """Put an error into the wire's form."""
    return Fault(
        code=error.code,
        message=error.message,
        retryable=error.retryable,
        facts=dict(error.facts),
        next=[NextCall(tool=step.tool, args=dict(step.args), because=step.because) for step in error.next],
        wait_s=error.wait_s,
    )

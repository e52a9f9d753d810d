"""Messages and checkpoints as they look from outside."""

from __future__ import annotations

from conductor.domain import checkpoints, messages
from conductor.operations import checkpoints as checkpoint_ops
from conductor.operations import messages as ops
from storage.messages import Reach

SHOWN_CHARACTERS = 200
"""A text in a list is cut here, unless whole texts are asked for."""


def message(record: messages.Message, *, whole: bool = True) -> ops.Message:
    """Show a message."""
    return ops.Message(**_fields(record) | {"text": record.text if whole else shortened(record.text)})


def message_seen(record: messages.Message, reach: Reach, *, whole: bool) -> ops.MessageSeen:
    """Show a message in a list, with how far it has come."""
    fields = _fields(record)
    return ops.MessageSeen(
        **fields | {"text": record.text if whole else shortened(record.text)},
        recipients=reach.recipients,
        delivered=reach.delivered,
        acknowledged=reach.acknowledged,
    )


def saved(record: checkpoints.Checkpoint) -> checkpoint_ops.SavedCheckpoint:
    """Tell an agent what was saved, without what it has just said itself."""
    return checkpoint_ops.SavedCheckpoint(
        id=record.id,
        task_id=record.task_id,
        attempt=record.attempt,
        locks=list(record.locks),
        made_at=record.made_at,
        expires_at=record.expires_at,
    )


def checkpoint(record: checkpoints.Checkpoint, *, whole: bool = True) -> checkpoint_ops.Checkpoint:
    """Show a checkpoint."""
    return checkpoint_ops.Checkpoint(
        id=record.id,
        agent_id=record.agent_id,
        task_id=record.task_id,
        attempt=record.attempt,
        summary=record.summary if whole else shortened(record.summary),
        next_steps=list(record.next_steps),
        state=dict(record.state),
        files=list(record.files),
        locks=list(record.locks),
        automatic=record.is_automatic,
        made_at=record.made_at,
        expires_at=record.expires_at,
    )


def shortened(text: str) -> str:
    """Cut a text for a list; what was cut shows."""
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1].rstrip() + "…"


def _fields(record: messages.Message) -> dict[str, object]:
    return {
        "id": record.id,
        "thread_id": record.thread_id,
        "sender": record.sender,
        "to": record.audience,
        "subject": record.subject,
        "text": record.text,
        "attachments": list(record.attachments),
        "urgent": record.is_urgent,
        "sent_at": record.sent_at,
        "reply_to": record.reply_to,
    }

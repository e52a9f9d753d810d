"""Reads of messages and checkpoints."""

from __future__ import annotations

from actors import mail_views
from actors.reading.read import Read
from conductor.domain.access import Role
from conductor.operations import checkpoints as checkpoint_ops
from conductor.operations import messages as ops
from conductor.operations.words import Detail
from storage.messages import MessageFilter, Reach


def list_messages(request: ops.ListMessages, read: Read) -> ops.MessagePage:
    """List messages, the newest first: people and leads see all of the project, other agents what they sent or got."""
    sees_all = read.caller.agent_name is None or read.caller.role is Role.LEAD
    wanted = MessageFilter(
        seen_by=None if sees_all else read.caller.agent_name,
        thread_id=request.thread_id,
        of_agent=request.agent_id,
        text=request.text,
        unacknowledged=request.unacknowledged,
        since=request.since,
    )
    page = read.tx.messages.page(read.project_id, wanted, limit=request.limit, cursor=request.cursor)
    reach = read.tx.messages.reach([message.id for message in page.items])
    whole = request.detail is Detail.FULL
    items = [mail_views.message_seen(each, reach.get(each.id, Reach()), whole=whole) for each in page.items]
    return ops.MessagePage(items=items, next_cursor=page.next_cursor)


def list_checkpoints(request: checkpoint_ops.ListCheckpoints, read: Read) -> checkpoint_ops.CheckpointPage:
    """List checkpoints whose time is not over, the newest first."""
    page = read.tx.checkpoints.page(
        read.project_id,
        task_id=request.task_id,
        agent_id=request.agent_id,
        limit=request.limit,
        cursor=request.cursor,
    )
    whole = request.detail is Detail.FULL
    items = [mail_views.checkpoint(each, whole=whole) for each in page.items]
    return checkpoint_ops.CheckpointPage(items=items, next_cursor=page.next_cursor)

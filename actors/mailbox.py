"""The mail of a project: what was sent to whom, given to each agent once and in order.

A message and its deliveries are one commit, and so are reading and the mark that it was read. Who waits for mail is
woken by the bell that a sent message rings; nothing waits here.
"""

from __future__ import annotations

from actors import bells, mail_views
from actors.call import Call
from actors.roster import Roster
from conductor.domain import errors, ids, messages
from conductor.domain.access import Role
from conductor.domain.errors import NextStep
from conductor.domain.messages import Delivery, Message
from conductor.operations import messages as ops
from storage.unit_of_work import UnitOfWork


class Mailbox:
    """Keeps the messages of a project. It remembers only how many undelivered ones wait for each agent."""

    def __init__(self, project_id: str, roster: Roster) -> None:
        self._project_id = project_id
        self._roster = roster
        self._unread: dict[str, int] | None = None

    def send(self, request: ops.SendMessage, call: Call) -> ops.SentMessage:
        """Send a message to those whom its address means now."""
        tx, sender = call.tx, call.caller.agent_name
        audience = messages.audience_of(request.to)
        answered = self._visible(request.reply_to, call) if request.reply_to is not None else None
        here = [(agent.agent_id, agent.role) for agent in self._roster.all()]
        meant = messages.recipients(audience, here, sender)
        if not meant and audience != messages.PEOPLE:
            raise self._nobody(audience)
        unread = self._counted(tx)
        reached = [name for name in meant if unread.get(name, 0) < messages.MOST_UNREAD]
        if meant and not reached:
            raise errors.RateLimited(
                f"{messages.MOST_UNREAD} messages wait unread for {', '.join(meant[:8])}. Nothing was sent: wait until "
                "they are read, or ask a person to look.",
                facts={"agents": meant[:20], "unread": messages.MOST_UNREAD},
                wait_s=60.0,
            )
        message_id = tx.make_id(ids.Kind.MESSAGE)
        message = Message(
            id=message_id,
            project_id=self._project_id,
            thread_id=answered.thread_id if answered is not None else message_id,
            sender=call.caller.actor,
            sender_agent=sender,
            audience=audience,
            subject=request.subject,
            text=request.text,
            attachments=tuple(request.attachments),
            is_urgent=request.urgent,
            sent_at=call.now,
            reply_to=request.reply_to,
        )
        tx.messages.send(message, reached)
        for name in reached:
            unread[name] = unread.get(name, 0) + 1
        self._tell(message, reached, call)
        skipped = sorted(set(meant) - set(reached))
        return ops.SentMessage(message=mail_views.message(message, whole=False), recipients=reached, skipped=skipped)

    def read(self, name: str, request: ops.ReadMessages, call: Call) -> ops.Mail:
        """Take an agent's acknowledgements, then give it what it was not given yet."""
        tx, project_id = call.tx, self._project_id
        acknowledged = self._acknowledged(name, request.acknowledge, tx)
        found = [] if request.unacknowledged else tx.messages.undelivered(project_id, name, request.limit + 1)
        tx.messages.acknowledge(acknowledged, call.now)
        if request.unacknowledged:
            found = tx.messages.unacknowledged(project_id, name, request.limit + 1)
        given = found[: request.limit]
        if not request.unacknowledged and given:
            unread = self._counted(tx)
            tx.messages.deliver([delivery for delivery, _ in given], call.now)
            unread[name] = max(unread.get(name, 0) - len(given), 0)
        # What was read already does not become more by waiting.
        call.waits = not given and request.wait_s > 0 and not request.unacknowledged
        return ops.Mail(items=[mail_views.message(message) for _, message in given], more=len(found) > request.limit)

    def _acknowledged(self, name: str, message_ids: list[str], tx: UnitOfWork) -> list[Delivery]:
        given = tx.messages.given(self._project_id, name, message_ids)
        unknown = sorted(set(message_ids) - {delivery.message_id for delivery in given})
        if unknown:
            raise errors.NotFound(
                f"{', '.join(unknown[:8])}: you were given no such message. Nothing was acknowledged and nothing read: "
                "take the ids from read_messages, where unacknowledged shows those that wait for you.",
                facts={"acknowledge": unknown[:20]},
                next=[NextStep("read_messages", {"unacknowledged": True}, "see what you have not acknowledged")],
            )
        return [delivery for delivery in given if delivery.acknowledged_at is None]

    def _visible(self, message_id: str, call: Call) -> Message:
        """Find the message that is answered: one that the caller sent or got; people and leads see all."""
        found = call.tx.messages.get(message_id) if ids.is_id(message_id, ids.Kind.MESSAGE) else None
        name = call.caller.agent_name
        is_seen = (
            found is not None
            and found.project_id == self._project_id
            and (name is None or call.caller.role is Role.LEAD or found.sender_agent == name
                 or call.tx.messages.was_sent_to(found, name))
        )  # fmt: skip
        if found is None or not is_seen:
            raise errors.NotFound(
                f"No message {message_id} here. Find the id with list_messages, or leave reply_to out.",
                facts={"reply_to": message_id},
                next=[NextStep("list_messages", {}, "find the id")],
            )
        return found

    def _nobody(self, audience: str) -> errors.NotFound:
        kind, _, wanted = audience.partition(":")
        match kind:
            case "agent":
                told = f"No agent {wanted} in this project"
            case "role":
                told = f"No other agent of this project is {wanted}"
            case _:
                told = "There is no other agent in this project"
        return errors.NotFound(
            f"{told}. Nothing was sent: see who is here with list_agents.",
            facts={"to": audience},
            next=[NextStep("list_agents", {}, "see who is here")],
        )

    def _tell(self, message: Message, recipients: list[str], call: Call) -> None:
        organization_id = call.tx.organization_id
        call.wakes += [bells.mail_bell(organization_id, self._project_id, name) for name in recipients]
        if not message.is_urgent:
            return
        notice = messages.urgent_notice(message.sender_agent or message.sender, message.text)
        call.tx.notices.leave_all(self._project_id, recipients, messages.URGENT, notice)
        call.wakes += [bells.urgent_bell(organization_id, self._project_id, name) for name in recipients]

    def _counted(self, tx: UnitOfWork) -> dict[str, int]:
        if self._unread is None:
            self._unread = tx.messages.unread(self._project_id)
        return self._unread

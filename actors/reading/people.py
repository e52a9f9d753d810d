"""Reads of who is there: agents, requests for access, members, tokens, the caller itself."""

from __future__ import annotations

from actors import views
from actors.reading.read import Read
from conductor.domain import errors, pauses
from conductor.domain.access import Role
from conductor.domain.agents import AccessRequest, AgentStatus, RequestStatus
from conductor.domain.organizations import ProjectSettings
from conductor.operations import access as access_ops
from conductor.operations import admin as ops
from conductor.operations import agents as agent_ops
from storage import pages
from storage.columns import to_micros

READ_AT_ONCE = 200
"""What is judged after it was read is read in pages of this size: a caller's limit of 1 must not cost a query a row."""


def list_agents(request: agent_ops.ListAgents, read: Read) -> agent_ops.AgentPage:
    """List agents by name."""
    project = read.tx.projects.get(read.project_id)
    chosen = project.settings if project is not None else ProjectSettings()
    spent = read.tx.costs.spent_today(read.project_id)
    standing = [pause for pause in read.tx.pauses.of_organization() if pause.project_id in ("", read.project_id)]
    # Whether an agent is paused is no part of its row: where anything stands still, the status is judged as well.
    stored = [] if standing or AgentStatus.PAUSED in request.status else request.status
    found: list[agent_ops.Agent] = []
    cursor = request.cursor
    # Health is judged, not stored: pages are read on until enough agents fit the filter.
    while True:
        page = read.tx.agents.page(read.project_id, status=stored, limit=READ_AT_ONCE, cursor=cursor)
        for agent in page.items:
            health = read.health(agent, chosen)
            if request.health and health not in request.health:
                continue
            pause = pauses.bearing(standing, read.project_id, agent.agent_id)
            shown = views.agent(agent, health, spent.get(agent.agent_id, 0), pause)
            if request.status and shown.status not in request.status:
                continue
            if request.capability is not None and request.capability not in agent.capabilities:
                continue
            if len(found) == request.limit:
                return agent_ops.AgentPage(items=found, next_cursor=pages.encode((found[-1].agent_id,)))
            found.append(shown)
        cursor = page.next_cursor
        if cursor is None:
            return agent_ops.AgentPage(items=found)


def list_sessions(request: agent_ops.ListSessions, read: Read) -> agent_ops.SessionPage:
    """List the sessions of a project's agents."""
    page = read.tx.sessions.page(
        read.project_id, agent_id=request.agent_id, limit=request.limit, cursor=request.cursor
    ).map(views.session)
    return agent_ops.SessionPage(items=page.items, next_cursor=page.next_cursor)


def list_access_requests(request: access_ops.ListAccessRequests, read: Read) -> access_ops.AccessRequestPage:
    """List requests for access, the oldest first."""
    _require_reviewer(read)
    wanted = set(request.status) or set(RequestStatus)
    stored = wanted | ({RequestStatus.PENDING} if RequestStatus.EXPIRED in wanted else set())
    found: list[AccessRequest] = []
    cursor = request.cursor
    # That a request has expired is judged, not stored: pages are read on until enough requests fit the filter.
    while True:
        page = read.tx.access_requests.page(read.project_id, status=sorted(stored), limit=READ_AT_ONCE, cursor=cursor)
        found += [item for item in page.items if _present(item, read) in wanted]
        cursor = page.next_cursor
        if cursor is None or len(found) > request.limit:
            break
    shown = pages.cut(found, request.limit, lambda item: (to_micros(item.requested_at), item.id))
    items = [
        views.access_request(item, _present(item, read), replaces_agent=_replaces(item, read)) for item in shown.items
    ]
    return access_ops.AccessRequestPage(items=items, next_cursor=shown.next_cursor)


def list_members(request: ops.ListMembers, read: Read) -> ops.MemberPage:
    """List the people of the organisation."""
    page = read.tx.organizations.members(limit=request.limit, cursor=request.cursor).map(views.member)
    return ops.MemberPage(items=page.items, next_cursor=page.next_cursor)


def list_tokens(request: ops.ListTokens, read: Read) -> ops.TokenPage:
    """List tokens, the newest first."""
    page = read.tx.tokens.page(limit=request.limit, cursor=request.cursor).map(views.token)
    return ops.TokenPage(items=page.items, next_cursor=page.next_cursor)


def whoami(request: ops.WhoAmI, read: Read) -> ops.Identity:
    """Say who the server takes the caller for."""
    caller = read.caller
    return ops.Identity(
        kind=caller.kind,
        organization_id=caller.organization_id,
        project_id=caller.project_id,
        role=caller.role,
        agent_id=caller.agent_name,
        member_id=caller.member_id,
        expires_at=caller.expires_at,
    )


def _require_reviewer(read: Read) -> None:
    if read.caller.role is not Role.LEAD:
        return
    project = read.tx.projects.get(read.project_id)
    if project is None or not project.settings.leads_approve:
        raise errors.Forbidden(
            "In this project people from admin up decide on access: a lead may when settings.leads_approve is on.",
            facts={"role": read.caller.role.value, "setting": "leads_approve"},
        )


def _replaces(request: AccessRequest, read: Read) -> bool:
    """Tell whether its approval would give the name of an agent to somebody else."""
    if _present(request, read) is not RequestStatus.PENDING or request.requested_by == f"agent:{request.agent_id}":
        return False
    return read.tx.agents.get(read.project_id, request.agent_id) is not None


def _present(request: AccessRequest, read: Read) -> RequestStatus:
    is_over = request.status is RequestStatus.PENDING and request.expires_at <= read.now
    return RequestStatus.EXPIRED if is_over else request.status

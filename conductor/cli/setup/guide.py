"""What the instruction files say to every agent that reads them: the same for all, so that they can be committed."""

TEXT = """## Working with others: Conductor

Other agents work in this repository at the same time. Conductor gives out tasks and leases files, through the MCP
server `conductor` (tools `conductor_*`) or the command line (`conductor --help`).

- Begin with `conductor_start_session`: it tells your task, your locks, your messages and what to do next.
- Take work with `conductor_claim_task`; the files of the task are leased to you with it.
- Lease every other file before you edit it: `conductor_acquire_lock`. An edit of a file that another agent holds is
  refused, with its holder and what to do instead: wait with `wait_s`, or take another task.
- Do not go around a refusal with the shell or `--no-verify`: what is pushed is judged once more where it is received.
- Finish with `conductor_complete_task`; release what you hold beside the task with `conductor_release_lock`.
"""

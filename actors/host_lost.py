"""How a call to a host can go wrong, in words that need no Ray.

A host is another process: it can die under a call, and then nobody knows whether the call had its effect. That is
HostLost, and it is answered by the same call again with the same idempotency key. HostFailed is the host's own
exception, which a repetition would only raise again. Must never import ray.
"""

from __future__ import annotations


class HostLost(Exception):
    """The host went away before it answered: the call may or may not have happened. Repeat it with the same key.

    host: the name given at spawn. text: what Ray said, for the log.
    """

    def __init__(self, host: str, text: str) -> None:
        super().__init__(f"host {host} went away before it answered: {text}")
        self.host = host
        self.text = text


class HostFailed(Exception):
    """The host's code raised: in the call, or in its constructor, so that it never began. Mend the cause.

    host: the name given at spawn. kind: class name of what was raised. text: its message. trace: where, for the log.
    """

    def __init__(self, host: str, kind: str, text: str, trace: str) -> None:
        super().__init__(f"host {host} raised {kind}: {text}")
        self.host = host
        self.kind = kind
        self.text = text
        self.trace = trace

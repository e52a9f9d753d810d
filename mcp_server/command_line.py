"""What `conductord` and `conductor up` take: flags that outrank the environment and the configuration file."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path


def parse(arguments: Sequence[str], version: str) -> tuple[Mapping[str, object], argparse.Namespace]:
    """Read the arguments: settings by their dotted names (None: not given), and the rest."""
    parser = argparse.ArgumentParser(
        prog="conductord", description="The Conductor daemon: serves agents and people until it is stopped."
    )
    parser.add_argument("--home", type=Path, help="state folder (default: CONDUCTOR_HOME, else ~/.conductor)")
    parser.add_argument("--config", type=Path, help="configuration file (default: conductor.toml in the home)")
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default 8787; 0: any free one)")
    parser.add_argument("--tls-cert", type=Path, help="certificate file, PEM, with its chain")
    parser.add_argument("--tls-key", type=Path, help="the certificate's private key file, PEM")
    parser.add_argument(
        "--behind-proxy",
        action="store_true",
        default=None,
        help="a proxy before the daemon speaks TLS: allow plain HTTP on an address that is not loopback",
    )
    parser.add_argument(
        "--new-owner-token",
        action="store_true",
        help="end the owner's tokens, write a new one to owner.token, and start",
    )
    parser.add_argument("--version", action="version", version=f"conductord {version}")
    given = parser.parse_args(list(arguments))
    flags = {
        "server.host": given.host,
        "server.port": given.port,
        "server.tls_cert": given.tls_cert,
        "server.tls_key": given.tls_key,
        "server.behind_proxy": given.behind_proxy,
    }
    return flags, given

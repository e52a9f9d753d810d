"""How a token is kept: an HMAC under the installation's pepper, never the token itself.

A stolen database alone lets nobody in and cannot be searched by guessing: the pepper lies in a file beside it. A
token carries 260 random bits, so one round is enough and a slow hash would only slow down every call.
"""

from __future__ import annotations

import hmac


def token_hash(pepper: bytes, text: str) -> str:
    """Hash the whole text of a token, `cdr_<kind>_<key id>_<secret>`, to 64 hexadecimal digits.

    pepper: the installation's 32 secret bytes.
    """
    return hmac.digest(pepper, text.encode(), "sha256").hex()


def matches(pepper: bytes, text: str, kept: str) -> bool:
    """Tell whether a text is the token that was kept; takes the same time wherever the two part."""
    return hmac.compare_digest(token_hash(pepper, text), kept)

"""The few options of a quick command: `argparse` would cost more time than the command."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from conductor.domain import errors


def parsed(
    arguments: Sequence[str], valued: Collection[str], switches: Collection[str] = ()
) -> tuple[list[str], dict[str, str]]:
    """Part a command line into its words and its options: `--name value`, `--name=value` or `--switch`.

    valued, switches: their names without dashes. Raises Invalid.
    """
    words: list[str] = []
    options: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            words.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        if name in switches and not equals:
            options[name] = "1"
        elif name not in valued:
            known = ", ".join(f"--{each}" for each in [*valued, *switches])
            raise errors.Invalid(f"There is no option {word.partition('=')[0]} here; there are: {known}.")
        elif not equals and not rest:
            raise errors.Invalid(f"{word} needs a value.")
        else:
            options[name] = value if equals else rest.pop(0)
    return words, options

"""Completion scripts for shells, from the parser's own commands and options."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

BASH = """\
# eval "$(hefu completion bash)" in ~/.bashrc
_hefu() {{
    local words
    case "${{COMP_WORDS[1]}}" in
{cases}
        *) words="{commands}" ;;
    esac
    [ "$COMP_CWORD" -eq 1 ] && words="{commands}"
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _hefu hefu
"""

ZSH = """\
# eval "$(hefu completion zsh)" in ~/.zshrc, after compinit
autoload -U +X bashcompinit && bashcompinit
"""


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """What the shell is to evaluate; `shell` is one of bash, zsh and fish."""
    commands = dict(_commands(parser))
    if shell == "fish":
        return "".join(_fish(commands))
    cases = "\n".join(
        f'        {name}) words="{" ".join(_options(command))}" ;;'
        for name, command in commands.items()
    )
    bash = BASH.format(cases=cases, commands=" ".join(commands))
    return ZSH + bash.partition("\n")[2] if shell == "zsh" else bash


def _commands(
    parser: argparse.ArgumentParser,
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _options(command: argparse.ArgumentParser) -> list[str]:
    """Each option, and each of the words that one may be given."""
    words: list[str] = []
    for action in command._actions:
        words.extend(word for word in action.option_strings if word.startswith("--"))
        words.extend(str(choice) for choice in action.choices or ())
    return words


def _fish(commands: dict[str, argparse.ArgumentParser]) -> Iterator[str]:
    yield "# hefu completion fish | source, in ~/.config/fish/config.fish\n"
    yield "complete -c hefu -f\n"
    for name, command in commands.items():
        yield (
            f"complete -c hefu -n __fish_use_subcommand -a {name}"
            f" -d {_quoted(command.description or '')}\n"
        )
        for word in _options(command):
            option = f"-l {word[2:]}" if word.startswith("--") else f"-a {word}"
            yield f"complete -c hefu -n '__fish_seen_subcommand_from {name}' {option}\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

"""YAML in which a key is a name that is given once.

YAML 1.1, which PyYAML reads, takes ``no`` for false, and PyYAML lets the last of two equal keys
win. ESPnet reads a configuration again with PyYAML's own ``safe_load``: what is
accepted here has the same values there.
"""

from __future__ import annotations

from typing import Any

import yaml

_NAMES = {f"tag:yaml.org,2002:{name}" for name in ("str", "merge", "value")}
_KINDS = {"bool": "a truth value", "null": "nothing", "int": "a number", "float": "a number",
          "timestamp": "a date"}  # fmt: skip


class YamlMistake(Exception):
    """A key that is no name, or given twice.

    Args:
        what: the mistake.
        line: counted from 1.
        mend: what to write instead.
    """

    def __init__(self, what: str, line: int, mend: str) -> None:
        self.what, self.line, self.mend = what, line, mend
        super().__init__(what)


class NameLoader(yaml.SafeLoader):
    """PyYAML's safe loader that refuses keys that are no names, and those that are given twice.

    >>> yaml.load("a: {x: 1}\\nb: {<<: *c}", NameLoader)
    Traceback (most recent call last):
    ...
    yaml.composer.ComposerError: found undefined alias 'c'
      in "<unicode string>", line 2, column 9:
        b: {<<: *c}
                ^
    >>> yaml.load("a: &c {x: 1}\\nb: {<<: *c, x: 2}", NameLoader)
    {'a': {'x': 1}, 'b': {'x': 2}}
    """

    def compose_mapping_node(self, anchor: Any) -> Any:
        """A mapping as PyYAML makes it, checked before what is merged into it is added.

        Raises:
            YamlMistake: see the class.
        """
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise YamlMistake("a key that is a list or a mapping", line, "write a name")
            if key.tag not in _NAMES:
                kind = _KINDS.get(key.tag.rpartition(":")[2], "no name")
                raise YamlMistake(
                    f"YAML reads the key {key.value or 'that is empty'} as {kind}",
                    line,
                    f'write "{key.value}" in quotes',
                )
            if key.value in lines and not key.tag.endswith(":merge"):
                first = lines[key.value]
                raise YamlMistake(
                    f"the key '{key.value}' is given twice, first in line {first}",
                    line,
                    "remove one of them",
                )
            lines[key.value] = line
        return node

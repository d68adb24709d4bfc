"""A YAML loader that refuses duplicate keys, keys that are no names, and ambiguous numbers.

YAML 1.1, which PyYAML reads, takes ``no`` for false, and PyYAML lets the last of two equal keys
win. It also takes ``010`` for eight and ``12:30`` for 750, without a warning. ESPnet reads
a configuration again with PyYAML's own ``safe_load``: what is accepted here has the same values
there.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_NAMES = {f"tag:yaml.org,2002:{name}" for name in ("str", "merge", "value")}
_KINDS = {"bool": "a truth value", "null": "nothing", "int": "a number", "float": "a number",
          "timestamp": "a date"}  # fmt: skip
_NUMBERS = {f"tag:yaml.org,2002:{name}" for name in ("int", "float")}
_OTHER_BASE = re.compile(r"[-+]?(?:0[0-9_]+|[0-9][0-9_]*(?::[0-9]+)+(?:\.[0-9_]*)?)")


class YamlMistake(Exception):
    """A key that is no name or given twice, a number read in another way, a value inside itself.

    Args:
        what: the mistake.
        line: counted from 1.
        mend: what to write instead.
    """

    def __init__(self, what: str, line: int, mend: str) -> None:
        self.what, self.line, self.mend = what, line, mend
        super().__init__(what)


class NameLoader(yaml.SafeLoader):
    """PyYAML's safe loader that refuses keys that are no names or given twice, and odd numbers.

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

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A part as PyYAML makes it, if it does not stand for what it is a part of.

        Raises:
            YamlMistake: see the class.
        """
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            node = self.anchors.get(event.anchor)
            if node is not None and node.end_mark is None:
                line = event.start_mark.line + 1
                raise YamlMistake(f"*{event.anchor} is inside of itself", line, "write it out")
        return super().compose_node(parent, index)

    def compose_scalar_node(self, anchor: Any) -> Any:
        """A value as PyYAML makes it, if it is no number in base eight or sixty.

        Raises:
            YamlMistake: see the class.
        """
        node = super().compose_scalar_node(anchor)
        if node.tag in _NUMBERS and _OTHER_BASE.fullmatch(node.value):
            number = yaml.safe_load(node.value)
            raise YamlMistake(
                f"YAML reads {node.value} as {number}",
                node.start_mark.line + 1,
                f'write {number}, or "{node.value}" in quotes if it is a text',
            )
        return node

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

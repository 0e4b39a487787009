"""One Runtime: `worker.py <namespace> <name> <options as JSON>`; `only`: the nodes that it has."""

from __future__ import annotations

import json
import sys

from exospherehost import Runtime
from nodes import NODES

namespace, name, given = sys.argv[1:]
options = json.loads(given)
only = options.pop("only", None)
nodes = [node for node in NODES if only is None or node.__name__ in only]
Runtime(namespace=namespace, name=name, nodes=nodes, **options).start()

"""Work on two nodes of Ray, of which one joins late, leaves and comes again.

`two_nodes.py RECIPE`. The last line said is JSON: on how many nodes items were worked at, whether
each was worked at once, and of how many pairs the recipe was gathered.
"""

import itertools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from pairsieve.pipeline import gather, plan
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, open_engine
from pairsieve.schemas.recipe_file import load


def node() -> str:
    return str(ray.get_runtime_context().get_node_id())


def work(state: str, number: int) -> str:
    time.sleep(0.05)
    return state


def joined_and_left(cluster: Cluster, engine: Engine) -> tuple[int, bool]:
    """Add a node after the first item, take it away after its first, and finish what is left."""
    left = False
    added = None
    seen: set[object] = set()
    done = []

    def items() -> Iterator[int]:
        yield from itertools.takewhile(lambda _: not left, itertools.count())
        yield from (-1, -2, -3)

    for number, where in engine.map_with(node, work, items(), per_cpu=2):
        done.append(number)
        seen.add(where)
        if added is None:
            added = cluster.add_node(num_cpus=1)
        elif len(seen) == 2 and not left:
            left = True
            cluster.remove_node(added, allow_graceful=False)
    return len(seen), sorted(done) == [-3, -2, -1, *range(len(done) - 3)]


def main() -> None:
    recipe = load(Path(sys.argv[1]))
    store = Store.at(Path(sys.argv[1]).with_name("dataset"))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    engine = open_engine("ray", workers=2, address=cluster.address)
    nodes, complete = joined_and_left(cluster, engine)
    cluster.add_node(num_cpus=1)
    planned = plan.run(recipe, store)
    rows = sum(marker.rows for _, marker in gather.run(recipe, store, planned, engine))
    engine.close()
    print(json.dumps([nodes, complete, rows]))


if __name__ == "__main__":
    main()

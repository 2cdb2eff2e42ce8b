"""A Ray cluster of a head without slots and two nodes of one logical CPU each on this machine, for a test.

`python two_nodes.py FOLDER`: writes the number of the first node's raylet process to `FOLDER/raylet` and the head's
address to `FOLDER/address`, removes the first node without a word when `FOLDER/remove` appears, then writes
`FOLDER/removed`, and ends when its standard input is closed.
"""

import os
import sys
import threading
import time
from pathlib import Path


def main(folder: Path) -> None:
    os.environ |= {"RAY_raylet_start_wait_time_s": "120", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 100 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    try:
        nodes = [cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20) for _ in range(2)]
        (raylet,) = nodes[0].all_processes["raylet"]
        (folder / "raylet").write_text(str(raylet.process.pid))
        (folder / "address.part").write_text(cluster.address)
        (folder / "address.part").rename(folder / "address")
        is_over = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), is_over.set()), daemon=True).start()
        while not is_over.is_set():
            if (folder / "remove").exists() and not (folder / "removed").exists():
                cluster.remove_node(nodes[0], allow_graceful=False)
                (folder / "removed").touch()
            time.sleep(0.1)
    finally:
        cluster.shutdown()


main(Path(sys.argv[1]))

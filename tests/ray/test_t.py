from hetsched.execute.ray_cluster.cluster import Cluster
from hetsched.platform.cluster import discover_cluster, with_driver
from hetsched.execute.ray_cluster.places import place_processes
from hetsched.cost.calibrate import device_rates
import time


def test_x(ray_cluster):
    t = time.time()
    c = Cluster.join(ray_cluster)
    print("join", time.time() - t)
    for n in c.nodes:
        print(n)
    t = time.time()
    p = discover_cluster(c, device_rates)
    print("disc", time.time() - t)
    print(p.hosts)
    print(p.devices)
    print(place_processes(with_driver(p), c.nodes))
    t = time.time()
    c.close()
    print("close", time.time() - t)
    t = time.time()
    c = Cluster.start()
    print("start", time.time() - t, c.nodes)
    c.close()
    t = time.time()
    c = Cluster.join(ray_cluster)
    print("join", time.time() - t)
    c.close()

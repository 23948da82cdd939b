"""A plain networkx graph: nodes say what, edges say from where; hetsched decides what runs on which device."""

import networkx as nx
import torch

import hetsched

graph = nx.DiGraph()
graph.add_node("a", value=torch.randn(512, 512))
graph.add_node("b", value=torch.randn(512, 512))
graph.add_node("product", op=torch.matmul)
graph.add_node("norm", op=torch.linalg.norm)
graph.add_edges_from([("a", "product"), ("b", "product"), ("product", "norm")])

result = hetsched.run(graph)
print("norm of the product:", result["norm"].item())
print(result)

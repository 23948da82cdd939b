"""Data and training for configs/pipelines/image_recognition.yaml; the pipeline itself is in that file.

The digits are scikit-learn's 1,797 scans of handwriting, the photographs its two sample images. Each scan is stored as
a PNG that lies on its side, as paper in a scanner does; PNG loses nothing: turned back, it has the very pixels.
"""

import functools
import io
from collections.abc import Sequence
from importlib import resources

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn.functional import conv2d, cross_entropy, linear, max_pool2d, relu

import hetsched

BATCH = 64
ANGLES = (-15, -8, 0, 8, 15)
"""The network sees each training digit leaning this way and that, since writers lean too."""


def held_back_scans(seed: int = 0) -> list[bytes]:
    """The digits that training never sees, encoded."""
    return [_encoded(image) for image in _digits(seed)[2]]


def held_back_labels(seed: int = 0) -> torch.Tensor:
    """What the held-back digits are."""
    return _digits(seed)[3]


def photographs() -> list[bytes]:
    """The sample photographs, as the files are."""
    folder = resources.files("sklearn.datasets.images")
    return [(folder / name).read_bytes() for name in ("china.jpg", "flower.jpg")]


def train(
    size: Sequence[int], turn: float, crop: Sequence[int], mean: float, std: float, n_steps: int = 1000, seed: int = 0
) -> dict[str, torch.Tensor]:
    """Weights of a small CNN, trained by hetsched on the digits that are not held back.

    One step (gradients, momentum and update included) is traced to a task graph, which is planned once and looped.
    """
    generator = torch.Generator().manual_seed(seed)
    scans, labels = _digits(seed)[:2]
    images = _prepared([_encoded(scan) for scan in scans], size, turn, crop, mean, std)
    labels = labels.repeat(len(ANGLES))
    shuffled = [torch.randperm(len(images), generator=generator) for _ in range(n_steps * BATCH // len(images) + 1)]
    batches = torch.cat(shuffled)[: n_steps * BATCH].reshape(n_steps, BATCH)

    weights = _random_weights((crop[0] // 4) * (crop[1] // 4), generator)
    momentum = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    graph = hetsched.from_function(_train_step, torch.tensor(0), weights, momentum, images, labels, batches)
    start = (torch.tensor(0), *weights.values(), *momentum.values(), images, labels, batches)
    parts = ["step", *(f"{part}.{name}" for part in ("weights", "momentum") for name in weights)]
    with hetsched.compile(graph) as program:
        last = program.loop(n_steps, state={part: f"out.{part}" for part in parts}, inputs=start)
    return {name: last[f"out.weights.{name}"] for name in weights}


def _train_step(step, weights, momentum, images, labels, batches):
    """One step of gradient descent with momentum on batch number ``step``; returns the state of the next."""
    batch = batches.index_select(0, step.reshape(1))[0]

    def loss(weights):
        return cross_entropy(_scores(weights, images[batch]), labels[batch])

    gradients = torch.func.grad(loss)(weights)
    momentum = {name: 0.9 * momentum[name] + gradients[name] for name in weights}
    rate = 0.03 * (1 - step / len(batches))
    return {
        "step": step + 1,
        "weights": {name: weights[name] - rate * momentum[name] for name in weights},
        "momentum": momentum,
    }


def _scores(weights, images):
    """What the pipeline file computes, as torch code."""
    images = max_pool2d(relu(conv2d(images, weights["kernel1"], weights["bias1"], padding=1)), 2)
    images = max_pool2d(relu(conv2d(images, weights["kernel2"], weights["bias2"], padding=1)), 2)
    return linear(images.flatten(1), weights["kernel3"], weights["bias3"])


def _random_weights(pixels: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    shapes = {"1": (16, 1, 3, 3), "2": (32, 16, 3, 3), "3": (10, 32 * pixels)}
    weights = {}
    for layer, shape in shapes.items():
        fan_in = torch.Size(shape[1:]).numel()
        weights[f"kernel{layer}"] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        weights[f"bias{layer}"] = torch.zeros(shape[0])
    return weights


def _prepared(
    scans: list[bytes], size: Sequence[int], turn: float, crop: Sequence[int], mean: float, std: float
) -> torch.Tensor:
    """The training scans, at all `ANGLES`, through the ops of the pipeline file."""
    graph = hetsched.TaskGraph()
    batch = graph.add("stack", graph.add("image_decode", graph.input("scans"), mode="L"))
    resized = graph.add("image_resize", batch, size=size)
    ready = []
    for angle in ANGLES:
        turned = graph.add("image_rotate", resized, degrees=turn + angle)
        cropped = graph.add("image_crop", turned, size=crop)
        ready.append(graph.add("image_normalize", cropped, mean=mean, std=std))
    graph.add("concat", *ready, name="images")
    return hetsched.run(graph, {"scans": scans})["images"]


@functools.cache
def _digits(seed: int) -> tuple[np.ndarray, torch.Tensor, np.ndarray, torch.Tensor]:
    """Images and labels to train on, then those that are held back: a quarter of each digit."""
    digits = load_digits()
    parts = train_test_split(digits.images, digits.target, test_size=0.25, random_state=seed, stratify=digits.target)
    seen, held_back, seen_labels, held_back_labels = parts
    return seen, torch.from_numpy(seen_labels), held_back, torch.from_numpy(held_back_labels)


def _encoded(image: np.ndarray) -> bytes:
    """A scan of 0..16 as a PNG of 0..240 that lies on its side."""
    file = io.BytesIO()
    Image.fromarray(np.rot90(image * 15).astype(np.uint8)).save(file, format="PNG")
    return file.getvalue()

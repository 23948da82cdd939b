"""Image ops: decoding on the CPU by Pillow (extra ``demo``), the rest by torch wherever the image is.

An image is a (channels, height, width) tensor, a batch has one more dimension in front; all ops but ``image_decode``
take a list or tuple of either as well, and give a list. uint8 images stay uint8 unless they are normalized.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Concatenate, ParamSpec

import numpy as np
import torch
from torch.nn.functional import affine_grid, grid_sample, interpolate

from hetsched.graph.library.define import Params, Specs, define
from hetsched.graph.library.formulas import per_output
from hetsched.graph.values import ObjectSpec, Spec, TensorSpec, TupleSpec

P = ParamSpec("P")
Encoded = bytes | str | PathLike[str]

_CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}


def _decode(source: Encoded | Sequence[Encoded], mode: str = "RGB", size: Sequence[int] | None = None) -> Any:
    """Encoded bytes or a file's path (or a list of them) to a uint8 tensor (or a list).

    ``mode`` is Pillow's; ``size`` (height, width) promises every image's size, so that what follows can be planned.
    """
    if isinstance(source, (list, tuple)):
        return [_decode(item, mode, size) for item in source]
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("image_decode needs Pillow; install hetsched[demo]") from error
    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:  # type: ignore[arg-type] # no list is left
        pixels = np.array(image.convert(mode))
    if size is not None and pixels.shape[:2] != tuple(size):
        raise ValueError(
            f"the image is {pixels.shape[:2]}, not {tuple(size)} as size= says; correct it or leave it out"
        )
    return torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1).contiguous()


def _each(change: Callable[Concatenate[torch.Tensor, P], torch.Tensor]) -> Callable[Concatenate[Any, P], Any]:
    """Let an op on a batch take single images and lists too."""

    def on_any(images: Any, /, *args: P.args, **params: P.kwargs) -> Any:
        if isinstance(images, (list, tuple)):
            return [on_any(image, *args, **params) for image in images]
        if images.dim() == 3:
            return change(images[None], *args, **params)[0]
        if images.dim() != 4:
            raise ValueError(f"an image has 3 dimensions and a batch has 4, not {images.dim()}")
        return change(images, *args, **params)

    return on_any


def _resize(images: torch.Tensor, size: Sequence[int], antialias: bool = True) -> torch.Tensor:
    """To ``size`` (height, width), bilinear."""
    resized = interpolate(_as_float(images), tuple(size), mode="bilinear", antialias=antialias)
    return _as(resized, images.dtype)


def _rotate(images: torch.Tensor, degrees: float) -> torch.Tensor:
    """Counter-clockwise about the centre, bilinear, corners black, size kept."""
    height, width = images.shape[-2:]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    matrix = [[cosine, -sine * height / width, 0.0], [sine * width / height, cosine, 0.0]]
    floats = _as_float(images)
    theta = torch.tensor(matrix, dtype=floats.dtype, device=floats.device).expand(images.shape[0], 2, 3)
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    return _as(grid_sample(floats, grid, mode="bilinear", align_corners=False), images.dtype)


def _crop(images: torch.Tensor, size: Sequence[int], top: int | None = None, left: int | None = None) -> torch.Tensor:
    """A window of ``size`` (height, width); in the middle unless ``top`` and ``left`` are given."""
    height, width = size
    top = (images.shape[-2] - height) // 2 if top is None else top
    left = (images.shape[-1] - width) // 2 if left is None else left
    if min(top, left) < 0 or top + height > images.shape[-2] or left + width > images.shape[-1]:
        raise ValueError(f"a {height}x{width} window at ({top}, {left}) exceeds images of {tuple(images.shape[-2:])}")
    return images[..., top : top + height, left : left + width]


def _normalize(
    images: torch.Tensor, mean: float | Sequence[float] = 0.0, std: float | Sequence[float] = 1.0
) -> torch.Tensor:
    """``(image - mean) / std`` by channel; uint8 images are first scaled to 0..1."""
    scaled = images.float() / 255 if images.dtype == torch.uint8 else images
    return (scaled - _by_channel(mean, scaled)) / _by_channel(std, scaled)


def _by_channel(numbers: float | Sequence[float], images: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(numbers, dtype=images.dtype, device=images.device).reshape(-1, 1, 1)


def _as_float(images: torch.Tensor) -> torch.Tensor:
    return images if images.is_floating_point() else images.float()


def _as(images: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    if dtype.is_floating_point:
        return images
    limits = torch.iinfo(dtype)
    return images.round().clamp(limits.min, limits.max).to(dtype)


def _decoded(operands: Specs, params: Params) -> Spec | None:
    """What decoding gives, where ``size`` says it."""
    size, n_channels = params.get("size"), _CHANNELS.get(params.get("mode", "RGB"))
    if size is None or n_channels is None:
        return None
    image = TensorSpec((n_channels, *size), "uint8")
    return TupleSpec((image,) * len(operands[0].items)) if isinstance(operands[0], TupleSpec) else image


def _decoding(operands: Specs, _output: Spec | None, _params: Params) -> float | None:
    """A rough weight, opening and then bytes, in operations of which a core does 1e11 a second; paths tell nothing."""
    match operands:
        case [ObjectSpec("bytes", int(size))]:
            return 1e7 + 5e3 * size
        case [TupleSpec(items)] if all(isinstance(item, ObjectSpec) and item.type_name == "bytes" for item in items):
            return sum(1e7 + 5e3 * (item.n_bytes or 0) for item in items if item is not None)
    return None


define("image_decode", _decode, 1, "image", _decoding, kind="cpu", infer=_decoded, pure=False)
define("image_resize", _each(_resize), 1, "image", per_output(20))
define("image_rotate", _each(_rotate), 1, "image", per_output(25))
define("image_crop", _each(_crop), 1, "image", per_output(0))
define("image_normalize", _each(_normalize), 1, "image", per_output(3))

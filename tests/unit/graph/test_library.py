"""Every op of the library against plain torch, and what is inferred of it against what it really gives."""

import dataclasses
import itertools

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- everybody's name for it

import hetsched.graph.library  # noqa: F401 -- fills the registry
from hetsched.errors import GraphError
from hetsched.graph.infer import infer
from hetsched.graph.ops import OPS
from hetsched.graph.values import ObjectSpec, TensorSpec, TupleSpec, spec_of


def normal(*shape, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape) + sum(shape)), dtype=dtype)


def positive(*shape):
    return normal(*shape).abs() + 0.1


def definite(n):
    a = normal(n, n)
    return a @ a.T + n * torch.eye(n)


def indices(*shape, high):
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(1))


X, Y, ROW = normal(3, 4), normal(3, 4) + 2, normal(4)
IMAGES = normal(2, 3, 8, 8)
PHOTO = indices(3, 6, 9, high=256).to(torch.uint8)
LOWER = torch.linalg.cholesky(definite(4))

UNARY = {
    name: getattr(torch, name)
    for name in (
        *(
            "neg",
            "abs",
            "sign",
            "square",
            "reciprocal",
            "exp",
            "sin",
            "cos",
            "tanh",
            "sigmoid",
            "floor",
            "round",
            "relu",
        ),
        *("sqrt", "rsqrt", "log"),
    )
} | {name: getattr(F, name) for name in ("gelu", "silu", "softplus", "leaky_relu")}
BINARY = {
    name: getattr(torch, name)
    for name in (
        *("add", "sub", "mul", "div", "remainder", "maximum", "minimum", "pow", "eq", "ne", "lt", "le", "gt", "ge"),
    )
}

CASES = [
    *((name, (positive(3, 4),), {}, function) for name, function in UNARY.items()),
    *((name, (positive(3, 4), positive(4)), {}, function) for name, function in BINARY.items()),
    ("add", (X,), {"other": 2.0}, lambda x, other: x + 2),
    ("pow", (X,), {"exponent": 2}, lambda x, exponent: x**2),
    ("add", (indices(3, high=5), X[:, :3]), {}, torch.add),
    ("div", (indices(3, high=5), indices(3, high=5) + 1), {}, torch.div),
    ("clamp", (X,), {"min": -0.5, "max": 0.5}, torch.clamp),
    ("where", (X > 0, X, Y), {}, torch.where),
    ("matmul", (X, normal(4, 5)), {}, torch.matmul),
    ("matmul", (normal(2, 1, 3, 4), normal(5, 4, 2)), {}, torch.matmul),
    ("matmul", (X, ROW), {}, torch.matmul),
    ("matmul", (ROW, ROW), {}, torch.matmul),
    ("matmul", (ROW, normal(2, 4, 5)), {}, torch.matmul),
    ("matmul", (X.double(), normal(4, 5).double()), {}, torch.matmul),
    ("matvec", (X, ROW), {}, torch.mv),
    ("dot", (ROW, ROW + 1), {}, torch.dot),
    ("linear", (X, normal(5, 4)), {}, F.linear),
    ("linear", (X, normal(5, 4), normal(5)), {}, F.linear),
    ("softmax", (X,), {"dim": 0}, torch.softmax),
    ("softmax", (X,), {}, lambda x: torch.softmax(x, -1)),
    ("log_softmax", (X,), {}, lambda x: torch.log_softmax(x, -1)),
    ("layer_norm", (X,), {}, lambda x: F.layer_norm(x, (4,))),
    ("layer_norm", (X, ROW, ROW), {"eps": 1e-3}, lambda x, w, b, eps: F.layer_norm(x, (4,), w, b, eps)),
    ("layer_norm", (X,), {"normalized_shape": (3, 4)}, lambda x, normalized_shape: F.layer_norm(x, (3, 4))),
    ("batch_norm", (IMAGES, normal(3), positive(3)), {}, F.batch_norm),
    ("batch_norm", (IMAGES, normal(3), positive(3), normal(3), normal(3)), {}, F.batch_norm),
    ("conv2d", (IMAGES, normal(4, 3, 3, 3)), {}, F.conv2d),
    ("conv2d", (IMAGES, normal(6, 1, 3, 3), normal(6)), {"groups": 3, "stride": 2, "padding": 1}, F.conv2d),
    ("max_pool2d", (IMAGES,), {"kernel_size": 2}, F.max_pool2d),
    ("max_pool", (IMAGES,), {"kernel_size": 3, "stride": 2}, F.max_pool2d),
    ("avg_pool2d", (IMAGES,), {"kernel_size": 2}, F.avg_pool2d),
    ("avg_pool", (IMAGES,), {"kernel_size": (2, 4)}, F.avg_pool2d),
    ("sum", (X,), {}, torch.sum),
    ("sum", (X,), {"dim": 1, "keepdim": True}, torch.sum),
    ("mean", (X,), {"dim": (0, 1)}, torch.mean),
    ("max", (X,), {}, torch.max),
    ("max", (X,), {"dim": 1}, torch.amax),
    ("min", (X,), {"dim": 0, "keepdim": True}, torch.amin),
    ("argmax", (X,), {"dim": 1}, torch.argmax),
    ("argmin", (X,), {}, torch.argmin),
    ("norm", (X,), {}, torch.linalg.norm),
    ("topk", (X,), {"k": 2}, torch.topk),
    ("identity", (X,), {}, lambda x: x),
    ("reshape", (X,), {"shape": (2, -1)}, torch.reshape),
    ("transpose", (X,), {"dim0": 0, "dim1": 1}, torch.transpose),
    ("permute", (IMAGES,), {"dims": (0, 2, 3, 1)}, torch.permute),
    ("squeeze", (normal(3, 1),), {"dim": 1}, torch.squeeze),
    ("unsqueeze", (X,), {"dim": 0}, torch.unsqueeze),
    ("flatten", (IMAGES,), {"start_dim": 1}, torch.flatten),
    ("select", (X,), {"dim": 1, "index": 2}, torch.select),
    ("slice", (X,), {"dim": 1, "start": 1, "end": -1}, lambda x, **_: x[:, 1:-1]),
    ("slice", (X,), {"dim": -1, "step": 2}, lambda x, **_: x[:, ::2]),
    ("split", (X,), {"size": 2}, lambda x, size: x.split(2)),
    ("split", (X,), {"size": (1, 3), "dim": 1}, lambda x, size, dim: x.split([1, 3], 1)),
    ("chunk", (X,), {"chunks": 2, "dim": 1}, torch.chunk),
    ("concat", (X, Y), {}, lambda *xs: torch.cat(xs)),
    ("concat", ((X, Y),), {"dim": 1}, torch.cat),
    ("stack", (X, Y, X), {"dim": 1}, lambda *xs, dim: torch.stack(xs, 1)),
    ("cast", (X,), {"dtype": "bfloat16"}, lambda x, dtype: x.bfloat16()),
    ("cast", (X,), {"dtype": torch.int64}, lambda x, dtype: x.long()),
    ("gather", (X, indices(3, 2, high=4)), {"dim": 1}, lambda x, index, dim: torch.gather(x, 1, index)),
    ("index_select", (X, indices(5, high=3)), {}, lambda x, index: torch.index_select(x, 0, index)),
    ("embedding", (indices(2, 5, high=3), X), {}, F.embedding),
    ("potrf", (definite(4),), {}, torch.linalg.cholesky),
    ("trsm", (LOWER, X), {}, lambda factor, a: a @ torch.linalg.inv(factor).T),
    ("syrk", (X, normal(3, 3)), {}, lambda a, c: c - a @ a.T),
    ("gemm", (X, normal(5, 4), normal(3, 5)), {}, lambda a, b, c: c - a @ b.T),
    ("mse", (X, Y), {}, F.mse_loss),
    ("mse_loss", (X, Y), {"reduction": "none"}, F.mse_loss),
    ("bce_with_logits", (X, (Y > 2).float()), {}, F.binary_cross_entropy_with_logits),
    ("cross_entropy", (X, indices(3, high=4)), {}, F.cross_entropy),
    (
        "image_resize",
        (IMAGES,),
        {"size": (4, 6)},
        lambda x, size: F.interpolate(x, size, mode="bilinear", antialias=True),
    ),
    ("image_crop", (PHOTO,), {"size": (2, 3)}, lambda x, size: x[:, 2:4, 3:6]),
    ("image_crop", (IMAGES,), {"size": (2, 3), "top": 0, "left": 5}, lambda x, **_: x[..., :2, 5:]),
    ("image_normalize", (PHOTO,), {"mean": 0.5, "std": 0.5}, lambda x, mean, std: x.float() / 127.5 - 1),
    (
        "image_normalize",
        (IMAGES,),
        {"mean": [0.0, 1, 2], "std": [1.0, 2, 3]},
        lambda x, mean, std: torch.stack([(x[:, c] - mean[c]) / std[c] for c in range(3)], 1),
    ),
    ("image_rotate", (IMAGES,), {"degrees": 90}, lambda x, degrees: torch.rot90(x, 1, (2, 3))),
    ("image_rotate", (PHOTO,), {"degrees": 180}, lambda x, degrees: torch.rot90(x, 2, (1, 2))),
]
ELSEWHERE = {"rand", "randn", "dropout", "image_decode"}


def as_tuple(value):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


@pytest.mark.parametrize(
    ("name", "operands", "params", "reference"),
    CASES,
    ids=[f"{case[0]}-{number}" for number, case in enumerate(CASES)],
)
def test_equals_torch_and_is_inferred(name, operands, params, reference):
    before = [spec_of(operand) for operand in operands]
    result = OPS[name](*operands, **params)
    for made, wanted in zip(as_tuple(result), as_tuple(reference(*operands, **params)), strict=True):
        torch.testing.assert_close(made, wanted, atol=1e-5, rtol=1e-5)
    inferred = infer(OPS[name], before, params)
    assert inferred.spec == spec_of(result)
    assert inferred.flops is not None
    assert inferred.n_bytes is not None
    storages = [part.untyped_storage().data_ptr() for operand in operands for part in as_tuple(operand)[:1]]
    for made, viewed in itertools.zip_longest(as_tuple(result), inferred.views):
        if viewed is not None:
            assert made.untyped_storage().data_ptr() == storages[viewed]
        else:
            assert made.untyped_storage().data_ptr() not in storages


def test_every_op_is_tested():
    library = {name for name, made in OPS.items() if made.strict or name == "image_decode"}
    assert library == {name for name, *_ in CASES} | ELSEWHERE


SIZES = [(), (1,), (4,), (3, 4), (3, 1), (2, 3, 4), (2, 1, 4), (0, 4)]
RULED = [(name, OPS[name]) for name in ("relu", "exp", "add", "div", "eq", "maximum", "matmul")]


@pytest.mark.parametrize(("name", "ruled"), RULED, ids=[name for name, _ in RULED])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int64", "bool"])
def test_quick_rules_agree_with_tracing(name, ruled, dtype):
    traced = dataclasses.replace(ruled, infer=None)
    for shapes in itertools.product(SIZES, repeat=ruled.arity[1]):
        specs = [TensorSpec(shape, dtype) for shape in shapes]
        answers = []
        for either in (ruled, traced):
            try:
                answers.append(infer(either, specs).spec)
            except GraphError as error:
                answers.append(type(error))
        assert answers[0] == answers[1], f"{name} {specs}"


def flops(name, *operands, **params):
    return infer(OPS[name], [spec_of(operand) for operand in operands], params).flops


def n_bytes(name, *operands, **params):
    return infer(OPS[name], [spec_of(operand) for operand in operands], params).n_bytes


def test_flops_by_hand():
    assert flops("matmul", normal(3, 4), normal(4, 5)) == 2 * 3 * 4 * 5
    assert flops("matmul", normal(7, 3, 4), normal(4, 5)) == 7 * 2 * 3 * 4 * 5
    assert flops("matvec", X, ROW) == 2 * 3 * 4
    assert flops("dot", ROW, ROW) == 8
    assert flops("linear", X, normal(5, 4)) == 2 * 3 * 4 * 5
    assert flops("linear", X, normal(5, 4), normal(5)) == 2 * 3 * 4 * 5 + 3 * 5
    assert flops("conv2d", normal(1, 3, 8, 8), normal(4, 3, 3, 3)) == 2 * (4 * 6 * 6) * (3 * 3 * 3)
    assert flops("conv2d", normal(1, 4, 8, 8), normal(4, 1, 3, 3), groups=4) == 2 * (4 * 6 * 6) * 9
    assert flops("max_pool2d", IMAGES, kernel_size=2) == 2 * 3 * 4 * 4 * 4
    assert flops("avg_pool", IMAGES, kernel_size=(2, 4)) == 2 * 3 * 4 * 2 * 8
    assert flops("add", X, ROW) == 12
    assert flops("sum", X) == 12
    assert flops("softmax", X) > 12
    assert flops("layer_norm", X) > 12
    assert flops("potrf", definite(6)) == 6**3 / 3 + 6**2 / 2 + 1
    assert flops("trsm", definite(6), normal(5, 6)) == 5 * 36
    assert flops("gemm", normal(3, 4), normal(5, 4), normal(3, 5)) == 2 * 3 * 4 * 5 + 15
    assert flops("syrk", normal(3, 4), normal(3, 3)) == 2 * 3 * 4 * 3 + 9
    assert flops("concat", X, Y) == 0
    assert flops("mse", X, Y) == 36


def test_bytes_by_hand():
    assert n_bytes("matmul", normal(3, 4), normal(4, 5)) == 4 * (12 + 20 + 15)
    assert n_bytes("add", X.double(), X.double()) == 8 * 36
    assert n_bytes("embedding", indices(2, 5, high=3), normal(1000, 4)) == 8 * 10 + 2 * 4 * 40
    assert n_bytes("gather", normal(1000, 4), indices(2, 4, high=9), dim=0) == 8 * 8 + 2 * 4 * 8
    assert n_bytes("reshape", X, shape=(12,)) == 0
    assert n_bytes("rand", size=(10,)) == 40
    assert n_bytes("concat", X, Y) == 4 * 48


def test_dtype_computed_in():
    assert infer(OPS["relu"], [TensorSpec((2,), "float16")]).dtype == "float16"
    assert infer(OPS["embedding"], [TensorSpec((2,), "int64"), TensorSpec((3, 2), "bfloat16")]).dtype == "bfloat16"
    assert infer(OPS["sum"], [TensorSpec((2,), "int32")]).dtype == "int64"
    assert infer(OPS["rand"], [], {"size": (2,), "dtype": "float64"}).dtype == "float64"


@pytest.mark.parametrize(
    ("name", "operands", "params", "says"),
    [
        ("matvec", (X, X), {}, "vector"),
        ("matvec", (X, ROW.double()), {}, "float64"),
        ("dot", (ROW, normal(5)), {}, "size"),
        ("linear", (X, normal(5, 3)), {}, "[3, 4] X [3, 5]"),
        ("conv2d", (IMAGES, normal(4, 2, 3, 3)), {}, "channel"),
        ("add", (X, normal(5)), {}, "broadcast"),
        ("add", (X,), {}, "or one and other="),
        ("softmax", (indices(3, high=2),), {}, "int64"),
        ("softmax", (X,), {"dim": 2}, "dim is 2; it must be at least -2 and less than 2"),
        ("log_softmax", (normal(3).sum(),), {"dim": 1}, "dim is 1; it must be at least -1 and less than 1"),
        ("embedding", (X, X), {}, "indices"),
        ("mse", (X, ROW), {}, "one shape"),
        ("cross_entropy", (X, indices(4, high=4)), {}, "batch_size"),
        ("reshape", (X,), {"shape": (5, 5)}, "shape"),
        ("potrf", (X,), {}, "square"),
        ("trsm", (LOWER, normal(4, 3)), {}, "ncompatible"),
        ("gemm", (X, X, X), {}, "broadcast"),
        ("concat", (X, normal(2, 3)), {}, "Sizes of tensors"),
        ("image_crop", (PHOTO,), {"size": (7, 3)}, "exceeds"),
        ("image_resize", (X,), {"size": (7, 3)}, "an image has 3 dimensions"),
        ("cast", (X,), {"dtype": "float31"}, "float31"),
        ("dropout", (X,), {"p": 1.5}, "p is 1.5"),
        ("topk", (X,), {"k": 9}, "range"),
    ],
)
def test_wrong_operands(name, operands, params, says):
    with pytest.raises(GraphError, match=f"op '{name}' ") as caught:
        infer(OPS[name], [spec_of(operand) for operand in operands], params)
    assert says in str(caught.value)


class TestRandom:
    def draw(self, name, *operands, seed=3, **params):
        return OPS[name](*operands, generator=torch.Generator().manual_seed(seed), **params)

    def test_equal_seeds_draw_equally(self):
        for name, params in (("rand", {"size": (50,)}), ("randn", {"size": [50], "dtype": torch.float64})):
            assert torch.equal(self.draw(name, **params), self.draw(name, **params))
            assert not torch.equal(self.draw(name, **params), self.draw(name, seed=4, **params))
            assert infer(OPS[name], [], params).spec == spec_of(self.draw(name, **params))
            assert OPS[name].random

    def test_dropout_keeps_the_mean(self):
        dropped = self.draw("dropout", torch.ones(10_000), p=0.25)
        assert dropped.unique().tolist() == [0.0, pytest.approx(4 / 3)]
        assert dropped.mean() == pytest.approx(1, abs=0.03)
        assert infer(OPS["dropout"], [TensorSpec((7,), "float16")], {"p": 0.5}).spec == TensorSpec((7,), "float16")


class TestImages:
    @pytest.fixture
    def encoded(self):
        image = pytest.importorskip("PIL.Image", reason="Pillow comes with the extra `demo`")
        import io

        stream = io.BytesIO()
        image.fromarray(PHOTO.permute(1, 2, 0).numpy()).save(stream, format="PNG")
        return stream.getvalue()

    def test_decode(self, encoded, tmp_path):
        path = tmp_path / "photo.png"
        path.write_bytes(encoded)
        decode = OPS["image_decode"]
        assert torch.equal(decode(encoded), PHOTO)
        assert torch.equal(decode(str(path)), PHOTO)
        assert [image.shape for image in decode([path, encoded])] == [PHOTO.shape] * 2
        assert decode(encoded, mode="L").shape == (1, 6, 9)
        assert decode.runs_on("cpu")
        assert not decode.runs_on("cuda")

    def test_decode_is_only_guessed(self, encoded):
        inferred = infer(OPS["image_decode"], [spec_of(encoded)])
        assert inferred.spec is None
        assert inferred.flops == 1e7 + 5e3 * len(encoded)
        assert infer(OPS["image_decode"], [ObjectSpec("str", 9)]).flops is None

    def test_lists_and_single_images(self):
        specs = [TupleSpec((spec_of(PHOTO), spec_of(IMAGES)))]
        inferred = infer(OPS["image_resize"], specs, {"size": (4, 5)})
        made = OPS["image_resize"]([PHOTO, IMAGES], size=(4, 5))
        assert inferred.spec == spec_of(made)
        assert made[0].dtype == torch.uint8

    def test_constant_image_stays_constant(self):
        grey = torch.full((3, 8, 8), 100, dtype=torch.uint8)
        assert OPS["image_resize"](grey, size=(5, 3)).unique().tolist() == [100]
        assert OPS["image_rotate"](grey, degrees=30)[:, 3:5, 3:5].unique().tolist() == [100]
        assert OPS["image_rotate"](grey, degrees=45)[:, 0, 0].max() < 100

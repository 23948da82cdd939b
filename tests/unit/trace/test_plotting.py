from hetsched.trace.plotting import COPY, OTHER, WAIT, legend
from hetsched.trace.trace import Span, Trace


def test_the_longest_ops_get_colours_of_their_own_by_name_and_the_rest_share_one() -> None:
    ops = [f"op{index:02}" for index in range(12)]
    spans = [Span("compute", f"task{index}", "cpu:0", 0, 1 + index, op=op) for index, op in enumerate(ops)]
    spans += [Span("copy", "v", "ram->vram:0", 0, 1), Span("wait", "v", "cpu:0", 0, 1)]
    key = legend([Trace(tuple(spans), 12.0)])
    assert list(key.colors) == [*ops[3:], OTHER, COPY, WAIT]
    assert len(set(key.colors.values())) == len(key.colors)
    assert [key.entry(span) for span in spans] == [OTHER] * 3 + [*ops[3:], COPY, WAIT]


def test_the_legend_holds_only_what_is_there() -> None:
    assert list(legend([Trace((Span("compute", "a", "cpu:0", 0, 1),), 1.0)]).colors) == ["a"]
    assert legend([]).colors == {}


def test_predicted_spans_take_their_op_from_measured_ones() -> None:
    predicted = Trace((Span("compute", "a", "cpu:0", 0, 1),), 1.0, predicted=True)
    measured = Trace((Span("compute", "a", "cpu:0", 0, 1, op="matmul"),), 1.0)
    key = legend([measured, predicted])
    assert list(key.colors) == ["matmul"]
    assert key.entry(predicted.spans[0]) == "matmul"

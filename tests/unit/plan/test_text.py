from __future__ import annotations

import plans
import pytest

from hetsched.errors import PlanError
from hetsched.plan.lower import lower
from hetsched.plan.plan import Compute, Copy, Free, Plan

HEAD = "plan on box\nbody\n  device cpu:0 in ram\n"


def test_printed_plan_is_one_line_per_instruction_under_its_lane() -> None:
    plan = Plan(
        "box",
        (Copy("w", "ram", "vram", ("a", "b")),),
        (Compute("t", "gpu", "vram", ("w",), ("y", "z")), Copy("y", "vram", "ram", ()), Free("y", "vram")),
        outputs=(("y", "ram"),),
        constants=(("w", "ram"),),
        after={1: (0,)},
    )
    assert str(plan).splitlines() == [
        "plan on box",
        "constants w@ram",
        "outputs y@ram",
        "setup",
        "  copy w@ram to vram over a b",
        "body",
        "  device gpu in vram",
        "    0 compute t reads w writes y z",
        "  copies vram to ram",
        "    1 copy y after 0",
        "    2 free y@vram",
    ]


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("conv1.weight#0", "conv1.weight#0"),
        ("größe", "größe"),
        ("a->b", "a->b"),
        ("a b", '"a b"'),
        ("after", '"after"'),
        ("x@ram", '"x@ram"'),
        ('say "hi"\\', '"say \\"hi\\"\\\\"'),
        ("two\nlines", '"two\\nlines"'),
        ("", '""'),
    ],
)
def test_names_are_quoted_only_where_they_must_be(name: str, printed: str) -> None:
    plan = Plan(name, (), ())
    assert str(plan) == f"plan on {printed}"
    assert Plan.parse(str(plan)) == plan


def test_many_inputs_are_wrapped() -> None:
    plan = Plan("box", (), (), tuple((f"value_{i}", "ram") for i in range(40)))
    lines = str(plan).splitlines()
    assert max(map(len, lines)) <= 120
    assert all(line.startswith("inputs ") for line in lines[1:])
    assert Plan.parse(str(plan)) == plan


def test_blank_lines_and_other_line_ends_do_not_matter() -> None:
    schedule = plans.spill()
    plan = lower(schedule.problem, schedule)
    assert Plan.parse("\n" + str(plan).replace("\n", "  \r\n\r\n")) == plan


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the text is empty"),
        ("plan of box", "line 1: expected on and found of"),
        ("plan on", "line 1: expected a name and found the end of the line"),
        ("plan on after", "line 1: expected a name and found after; quote names that are words"),
        ("plan on box\nbody\n  0 copy x", "line 3: an instruction stands under a line that begins with device"),
        ("plan on box\n\n  copy x", "line 3: found copy; expected inputs, constants"),
        ("plan on box\ninputs x", "line 2: expected @ and found the end of the line"),
        ('plan on box\ninputs "x@ram', 'line 2: cannot read "x@ram; a quote is not closed'),
        ('plan on "a\\qb"', "line 1: cannot read"),
        (HEAD + "    0 compute t\n    0 compute u", "line 5: there are two instructions 0"),
        (HEAD + "    1 compute t", "line 4: the body has 1 instructions, and none of them is 0"),
        (HEAD + "    x compute t", "line 4: expected the number of an instruction and found x"),
        (HEAD + "    0 swap t", "line 4: found swap; expected compute, copy or free"),
        (HEAD + "    0 compute t extra", "line 4: found extra where the line should end"),
        (HEAD + "    0 compute t after 1 x", "line 4: expected the number of an instruction and found x"),
        ("plan on box\nsetup\n  copy w@ram vram", "line 3: expected to and found vram"),
    ],
)
def test_malformed_text_is_an_error_that_names_the_line(text: str, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        Plan.parse(text)
    assert str(caught.value).startswith(message)


def test_after_for_a_position_outside_the_body_is_an_error() -> None:
    with pytest.raises(PlanError, match=r"body\[1\], and the body has 0 instructions"):
        Plan("box", (), (), after={1: ()})

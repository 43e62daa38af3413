"""Charts of a report, its curves and its slices: what is drawn is what was counted by hand."""

import re
from xml.etree import ElementTree

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from vista.data import Annotation
from vista.reporting.charts import Line, Spoke, line_chart, radar_chart, thinned
from vista.reporting.curves import after_each_other, curve_charts, read_curves
from vista.reporting.slices import kinds_of, parts_and_holes


def test_lines_stand_where_their_values_are():
    chart = line_chart([Line("a <b>", [(0, 0.0), (10, 1.0)])], "steps", marks=[5])
    root = ElementTree.fromstring(chart)  # well-formed, names escaped
    (line,) = root.iter("polyline")
    (x0, y0), (x1, y1) = (map(float, pair.split(",")) for pair in line.get("points").split())
    assert x0 < x1 and y0 > y1, "the picture's y runs down"
    assert line.find("title").text == "a <b>"
    middle = f"M{(x0 + x1) / 2:.1f} "
    assert any(path.get("d").startswith(middle) for path in root.iter("path"))
    assert line_chart([], "steps") == ""


def test_one_point_is_a_chart():
    chart = line_chart([Line("a", [(1, 2.0)]), Line("b", [(k, 1.0) for k in range(50)])], "steps")
    assert chart.count("<circle") == 1, "of many points none is marked"


def test_thinning_keeps_the_last_step_and_the_mean():
    points = [(float(k), float(k % 2)) for k in range(1000)]
    few = thinned(points)
    assert len(few) <= 400 and few[-1][0] == 999
    assert abs(np.mean([y for _, y in few]) - 0.5) < 0.01


def test_radar_puts_what_is_below_the_origin_into_the_middle():
    spokes = [Spoke("a", 50, 100), Spoke("b", 50, 100), Spoke("c", 50, 100)]
    root = ElementTree.fromstring(radar_chart(spokes, [("x", [100, 10, None])]))
    first, second = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter("circle")]
    web = next(root.iter("polygon")).get("points").split()[0].split(",")
    assert first[0] == second[0] == float(web[0]), "the first axis points up from the middle"
    assert first[1] < float(web[1]) < second[1]
    assert len(list(root.iter("polyline"))) == 1, "nothing is joined to an axis without a value"


def test_curves_are_read_past_pictures_and_a_cut_end(tmp_path):
    logs = tmp_path / "logs"
    with SummaryWriter(str(logs)) as writer:
        for step in range(3):
            writer.add_scalar("train/loss", 3.0 - step, step)
            writer.add_image("answers", np.random.default_rng(0).random((3, 64, 64)), step)
        writer.add_scalar("train/loss", float("nan"), 3)
        writer.add_scalar("val/rec_refcoco/pr50", 50.0, 3)
    (file,) = logs.iterdir()
    assert read_curves(tmp_path)["train/loss"] == [(0.0, 3.0), (1.0, 2.0), (2.0, 1.0)]
    file.write_bytes(file.read_bytes()[:-5])
    curves = read_curves(tmp_path)
    assert set(curves) == {"train/loss"}
    assert read_curves(tmp_path / "nowhere") == {}


def test_a_resumed_run_goes_on_in_its_own_file(tmp_path):
    for number, steps in enumerate(([0, 1, 2, 3], [2, 3])):
        with SummaryWriter(str(tmp_path / "logs"), filename_suffix=f".{number}") as writer:
            for step in steps:
                writer.add_scalar("train/loss", 10.0 * number + step, step)
    files = sorted((tmp_path / "logs").iterdir())
    for place, file in enumerate(files):  # begun within one second
        file.rename(file.with_name(f"events.out.tfevents.{place}"))
    curves = read_curves(tmp_path)
    assert [y for _, y in curves["train/loss"]] == [0.0, 1.0, 12.0, 13.0]


def test_stages_stand_one_after_the_other():
    first, second = {"a": [(1.0, 5.0), (9.0, 4.0)]}, {"a": [(1.0, 3.0)], "b": [(2.0, 0.0)]}
    curves, ends = after_each_other([first, second])
    assert curves == {"a": [(1.0, 5.0), (9.0, 4.0), (10.0, 3.0)], "b": [(11.0, 0.0)]}
    assert ends == [9.0]


def test_metrics_are_drawn_apart():
    tags = ("val/rec/pr50", "val/caption/CIDEr", "val/rec/n", "train/loss", "speed/x", "epoch")
    charts = curve_charts([{tag: [(0.0, 1.0), (1.0, 2.0)] for tag in tags}], ["pr50", "CIDEr"])
    captions = [re.search("<figcaption>(.*)</figcaption>", chart)[1] for chart in charts]
    assert captions[1:] == ["speed/x", "Validation: CIDEr", "Validation: pr50"]
    assert captions[0].startswith("Loss of training")


def test_parts_and_holes_counted_by_hand():
    mask = np.zeros((20, 20), bool)
    assert parts_and_holes(mask) == (0, 0)
    mask[1:9, 1:9] = True
    mask[3:5, 3:5] = mask[6, 6] = False
    mask[12:15, 12:15] = True
    assert parts_and_holes(mask) == (2, 2)


def test_kinds_of_a_sample():
    square = [[2.0, 2.0, 6.0, 2.0, 6.0, 6.0, 2.0, 6.0]]
    one = Annotation("1", ("a.jpg",), ((20, 20),), segmentations=(square,), boxes=((2, 2, 6, 6),))
    found = kinds_of(one, any_number=False)
    assert found == {"images": "1", "parts": "1", "holes": "none", "size": "1 to 10 %"}
    none = Annotation("2", ("a.jpg", "b.jpg", "c.jpg", "d.jpg"), ((20, 20),))
    assert kinds_of(none, any_number=True) == {"images": "3 or more", "targets": "none"}
    boxes = Annotation("3", ("a.jpg",), ((100, 100),), boxes=((0, 0, 5, 5), (9, 9, 14, 14)))
    assert kinds_of(boxes, any_number=True) == {
        "images": "1", "targets": "2", "size": "under 1 % of the image",
    }  # fmt: skip

"""What plots draw: numbers, labels and marks; and what they refuse."""

from itertools import pairwise

import numpy as np
import pytest
from ruvector import HNSW, FlatIndex, Graph
from ruvector.curriculum import Curriculum, Stage
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.evaluation import recall_curve
from ruvector.schedules import Linear, Step
from ruvector.tracking import LossTracker
from ruvector.training import EpochRecord

pytest.importorskip("matplotlib")

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from ruvector import plots

RNG = np.random.default_rng(0)
RING = Graph.from_edges(np.stack([np.arange(10), np.roll(np.arange(10), -1)], axis=1))
POINTS = [
    {"recall": 0.5, "queries_per_second": 4000.0},
    {"recall": 0.99, "queries_per_second": 900.0},
    {"recall": 1.0, "queries_per_second": 100.0},
]

CALLS = {
    "losses": lambda **k: plots.losses(
        LossTracker(EpochRecord(i, {"total": 1.0 / i}, 0.1) for i in (1, 2)), **k
    ),
    "schedules": lambda **k: plots.schedules({"lr": Linear(1.0, 0.0)}, total=4, **k),
    "curriculum_stages": lambda **k: plots.curriculum_stages(Curriculum.default(), **k),
    "recall_speed": lambda **k: plots.recall_speed({"one": POINTS}, **k),
    "embedding_map": lambda **k: plots.embedding_map(RNG.standard_normal((20, 4)), **k),
    "degree_histogram": lambda **k: plots.degree_histogram(RING, **k),
    "hop_histogram": lambda **k: plots.hop_histogram(RING, **k),
    "similarity_distributions": lambda **k: plots.similarity_distributions([0.5, 1], [0, 0.7], **k),
}


@pytest.mark.parametrize("name", CALLS)
def test_plots_are_drawn_where_asked_or_on_a_figure_of_their_own(name, tmp_path):
    own = CALLS[name]()
    assert isinstance(own, Axes)
    given = Figure().add_subplot()
    assert CALLS[name](ax=given) is given
    for axes in (own, given):
        assert axes.get_xlabel()
        assert axes.get_ylabel()
    own.figure.savefig(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"


def test_every_plot_is_in_the_table_above():
    others = {"History", "principal_axes"}
    assert set(CALLS) == set(plots.__all__) - others


def test_curves_differ_without_colours():
    axes = plots.schedules(dict.fromkeys("abcd", 1.0), total=2)
    assert len({line.get_linestyle() for line in axes.lines}) == 4
    assert len({line.get_color() for line in axes.lines}) == 4


def test_losses_are_the_history():
    tracker = LossTracker(
        EpochRecord(i, {"a": i * 2.0} | ({"b": 1.0} if i == 2 else {}), 0.1, {"auc": 0.5})
        for i in (1, 2, 3)
    )
    axes = plots.losses(tracker)
    assert [line.get_label() for line in axes.lines] == ["a", "b"]
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[1, 2], [2, 4], [3, 6]])
    np.testing.assert_array_equal(axes.lines[1].get_xydata(), [[2, 1]])
    assert axes.get_ylabel() == "loss"
    assert plots.losses(tracker, ["metric/auc"]).get_ylabel() == "value"


def test_a_single_epoch_has_a_single_tick():
    axes = plots.losses(LossTracker([EpochRecord(1, {"total": 3.0}, 0.1)]))
    axes.figure.draw_without_rendering()
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]


@pytest.mark.parametrize(("count", "beside"), [(2, False), (8, True)])
def test_a_long_legend_covers_no_curve(count, beside):
    axes = plots.schedules({f"the loss of number {i}": 1.0 + i for i in range(count)}, total=2)
    axes.figure.draw_without_rendering()
    legend = axes.get_legend().get_window_extent()
    assert (legend.x0 >= axes.get_window_extent().x1) == beside
    assert legend.x1 <= axes.figure.bbox.x1


def test_schedules_are_drawn_over_the_training():
    axes = plots.schedules({"lr": Linear(1.0, 0.0), "tau": 0.5}, total=8)
    rate, tau = (line.get_xydata() for line in axes.lines)
    np.testing.assert_allclose(rate[:, 1], 1 - rate[:, 0] / 8)
    assert (rate[0, 0], rate[-1, 0]) == (0, 8)
    assert (tau[:, 1] == 0.5).all()
    step = plots.schedules({"lr": Step(1.0, every=2, factor=0.1)}, total=4, log=True)
    assert step.get_yscale() == "log"


@pytest.mark.parametrize(
    ("values", "total", "error"),
    [
        ({}, 1, InvalidArgumentError),
        ({"lr": 1.0}, 0, InvalidArgumentError),
        ({"lr": "fast"}, 1, InvalidTypeError),
        (Linear(1.0, 0.0), 1, InvalidTypeError),
    ],
)
def test_schedules_refuse(values, total, error):
    with pytest.raises(error):
        plots.schedules(values, total=total)


def test_stages_are_as_long_and_as_high_as_they_are():
    stages = [
        Stage("a", epochs=3, temperature=0.4),
        Stage("b", epochs=2),
        Stage("c", temperature=0.1),
    ]
    axes = plots.curriculum_stages(Curriculum(stages), last=5)
    values, edges, _ = axes.patches[0].get_data()
    np.testing.assert_array_equal(values, [0.4, np.nan, 0.1])
    np.testing.assert_array_equal(edges, [0, 3, 5, 10])
    assert [text.get_text() for text in axes.texts] == ["a", "b", "c"]
    counts = plots.curriculum_stages(Curriculum.default(), "num_negatives")
    assert counts.patches[0].get_data().values.tolist() == [5, 10, 20]
    assert counts.get_ylabel() == "number of negatives"


@pytest.mark.parametrize(
    ("curriculum", "setting", "error", "message"),
    [
        (Curriculum([Stage("a", samples=9), Stage("b")]), "temperature", InvalidArgumentError,
         "9 samples"),
        (Curriculum([Stage("a")]), "threshold", InvalidArgumentError, "no stage has a threshold"),
        (Curriculum.default(), "speed", InvalidArgumentError, "setting"),
        ([Stage("a")], "temperature", InvalidTypeError, "Curriculum"),
    ],
)  # fmt: skip
def test_stages_refuse(curriculum, setting, error, message):
    with pytest.raises(error, match=message):
        plots.curriculum_stages(curriculum, setting)


def test_names_of_short_stages_slant_and_stay_in_the_picture():
    short = [Stage("the first of them", epochs=1, temperature=0.4), Stage("the last", epochs=1)]
    for stages, slant in ((short, 45), (Curriculum.default().stages, 0)):
        axes = plots.curriculum_stages(Curriculum([*stages, Stage("rest")]), last=20)
        axes.figure.draw_without_rendering()
        assert {text.get_rotation() for text in axes.texts} == {slant}
        boxes = [text.get_window_extent() for text in axes.texts]
        assert max(box.y1 for box in boxes) <= axes.figure.bbox.y1
        if not slant:
            assert all(a.x1 < b.x0 for a, b in pairwise(boxes))


def test_speeds_that_lie_close_have_marks_to_compare_by():
    near = [{"recall": 0.9, "queries_per_second": s} for s in (81_000.0, 121_000.0)]
    axes = plots.recall_speed({"one": near})
    low, high = axes.get_ylim()
    assert sum(low <= tick <= high for tick in axes.get_yticks()) > 1


def test_recall_is_drawn_as_what_is_lost():
    axes = plots.recall_speed({"a": POINTS, "b": POINTS[:1]}, k=5)
    first = axes.lines[0].get_xydata()
    np.testing.assert_allclose(first[:2], [[0.5, 4000], [0.01, 900]])
    whole, speed = first[2]
    assert (0 < whole < 0.01, speed) == (True, 100)
    ticks = dict(
        zip(axes.get_xticks(), (t.get_text() for t in axes.get_xticklabels()), strict=True)
    )
    assert ticks[whole] == "1"
    for lost, text in ticks.items():
        assert lost == whole or float(text) == pytest.approx(1 - lost)
    assert axes.xaxis_inverted()
    assert axes.get_xlabel() == "recall@5"
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["a", "b"]


def test_the_curve_of_an_index_can_be_drawn():
    index = HNSW(8, metric="l2", m=4)
    index.add(RNG.standard_normal((500, 8)).astype(np.float32))
    curve = recall_curve(index, RNG.standard_normal((20, 8)).astype(np.float32))
    assert curve[-1]["recall"] == 1.0
    assert [p["ef"] for p in curve] == sorted({p["ef"] for p in curve})
    axes = plots.recall_speed({"HNSW": curve})
    assert len(axes.lines[0].get_xdata()) == len(curve)


QUERIES = np.eye(4, dtype=np.float32)


@pytest.mark.parametrize(
    ("kind", "count", "queries", "options", "message"),
    [
        (HNSW, 5, QUERIES[:0], {}, "5 vectors and there are 0 queries"),
        (HNSW, 0, QUERIES, {}, "0 vectors and there are 4 queries"),
        (FlatIndex, 5, QUERIES, {}, "index is a FlatIndex"),
        (FlatIndex, 0, QUERIES, {}, "index is a FlatIndex"),
        (HNSW, 5, QUERIES[:, :3], {}, "needs 4 columns"),
        (HNSW, 5, QUERIES, {"k": 0}, "k is 0"),
        (HNSW, 5, QUERIES, {"target": 1.5}, "target is 1.5"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_curve_needs_an_index_and_queries(kind, count, queries, options, message):
    index = kind(4)
    index.add(RNG.standard_normal((count, 4)).astype(np.float32))
    error = InvalidArgumentError if kind is HNSW else InvalidTypeError
    with pytest.raises(error, match=message):
        recall_curve(index, queries, **options)


@pytest.mark.parametrize(
    ("curves", "error", "message"),
    [
        ({}, InvalidArgumentError, "empty"),
        ({"a": []}, InvalidArgumentError, "no points"),
        ({"a": [{"recall": 1.2, "queries_per_second": 1}]}, InvalidArgumentError, "0 to 1"),
        ({"a": [{"recall": 0.2, "queries_per_second": 0}]}, InvalidArgumentError, "not positive"),
        ({"a": [{"recall": 0.2}]}, InvalidTypeError, "queries_per_second"),
        ([POINTS], InvalidTypeError, "mapping"),
    ],
)
def test_recall_refuses(curves, error, message):
    with pytest.raises(error, match=message):
        plots.recall_speed(curves)


def test_the_axes_of_a_map_are_those_of_the_singular_values():
    rows = RNG.standard_normal((60, 7)) * np.arange(1, 8)
    points, shares = plots.principal_axes(rows, k=3)
    centred = rows - rows.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(points), np.abs(left * singular)[:, :3])
    np.testing.assert_allclose(shares, (singular**2 / (singular**2).sum())[:3])
    again, same = plots.principal_axes(np.ones((4, 3)))
    assert (again == 0).all()
    assert (same == 0).all()


def test_a_map_has_a_point_a_row_and_a_mark_a_class():
    rows = RNG.standard_normal((30, 5))
    points = plots.principal_axes(rows).points
    labels = np.arange(30) % 3 - 1
    axes = plots.embedding_map(rows, labels, names={0: "zero"})
    drawn = {c.get_label(): np.asarray(c.get_offsets()) for c in axes.collections}
    assert set(drawn) == {"no class", "zero", "1"}
    np.testing.assert_allclose(drawn["zero"], points[labels == 0], atol=1e-9)
    np.testing.assert_allclose(drawn["no class"], points[labels == -1], atol=1e-9)
    assert "% of the variance" in axes.get_xlabel()
    (plain,) = plots.embedding_map(rows).collections
    np.testing.assert_allclose(plain.get_offsets(), points, atol=1e-9)


def test_rare_classes_are_drawn_as_one():
    labels = np.concatenate([np.arange(20), np.arange(10)])
    axes = plots.embedding_map(RNG.standard_normal((30, 3)), labels)
    counts = {c.get_label(): len(c.get_offsets()) for c in axes.collections}
    assert len(counts) == 15
    assert counts["others"] == 6
    labels[:3] = -1
    axes = plots.embedding_map(RNG.standard_normal((30, 3)), labels)
    unlabelled = {c.get_label(): len(c.get_offsets()) for c in axes.collections}
    assert unlabelled["no class"] == 3
    # Seven classes of two and seven of the 13 of one are told apart.
    assert unlabelled["others"] == 6
    assert all(counts[str(class_)] == 2 for class_ in range(10))


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        (np.ones((3, 1)), None, "needs 2"),
        (np.full((3, 2), np.nan), None, "NaN"),
        (np.ones((0, 2)), None, "no rows"),
        (np.ones((3, 2)), [0, 1], "labels"),
    ],
)
def test_maps_refuse(rows, labels, message):
    with pytest.raises(InvalidArgumentError, match=message):
        plots.embedding_map(rows, labels)


def test_names_of_a_map_are_a_mapping():
    with pytest.raises(InvalidTypeError, match=r"names is a list .* dict\(enumerate"):
        plots.embedding_map(np.eye(3), [0, 1, 0], names=["even", "odd"])


@pytest.mark.parametrize(("history", "names"), [(3, None), (np.ones(3), None), (None, ["total"])])
def test_losses_refuse_what_has_no_history(history, names):
    with pytest.raises(InvalidTypeError, match=r"history is a .* must be a LossTracker"):
        plots.losses(history, names)


@pytest.mark.parametrize("names", ["loss/total", 3])
def test_losses_refuse_names_that_are_no_list(names):
    tracker = LossTracker([EpochRecord(1, {"total": 1.0}, 0.1)])
    with pytest.raises(InvalidTypeError, match="names"):
        plots.losses(tracker, names)


def test_degrees_are_counted():
    star = Graph.from_edges([[0, i] for i in range(1, 31)], num_nodes=33)
    axes = plots.degree_histogram(star)
    (one, rest) = axes.lines[0].get_xydata().tolist()
    assert one == [1, 30]
    # The bin of 30 begins at 10 ** 1.4 and ends before 10 ** 1.6.
    assert rest == [(25 + 39) / 2, 1 / 15]
    assert axes.get_title() == "2 of 33 nodes without neighbours"
    assert plots.degree_histogram(RING).get_title() == ""
    empty = plots.degree_histogram(Graph.from_edges(np.empty((0, 2), int), num_nodes=3))
    assert len(empty.lines[0].get_xdata()) == 0
    assert empty.get_title() == "3 of 3 nodes without neighbours"
    empty.figure.canvas.draw()


def test_hops_are_those_of_a_search():
    networkx = pytest.importorskip("networkx")
    graph = Graph.from_edges(RNG.integers(0, 40, (45, 2)), num_nodes=40)
    lengths = dict(networkx.all_pairs_shortest_path_length(networkx.Graph(graph.edges.tolist())))
    counted = np.bincount([d for row in lengths.values() for d in row.values() if d])[1:]
    axes = plots.hop_histogram(graph, most=50)
    pairs = 40 * 39
    *near, out = (bar.get_height() for bar in axes.patches)
    np.testing.assert_allclose(near, counted / pairs)
    assert out == pytest.approx(1 - counted.sum() / pairs)
    assert axes.get_xticklabels()[-1].get_text() == "out of\nreach"


def test_far_nodes_are_out_of_reach():
    bars = plots.hop_histogram(RING, most=2, sources=4).patches
    np.testing.assert_allclose([bar.get_height() for bar in bars], [2 / 9, 2 / 9, 5 / 9])
    whole = plots.hop_histogram(RING)
    np.testing.assert_allclose([b.get_height() for b in whole.patches], [2 / 9] * 4 + [1 / 9])


@pytest.mark.parametrize(
    ("options", "error"),
    [({"most": 0}, InvalidArgumentError), ({"sources": 0}, InvalidArgumentError),
     ({"seed": -1}, InvalidArgumentError), ({"seed": 0.5}, InvalidTypeError)],
)  # fmt: skip
def test_hops_refuse(options, error):
    with pytest.raises(error, match=next(iter(options))):
        plots.hop_histogram(RING, **options)


@pytest.mark.parametrize("plot", [plots.degree_histogram, plots.hop_histogram])
def test_graphs_alone_have_degrees_and_hops(plot):
    with pytest.raises(InvalidTypeError, match="must be a Graph"):
        plot(np.eye(3))


def test_densities_are_those_of_the_similarities():
    near, far = RNG.normal(0.8, 0.1, 200), RNG.normal(0.1, 0.2, 300)
    axes = plots.similarity_distributions(near, far, bins=20)
    curves = [patch.get_data() for patch in axes.patches]
    edges = np.histogram_bin_edges(np.concatenate([near, far]), 20)
    for data, values in ((curves[0], near), (curves[2], far)):
        np.testing.assert_allclose(data.edges, edges)
        np.testing.assert_allclose(data.values, np.histogram(values, edges, density=True)[0])
    auc = (near[:, None] > far).mean()
    assert axes.get_title() == f"ROC-AUC {auc:.4f}"
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["positives (200)", "negatives (300)"]


@pytest.mark.parametrize(
    ("near", "far"),
    [(1.0, 1.0), (1.0, 1 + 2.2e-16), (1e30, 1e30), (0.0, 1e-320), (-1e-12, 0.0), (1e300, -1e300)],
)
@pytest.mark.filterwarnings("error")
def test_densities_of_values_that_hardly_differ_are_drawn(near, far):
    axes = plots.similarity_distributions([near], [far])
    axes.figure.draw_without_rendering()
    data = axes.patches[0].get_data()
    assert (np.diff(data.edges) > 0).all()
    assert data.edges[0] <= min(near, far) <= max(near, far) <= data.edges[-1]
    assert np.sum(data.values * np.diff(data.edges)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("near", "far"), [([], [1.0]), ([1.0], []), ([np.nan], [1.0]), ([-1.7e308], [1.7e308])]
)
def test_densities_refuse(near, far):
    with pytest.raises(InvalidArgumentError):
        plots.similarity_distributions(near, far)

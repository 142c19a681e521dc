"""The page about a model: what it holds, that it needs nothing else, that it can be clicked."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import ruvector
from chromium import chromium, find_chromium
from ruvector.cli import main
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.evaluation import probe_accuracy
from ruvector.tracking import LossTracker
from ruvector.training import EpochRecord

pytest.importorskip("matplotlib")

from ruvector.report import report_html, write_report

EVIL = (
    "</script><script>window.hacked = 1</script>",
    '<img src="x" onerror="window.hacked = 2">',
    "@@script@@ & \u2028 ünï '\"",
)
VOID = {"meta", "input", "br", "img", "link"}


class Read(HTMLParser):
    """Elements with their attributes and text, and whether each was closed in its place."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.stack = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.stack.append(self.elements[-1])

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag):
        assert self.stack, tag
        assert self.stack.pop()[0] == tag

    def handle_data(self, data):
        if self.stack:
            self.stack[-1][2].append(data)

    def all(self, tag):
        return [(attrs, "".join(text)) for name, attrs, text in self.elements if name == tag]

    def data(self):
        ((_, text),) = [
            (a, t) for a, t in self.all("script") if a.get("type") == "application/json"
        ]
        return json.loads(text)


def planted(n=60):
    """Three groups, dense inside, with names of which some look like markup."""
    random = np.random.default_rng(0)
    labels = np.arange(n) % 3
    source, target = np.triu_indices(n, 1)
    chance = np.where(labels[source] == labels[target], 0.3, 0.02)
    edges = np.stack([source, target], axis=1)[random.random(len(source)) < chance]
    features = np.eye(3)[labels] + 0.1 * random.standard_normal((n, 3))
    graph = ruvector.Graph.from_edges(edges, n, features=features, labels=labels)
    names = [*EVIL, *(f"paper {i}" for i in range(len(EVIL), n))]
    return replace(graph, node_names=names)


@pytest.fixture(scope="module")
def model():
    return ruvector.train_model(planted(), task="link")


@pytest.fixture(scope="module")
def history():
    return LossTracker(EpochRecord(i, {"total": 1.0 / i}, 0.1) for i in (1, 2, 3))


@pytest.fixture(scope="module")
def text(model, history):
    return report_html(model, title="A & <b>B</b>", losses=history, k=5)


@pytest.fixture(scope="module")
def page(text):
    return Read(text)


def test_everything_is_closed_and_named_once(page):
    assert page.stack == []
    ids = [attrs["id"] for _, attrs, _ in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    wanted = [
        value.split(" ")[0]
        for _, attrs, _ in page.elements
        for name, value in attrs.items()
        if name in ("aria-labelledby", "for")
    ]
    assert set(wanted) <= set(ids)
    inside = re.findall(r"url\(#([^)]+)\)", str(page.elements))
    inside += [a[k][1:] for _, a, _ in page.elements for k in ("href", "xlink:href") if k in a]
    assert inside
    assert set(inside) <= set(ids)


def test_nothing_is_fetched(page, text):
    for tag, attrs, _ in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        assert "src" not in attrs
        assert not any(name.startswith("on") for name in attrs)
        for name in ("href", "xlink:href"):
            assert attrs.get(name, "#").startswith(("#", "data:"))
    addresses = set(re.findall(r"https?://[^\s\"'<)]+", text))
    # Names of XML's vocabularies, which nobody fetches.
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    (policy,) = [a["content"] for a, _ in page.all("meta") if "http-equiv" in a]
    assert "default-src 'none'" in policy


def test_names_are_data(page):
    scripts = page.all("script")
    assert len(scripts) == 2
    assert "hacked" not in scripts[1][1]
    assert page.data()["names"][: len(EVIL)] == list(EVIL)
    assert not page.all("img")
    assert not page.all("b")
    assert page.all("title")[0][1] == page.all("h1")[0][1] == "A & <b>B</b>"


def test_the_plots_are_there(page, model):
    titles = [text for _, text in page.all("h3") if text]
    wanted = ["Losses", "Map of the embeddings", "Similarity of pairs", "Recall against speed",
              "Degrees", "Hops"]  # fmt: skip
    assert titles == wanted
    assert [attrs["aria-label"] for attrs, _ in page.all("svg")] == wanted
    words = {text.strip() for _, text in page.all("text")}
    assert {"epoch", "loss", "recall@10", "queries a second", "share of pairs"} <= words
    without = {name: value for name, value in model.details.items() if name != "histories"}
    bare = Read(report_html(replace(model, details=without)))
    assert [text for _, text in bare.all("h3") if text] == wanted[1:]
    kept = Read(report_html(model))
    assert [text for _, text in kept.all("h3") if text] == ["Losses of link", *wanted[1:]]


def test_a_model_that_kept_its_histories_shows_them(model, history):
    records = [
        {"epoch": int(epoch), "losses": {"total": float(loss)}, "seconds": 0.1}
        for epoch, loss in zip(history.epochs, history["loss/total"], strict=True)
    ]
    kept = replace(model, details={**model.details, "histories": {"edges": records, "<b>": []}})
    titles = [text for _, text in Read(report_html(kept)).all("h3") if text]
    assert titles[0] == "Losses of edges"
    assert len(titles) == 6
    broken = replace(model, details={"histories": {"edges": [{"epoch": 1}]}})
    with pytest.raises(InvalidArgumentError, match="'edges'"):
        report_html(broken)


@pytest.mark.parametrize(
    ("details", "message"),
    [
        ({"histories": [{"epoch": 1}]}, "histories that are a list"),
        ({"histories": {"link": 3}}, "'link'"),
        ({"histories": {"link": [{"epoch": "a", "losses": {}, "seconds": 1}]}}, "'link'"),
        ({"costs": ["raw"]}, r"costs \['raw'\]"),
        ({"costs": {"raw": 3}}, "costs .* numbers by name"),
        ({"costs": {"raw": {"train_seconds": "long"}}}, "'long' for the train_seconds of raw"),
        ({"costs": {"raw": {"train_seconds": 10**400}}}, "must be a number"),
        ({"index_seconds": None}, "None for index_seconds"),
    ],
)
def test_details_that_are_damaged_are_named(model, details, message):
    with pytest.raises(InvalidArgumentError, match=message):
        report_html(replace(model, details=details))


def test_epochs_without_losses_are_no_figure(model):
    lengths = LossTracker([EpochRecord(1, {}, 0.1)])
    assert not [t for _, t in Read(report_html(model, losses=lengths)).all("h3") if t == "Losses"]


@pytest.mark.parametrize(
    ("labels", "figures"),
    [
        ([-1] * 60, set()),
        ([4] + [-1] * 59, set()),
        ([2] * 60, {"neighbour_accuracy_at_10"}),
        ([0, 1, 0] + [-1] * 57, {"neighbour_accuracy_at_10"}),
    ],
)
def test_figures_that_labels_do_not_allow_are_left_out(model, labels, figures):
    graph = replace(model.graph, labels=np.array(labels))
    rows = {text for _, text in Read(report_html(replace(model, graph=graph))).all("th")}
    assert {row for row in rows if "accuracy" in row} == figures
    assert {"link_auc", "index_recall_at_10"} <= rows
    with pytest.raises(InvalidArgumentError, match=r"labelled nodes of \d classes"):
        probe_accuracy(model.embeddings, graph)


def test_masks_without_labels_leave_the_probe_out(model):
    masks = np.arange(60) % 3 == np.arange(3)[:, None]
    graph = replace(model.graph, train_mask=masks[0], val_mask=masks[1], test_mask=masks[2])
    # Nodes of the training mask are of one class.
    assert "probe_accuracy" not in ruvector.evaluate_embeddings(model.embeddings, graph)
    graph = replace(graph, labels=np.where(masks[2], -1, np.arange(60) % 2))
    assert "probe_accuracy" not in ruvector.evaluate_embeddings(model.embeddings, graph)
    graph = replace(graph, labels=np.arange(60) % 2)
    assert "probe_accuracy" in ruvector.evaluate_embeddings(model.embeddings, graph)


def test_the_neighbours_are_those_of_the_index(page, model):
    data = page.data()
    assert data["ids"] == list(range(60))
    assert data["labels"] == model.graph.labels.tolist()
    exact = ruvector.FlatIndex(model.embeddings.shape[1])
    exact.add(model.embeddings)
    for node in range(60):
        near, far = data["near"][node], data["far"][node]
        assert len(near) == len(far) == len(data["linked"][node]) == 5
        assert node not in near
        assert far == sorted(far)
        truth = exact.search(model.embeddings[[node]], 6).distances[0, 1:]
        np.testing.assert_allclose(far, truth, atol=6e-5)
        edges = model.graph.has_edges([node] * 5, near)
        assert data["linked"][node] == "".join(str(int(edge)) for edge in edges)
    places = np.array(data["map"])
    assert places.min() >= 0
    assert places.max() == 1


def test_of_a_large_graph_the_best_connected_are_known(model):
    data = Read(report_html(model, nodes=10, k=3)).data()
    degrees = model.graph.degrees
    assert len(data["ids"]) == 10
    assert data["all"] == 60
    assert data["degrees"] == degrees[data["ids"]].tolist()
    assert min(data["degrees"]) >= np.sort(degrees)[-10]
    assert all(len(near) == 3 and max(near) < 10 for near in data["near"])


def test_the_figures_are_those_of_an_evaluation(page, model):
    cells = [text for _, text in page.all("td")]
    auc = ruvector.evaluate_embeddings(model.embeddings, model.graph, split=model.split)["link_auc"]
    assert f"{auc:,.4g}" in cells
    rows = [text for _, text in page.all("th")]
    assert {"link_auc", "probe_accuracy", "trained", "smoothed", "raw features"} <= set(rows)


def test_a_graph_with_little_has_a_page_too():
    ring = ruvector.Graph.from_edges([[i, (i + 1) % 8] for i in range(8)])
    data = Read(report_html(ruvector.train_model(ring))).data()
    assert "names" not in data
    assert "labels" not in data


@pytest.mark.parametrize(
    ("options", "error"),
    [({"nodes": 0}, InvalidArgumentError), ({"k": 0}, InvalidArgumentError),
     ({"losses": "losses.csv"}, InvalidTypeError)],
)  # fmt: skip
def test_refusals(model, options, error):
    with pytest.raises(error):
        report_html(model, **options)
    with pytest.raises(InvalidTypeError, match="must be a Model"):
        report_html(model.graph)


def test_a_failure_leaves_the_old_page(model, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(InvalidArgumentError):
        write_report(model, path, k=0)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_the_command_writes_it(model, history, tmp_path, capsys):
    model.save(tmp_path / "papers")
    history.to_csv(tmp_path / "losses.csv")
    path = tmp_path / "page.html"
    words = ["report", tmp_path / "papers", "-o", path, "--losses", tmp_path / "losses.csv", "-k",
             "4", "--nodes", "50", "--json"]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"report": str(path), "nodes": 50, "bytes": path.stat().st_size}
    page = Read(path.read_text(encoding="utf-8"))
    assert page.all("h1")[0][1] == "papers"
    assert len(page.data()["near"][0]) == 4
    assert main(["report", str(tmp_path / "none"), "-o", str(path)]) == 1
    assert main(["report", str(tmp_path / "papers"), "-o", str(tmp_path)]) == 1
    assert "name a file" in capsys.readouterr().err


def test_a_reader_can_click_through_it(text, model, tmp_path):
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium to open the page with")
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    shown = "document.getElementById('name').textContent"
    near = "[...document.querySelectorAll('#near button')].map(b => b.textContent)"
    names = model.graph.node_names
    data = Read(text).data()
    with chromium(program, path.as_uri(), tmp_path / "profile") as page:
        assert page.run(shown) == names[0] == EVIL[0]
        page.run("let q = document.getElementById('query'); q.value = 'paper 17'; "
                 "q.dispatchEvent(new Event('input'))")  # fmt: skip
        hits = "[...document.querySelectorAll('#hits button')].map(b => b.textContent)"
        assert page.run(hits) == ["paper 17"]
        page.run("document.querySelector('#hits button').click()")
        page.wait(f"{shown} === 'paper 17'")
        assert page.run(near) == [names[i] for i in data["near"][17]]
        page.run("document.querySelector('#near button').click()")
        nearest = data["near"][17][0]
        page.wait(f"{shown} === {json.dumps(names[nearest])}")
        assert page.run(near) == [names[i] for i in data["near"][nearest]]
        page.run("history.back()")
        page.wait(f"{shown} === 'paper 17'")
        for name in EVIL:
            page.run(f"q.value = {json.dumps(name)}; q.dispatchEvent(new Event('input'))")
            assert page.run(hits) == [name]
        page.run("q.value = 'nobody'; q.dispatchEvent(new Event('input'))")
        assert page.run("document.getElementById('hits').textContent") == "no such node"
        # A click on the map goes to the node there.
        x, y = data["map"][40]
        page.run(
            "{ let c = document.getElementById('map'), b = c.getBoundingClientRect();"
            "let unit = b.width / c.width, side = b.width - 24 * unit, m = 12 * unit;"
            f"let clientX = b.left + m + side * {x}, clientY = b.bottom - m - side * {y};"
            "c.dispatchEvent(new MouseEvent('click', {clientX, clientY})) }"
        )
        page.wait(f"{shown} !== 'paper 17'")
        there = names.index(page.run(shown))
        assert np.hypot(*np.subtract(data["map"][there], data["map"][40])) < 0.02
        assert page.run("window.hacked") is None
        assert page.run("document.querySelectorAll('script').length") == 2
        requests = [event["request"]["url"] for event in page.told("Network.requestWillBeSent")]
        assert requests == [path.as_uri()]
        assert page.told("Runtime.exceptionThrown") == []
        assert [e["entry"]["text"] for e in page.told("Log.entryAdded")] == []

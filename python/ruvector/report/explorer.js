"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const count = data.ids.length;
  const place = new Map(data.ids.map((id, i) => [id, i]));
  const nameOf = (i) => (data.names ? data.names[i] : "node " + data.ids[i]);
  const lower = data.ids.map((_, i) => nameOf(i).toLowerCase());
  const MOST_HITS = 30;
  let shown = 0;

  // Names go in as text alone.
  const element = (tag, text) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const link = (i) => {
    const button = element("button", nameOf(i));
    button.type = "button";
    button.dataset.node = data.ids[i];
    button.addEventListener("click", () => { location.hash = "node=" + data.ids[i]; });
    return button;
  };

  // The number itself, then names that are, begin with, or contain the words.
  const find = (words) => {
    const wanted = words.trim().toLowerCase();
    if (!wanted) return [];
    const groups = [[], [], [], []];
    const exact = /^\d+$/.test(wanted) ? place.get(Number(wanted)) : undefined;
    if (exact !== undefined) groups[0].push(exact);
    for (let i = 0; i < count; i++) {
      if (i === exact) continue;
      const at = lower[i].indexOf(wanted);
      if (at >= 0) groups[lower[i] === wanted ? 1 : at === 0 ? 2 : 3].push(i);
    }
    return groups.flat();
  };

  const list = () => {
    const hits = find($("query").value);
    const items = hits.slice(0, MOST_HITS).map((i) => {
      const item = element("li");
      item.append(link(i));
      return item;
    });
    if (hits.length > MOST_HITS) items.push(element("li", "and " + (hits.length - MOST_HITS) + " more"));
    if (!hits.length && $("query").value.trim()) items.push(element("li", "no such node"));
    $("hits").replaceChildren(...items);
  };

  const show = (i) => {
    shown = i;
    $("name").textContent = nameOf(i);
    const about = ["number " + data.ids[i], data.degrees[i] + " neighbours in the graph"];
    if (data.labels && data.labels[i] >= 0) about.push("class " + data.labels[i]);
    $("about").textContent = about.join(", ");
    const rows = data.near[i].map((other, rank) => {
      const row = element("tr");
      const cell = element("td");
      cell.append(link(other));
      const edge = data.linked[i][rank] === "1" ? "yes" : "";
      row.append(cell, element("td", data.far[i][rank].toFixed(4)), element("td", edge));
      return row;
    });
    $("near").tBodies[0].replaceChildren(...rows);
    draw();
  };

  const canvas = $("map");
  const pen = canvas.getContext("2d");
  const MARGIN = 12;
  const spot = (i) => {
    const [x, y] = data.map[i];
    const side = canvas.width - 2 * MARGIN;
    return [MARGIN + x * side, canvas.height - MARGIN - y * side];
  };
  const colour = (i) => {
    if (!data.labels) return data.colours[0];
    return data.labels[i] < 0 ? "#9a9a9a" : data.colours[data.labels[i] % data.colours.length];
  };
  const dot = (i, radius) => {
    const [x, y] = spot(i);
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
  };
  const draw = () => {
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.globalAlpha = 0.35;
    for (let i = 0; i < count; i++) {
      pen.fillStyle = colour(i);
      dot(i, count > 3000 ? 1.2 : 2.2);
      pen.fill();
    }
    pen.globalAlpha = 1;
    for (const other of data.near[shown]) {
      pen.strokeStyle = "#555";
      pen.lineWidth = 0.7;
      pen.beginPath();
      pen.moveTo(...spot(shown));
      pen.lineTo(...spot(other));
      pen.stroke();
      pen.fillStyle = colour(other);
      dot(other, 4);
      pen.fill();
      pen.stroke();
    }
    pen.fillStyle = colour(shown);
    pen.strokeStyle = "#000";
    pen.lineWidth = 2;
    dot(shown, 6.5);
    pen.fill();
    pen.stroke();
  };
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const x = (event.clientX - box.left) * (canvas.width / box.width);
    const y = (event.clientY - box.top) * (canvas.height / box.height);
    let best = 0;
    let least = Infinity;
    for (let i = 0; i < count; i++) {
      const [a, b] = spot(i);
      const away = (a - x) ** 2 + (b - y) ** 2;
      if (away < least) [best, least] = [i, away];
    }
    location.hash = "node=" + data.ids[best];
  });

  // The address tells the node, so that Back and bookmarks work.
  const follow = () => {
    const found = /^#node=(\d+)$/.exec(location.hash);
    const i = found ? place.get(Number(found[1])) : undefined;
    show(i === undefined ? 0 : i);
  };

  const what = { cosine: "distance (1 − cosine)", l2: "distance (squared)", ip: "distance (−product)" };
  $("metric").textContent = what[data.metric];
  $("coverage").textContent = count === data.all
    ? "All " + count.toLocaleString("en") + " nodes; click a name to go there."
    : "The " + count.toLocaleString("en") + " nodes with most neighbours, of "
      + data.all.toLocaleString("en") + "; click a name to go there.";
  $("query").addEventListener("input", list);
  window.addEventListener("hashchange", follow);
  follow();
})();

// SPDX-License-Identifier: Apache-2.0
// Asks /status.json each second and shows it. Everything that comes from there is set
// as text, never as HTML.
"use strict";

const POLL = 1000, TIMEOUT = 5000, TOP = 10;
const $ = (id) => document.getElementById(id);

function el(tag, attrs, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attrs || {})) e.setAttribute(k, v);
  e.append(...children);
  return e;
}

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// ---- numbers -------------------------------------------------------------------------

function scaled(v, base, units) {
  let i = 0;
  while (v >= base && i < units.length - 1) { v /= base; i++; }
  const digits = i === 0 ? (v < 10 && v % 1 ? 1 : 0) : v < 10 ? 2 : v < 100 ? 1 : 0;
  return [v.toFixed(digits), units[i]];
}
const count = (v) => { const [n, u] = scaled(v, 1000, ["", "k", "M", "G", "T"]); return u ? n + " " + u : n; };
// A count before its noun, of which the plural may be irregular.
const counted = (v, one, several) => count(v) + " " + (v === 1 ? one : several || one + "s");
const size = (v) => scaled(v, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]).join(" ");
const percent = (v) => (v * 100).toFixed(v > 0 && v < 0.1 || v > 0.99 && v < 1 ? 1 : 0) + " %";
const share = (part, whole) => whole > 0 ? part / whole : 0;

function span(s) {
  if (s < 1e-3) return (s * 1e6).toFixed(0) + " \u00b5s";
  if (s < 1) return (s * 1e3).toFixed(s < 0.01 ? 1 : 0) + " ms";
  if (s < 60) return s.toFixed(s < 10 ? 1 : 0) + " s";
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const i = units.findIndex(([n]) => s >= n);
  const [n, u] = units[i], rest = units[i + 1];
  const small = Math.floor((s % n) / rest[0]);
  return Math.floor(s / n) + " " + u + (small ? " " + small + " " + rest[1] : "");
}

const last = (list) => list && list.length ? list[list.length - 1] : null;
// A rate of the last three samples, since bodies come in lumps.
const recent = (list) => {
  const l = (list || []).slice(-3);
  return l.length ? l.reduce((a, b) => a + b, 0) / l.length : null;
};
const sum = (o) => Object.values(o || {}).reduce((a, b) => a + b, 0);

// ---- tiles ---------------------------------------------------------------------------

function tile(label, withCurve) {
  const t = { value: el("span"), unit: el("small"), note: el("p", { class: "note" }) };
  t.li = el("li", {}, el("p", { class: "label" }, label), el("p", { class: "value" }, t.value, " ", t.unit), t.note);
  if (withCurve) {
    const ns = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(ns, "svg");
    svg.setAttribute("viewBox", "0 0 120 30");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    t.area = document.createElementNS(ns, "path");
    t.area.setAttribute("class", "area");
    t.line = document.createElementNS(ns, "path");
    svg.append(t.area, t.line);
    t.top = el("span");
    t.since = el("span");
    t.li.append(el("p", { class: "scale" }, t.since, t.top), svg);
  }
  $("tiles").append(t.li);
  return t;
}

function show(t, value, unit, note, curve, format) {
  put(t.value, value);
  put(t.unit, unit);
  put(t.note, note);
  if (!t.line || !curve) return;
  const top = Math.max(...curve, 1e-9), n = curve.length;
  if (n < 2) return;
  // The newest is at the right edge; two minutes fill the width.
  // What the highest point and the width stand for.
  put(t.top, "top " + (format || count)(Math.max(...curve)) + "/s");
  put(t.since, "last " + span((n - 1) * t.interval));
  const points = curve.map((v, i) => (120 - (n - 1 - i)).toFixed(1) + " " + (28.5 - 26 * v / top).toFixed(1));
  const path = "M" + points.join("L");
  t.line.setAttribute("d", path);
  t.area.setAttribute("d", path + "L120 30L" + (121 - n) + " 30Z");
}

const tiles = {};
function renderTiles(d) {
  if (!tiles.in) {
    tiles.in = tile("Events in", true);
    tiles.out = tile("Events confirmed", true);
    tiles.bytes = tile("Data in", true);
    tiles.throttled = tile("Throttled records", true);
    tiles.unavailable = tile("Answers of 503", true);
    tiles.refused = tile("Answers of 4xx, dropped by shippers", true);
    tiles.latency = tile("Ack latency, median", false);
    tiles.saved = tile("PUT units saved", false);
    tiles.pack = tile("Events per record", false);
  }
  const h = d.history, s = d.server, p = d.producer;
  for (const t of Object.values(tiles)) t.interval = h.interval_seconds;
  const rate = (list) => { const v = recent(list); return v === null ? "\u2013" : count(v); };
  show(tiles.in, rate(h.events), "/s", count(s.events) + " in all", h.events || []);
  show(tiles.out, rate(h.confirmed), "/s", count(s.confirmed) + " in all", h.confirmed || []);
  const b = recent(h.body_bytes);
  const packed = share(s.body_bytes, s.wire_bytes);
  show(tiles.bytes, b === null ? "\u2013" : size(b), "/s", packed > 1.05 ? "sent as 1/" + packed.toFixed(1) + " of it" : "sent uncompressed", h.body_bytes || [], size);
  show(tiles.throttled, rate(h.throttled), "/s", count(p.throttled) + " in all", h.throttled || []);
  tiles.throttled.li.classList.toggle("alarm", recent(h.throttled) > 0);
  show(tiles.unavailable, rate(h.unavailable), "/s", count(s.requests["503"] || 0) + " of " + count(sum(s.requests)) + " in all", h.unavailable || []);
  tiles.unavailable.li.classList.toggle("alarm", recent(h.unavailable) > 0);
  const refused = Object.entries(s.requests).reduce((a, [k, v]) => k[0] === "4" ? a + v : a, 0);
  show(tiles.refused, rate(h.refused), "/s", count(refused) + " of " + count(sum(s.requests)) + " in all", h.refused || []);
  tiles.refused.li.classList.toggle("alarm", recent(h.refused) > 0);
  const l = s.ack_latency;
  if (l.count) show(tiles.latency, span(l.p50), "", "99 % within " + span(l.p99));
  else show(tiles.latency, "\u2013", "", "no requests in the last 2 min");
  const units = p.put_units + p.put_units_saved;
  if (units) show(tiles.saved, percent(p.put_units_saved / units), "", count(p.put_units_saved) + " of " + count(units) + " saved");
  else show(tiles.saved, "\u2013", "", "nothing written yet");
  const totals = d.streams.reduce((a, t) => [a[0] + t.confirmed, a[1] + t.kinesis_records, a[2] + t.kinesis_bytes], [0, 0, 0]);
  if (totals[1]) show(tiles.pack, count(totals[0] / totals[1]), "", size(totals[2] / totals[1]) + " each, " + percent(share(totals[2] / totals[1], p.aggregation_max_bytes)) + " full");
  else show(tiles.pack, "\u2013", "", "nothing written yet");
}

// ---- meters --------------------------------------------------------------------------

const meters = new Map();
function meter(name, used, limit, text, note) {
  let m = meters.get(name);
  if (!m) {
    m = { fill: el("span"), text: el("span") , note: el("p", { class: "note" })};
    m.bar = el("div", { class: "bar", role: "meter", "aria-label": name, "aria-valuemin": "0", "aria-valuemax": "100" }, m.fill);
    $("meters").append(el("li", {}, el("div", { class: "row" }, el("span", { class: "label" }, name), m.text), m.bar, m.note));
    meters.set(name, m);
  }
  const f = Math.min(1, share(used, limit));
  put(m.text, text(used) + " of " + text(limit));
  put(m.note, note || "");
  m.note.hidden = !note;
  m.fill.style.width = (f * 100).toFixed(1) + "%";
  m.bar.setAttribute("aria-valuenow", Math.round(f * 100));
  m.bar.setAttribute("aria-valuetext", m.text.textContent);
  m.bar.className = "bar" + (f > 0.95 ? " full" : f > 0.75 ? " high" : "");
}

function renderMeters(d) {
  const s = d.server, p = d.producer;
  meter("Memory of bodies", s.memory.used, s.memory.limit, size, s.memory.waiting ? counted(s.memory.waiting, "request waits", "requests wait") + " for memory" : "");
  meter("Producer buffer", p.buffered_bytes, p.buffer_limit_bytes, size, count(p.buffered_records) + " of " + counted(p.buffer_limit_records, "event"));
  meter("Connections", s.connections, s.max_connections, count, counted(s.in_flight, "request") + " under way");
  if (s.ledger.max_entries > 0) {
    const saved = s.resumed ? counted(s.resumed, "body", "bodies") + " came again, " + counted(s.events_saved, "event") + " not written twice" : "no body came again";
    meter("Ledger of unanswered bodies", s.ledger.entries, s.ledger.max_entries, count, saved + (s.ledger.evicted ? ", " + count(s.ledger.evicted) + " evicted too early" : ""));
  }
  if (s.journal.on) {
    const note = s.journal.failed ? "it cannot be written: bodies may be written twice after a crash" : counted(s.journal.entries, "body", "bodies") + ", " + counted(s.journal.syncs, "sync") +
      (s.journal.used ? ", " + counted(s.journal.used, "body", "bodies") + " of an earlier process" : "") + (s.journal.uncertain ? ", " + count(s.journal.uncertain) + " of their records uncertain" : "");
    meter("Journal", s.journal.bytes, s.journal.max_bytes, size, note);
  }
}

// ---- streams -------------------------------------------------------------------------

const streams = new Map();

function newStream(name) {
  const s = { details: new Map() };
  s.badges = el("span");
  s.dl = el("dl", { class: "details" });
  s.canvas = el("canvas", { class: "heat", role: "img", tabindex: "0" });
  s.under = el("span", { "aria-live": "polite" });
  s.legend = el("span", { class: "legend" });
  for (const [k, text] of [["k0", "idle"], ["k1", "< 25 %"], ["k2", "< 50 %"], ["k3", "< 80 %"], ["k4", "80 % and more"], ["k5", "throttled"]]) {
    s.legend.append(el("span", {}, el("i", { class: k }), text));
  }
  s.rows = el("tbody");
  s.table = el("details", {}, el("summary", {}, "Busiest shards"), el("div", { class: "scroll" }, el("table", {},
    el("thead", {}, el("tr", {}, ...["Shard", "Load", "Throttled", "Limit at", "In use", "Queued", "Takes", "Stored"].map((t) => el("th", { scope: "col" }, t)))), s.rows)));
  s.shardPart = el("div", {}, s.canvas, el("div", { class: "under" }, s.under, s.legend), s.table);
  s.article = el("article", { class: "stream" }, el("div", { class: "head" }, el("h3", {}, name), s.badges), s.dl, s.shardPart);
  s.picked = -1;
  s.canvas.addEventListener("pointermove", (e) => pick(s, at(s, e)));
  s.canvas.addEventListener("pointerdown", (e) => pick(s, at(s, e)));
  s.canvas.addEventListener("pointerleave", () => pick(s, -1));
  s.canvas.addEventListener("blur", () => pick(s, -1));
  s.canvas.addEventListener("keydown", (e) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: s.grid ? s.grid.columns : 1, ArrowUp: s.grid ? -s.grid.columns : -1 }[e.key];
    if (!step || !s.data) return;
    e.preventDefault();
    pick(s, Math.max(0, Math.min(s.data.shards.id.length - 1, s.picked < 0 ? 0 : s.picked + step)));
  });
  $("stream-list").append(s.article);
  return s;
}

function fact(s, name, value, small, level) {
  let f = s.details.get(name);
  if (!f) {
    f = { value: el("span"), small: el("small") };
    f.dd = el("dd", {}, f.value, " ", f.small);
    f.div = el("div", {}, el("dt", {}, name), f.dd);
    s.dl.append(f.div);
    s.details.set(name, f);
  }
  put(f.value, value);
  put(f.small, small || "");
  f.dd.className = level || "";
}

// What read-back has made of records whose answer was lost, if it is on.
function renderReadBack(s, t, on) {
  if (!on) return;
  const open = t.verify_opened - t.verify_stored - t.verify_missing - t.verify_given_up;
  fact(s, "Looked for", count(t.verify_opened), open > 0 ? count(open) + " open" : "");
  fact(s, "Found stored", count(t.verify_stored));
  fact(s, "Found missing", count(t.verify_missing), t.verify_missing ? "sent again" : "");
  fact(s, "Not found out", count(t.verify_given_up), t.verify_given_up ? "perhaps twice" : "", t.verify_given_up ? "warn" : "");
  fact(s, "Reads", count(t.verify_reads), "of the stream");
}

function renderStreams(d) {
  $("no-streams").hidden = d.streams.length > 0;
  const seen = new Set();
  for (const t of d.streams) {
    seen.add(t.name);
    let s = streams.get(t.name);
    if (!s) streams.set(t.name, s = newStream(t.name));
    s.data = t;
    renderBadges(s, t);
    const r = t.rate, rate = (k, f) => r ? f(r[k]) + "/s" : "\u2013";
    fact(s, "In", rate("accepted", count), count(t.accepted));
    fact(s, "Confirmed", rate("confirmed", count), count(t.confirmed));
    fact(s, "Data", rate("confirmed_bytes", size), size(t.confirmed_bytes));
    fact(s, "Kinesis records", rate("kinesis_records", count), count(t.kinesis_records));
    const one = share(r && r.kinesis_records ? r.kinesis_bytes : t.kinesis_bytes, r && r.kinesis_records ? r.kinesis_records : t.kinesis_records);
    fact(s, "Aggregates", t.aggregating ? percent(share(one, d.producer.aggregation_max_bytes)) + " full" : "off",
      t.aggregating ? counted(share(t.confirmed, t.kinesis_records), "event") : "");
    const units = t.put_units + t.put_units_saved;
    fact(s, "Units saved", units ? percent(t.put_units_saved / units) : "\u2013", count(t.put_units_saved));
    fact(s, "Throttled", rate("throttled", count), count(t.throttled), r && r.throttled > 0 ? "bad" : "");
    fact(s, "Pending", count(t.pending), t.pending ? "oldest " + span(t.oldest_age_seconds) : "", t.oldest_age_seconds > 10 ? "warn" : "");
    fact(s, "Calls", rate("requests", count), t.in_flight + " open, " + count(t.request_errors) + " failed");
    fact(s, "Retries", count(t.retries), t.uncertain ? count(t.uncertain) + " perhaps twice" : "");
    const failed = sum(t.failed);
    fact(s, "Failed", count(failed), Object.keys(t.failed).join(", "), failed ? "bad" : "");
    if (t.wrong_shard) fact(s, "Wrong shard", count(t.wrong_shard), "resent", "warn");
    fact(s, "Limit in use", percent(t.in_use), t.shards_needed ? shardCount(t.shards.id.length) + ", " + t.shards_needed.toLocaleString("en") + " would do" : "", t.in_use >= 0.9 && t.backlog_seconds > 0 ? "warn" : "");
    fact(s, "Backlog", t.backlog_seconds ? span(t.backlog_seconds) : "none", "of the fullest shard", t.backlog_seconds > 5 ? "warn" : "");
    renderReadBack(s, t, d.producer.verify_uncertain);
    renderShards(s, t);
  }
  for (const [name, s] of streams) {
    if (!seen.has(name)) { s.article.remove(); streams.delete(name); }
  }
}

function shardCount(n) { return n.toLocaleString("en") + (n === 1 ? " shard" : " shards"); }

function renderBadges(s, t) {
  const list = [];
  if (t.last_error) list.push(["bad", t.last_error]);
  if (t.auto) list.push(["", "AUTO distribution"]);
  else if (t.aggregating) list.push(["good", "aggregating"]);
  else list.push(["warn", "not aggregating"]);
  const n = t.shards.id.length;
  list.push(["", n ? shardCount(n) : "no shard map"]);
  const key = JSON.stringify(list);
  if (s.badgeKey === key) return;
  s.badgeKey = key;
  s.badges.replaceChildren(...list.flatMap(([c, text]) => [el("span", { class: "badge " + c }, text), " "]));
}

// ---- shards --------------------------------------------------------------------------

const bad = (sh, i) => sh.paused[i] || (sh.throttled_rate && sh.throttled_rate[i] > 0);
const full = (sh, i) => sh.in_use[i] >= 0.9 && sh.queued_bytes[i] > 0;
// What a shard lacks.
const lack = (sh, i) => sh.paused[i] ? ", paused after a throttle" : full(sh, i) ? ", no room: what waits takes " + span(sh.backlog_seconds[i]) : "";
const step = (load) => load <= 0 ? 0 : load < 0.25 ? 1 : load < 0.5 ? 2 : load < 0.8 ? 3 : 4;

function renderShards(s, t) {
  const sh = t.shards, n = sh.id.length;
  s.shardPart.hidden = n === 0;
  if (!n) return;
  draw(s);
  const load = (i) => sh.load ? sh.load[i] : 0;
  const order = [...sh.id.keys()].sort((a, b) => bad(sh, b) - bad(sh, a) || full(sh, b) - full(sh, a) || load(b) - load(a)).slice(0, TOP);
  let throttled = 0, crowded = 0, busiest = 0, total = 0;
  for (let i = 0; i < n; i++) {
    if (bad(sh, i)) throttled++;
    if (full(sh, i)) crowded++;
    if (load(i) > load(busiest)) busiest = i;
    total += load(i);
  }
  s.summary = sh.load
    ? "average load " + percent(total / n) + ", busiest " + percent(load(busiest)) + (throttled ? ", " + throttled + " throttled" : "") + (crowded ? ", " + crowded + " without room" : "")
    : "loads are known in a second";
  s.canvas.setAttribute("aria-label", shardCount(n) + ", " + s.summary + ". Arrow keys go through the shards.");
  describe(s);
  if (!s.table.open) return;
  s.rows.replaceChildren(...order.map((i) => el("tr", {}, el("td", {}, sh.id[i]),
    ...[sh.load ? percent(sh.load[i]) : "\u2013", count(sh.throttled[i]), percent(sh.share[i]), percent(sh.in_use[i]), size(sh.queued_bytes[i]), sh.backlog_seconds[i] ? span(sh.backlog_seconds[i]) : "\u2013", count(sh.stored[i])]
      .map((x) => el("td", {}, x)))));
}

function draw(s) {
  const sh = s.data.shards, n = sh.id.length, width = s.canvas.clientWidth || 300;
  // The largest cells that stay within some 150 px of height.
  let cell = 26;
  while (cell > 5 && Math.ceil(n / Math.floor(width / cell)) * cell > 150) cell--;
  const columns = Math.max(1, Math.floor(width / cell)), rows = Math.ceil(n / columns);
  const wide = rows === 1 ? Math.min(120, width / n) : width / columns;
  const high = rows === 1 ? 26 : cell, ratio = window.devicePixelRatio || 1;
  s.grid = { columns: rows === 1 ? n : columns, wide, high };
  s.canvas.style.height = rows * high + "px";
  s.canvas.width = Math.round(width * ratio);
  s.canvas.height = Math.round(rows * high * ratio);
  const c = s.canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
  const colours = [0, 1, 2, 3, 4, 5].map((i) => style.getPropertyValue("--heat" + i).trim());
  const text = style.getPropertyValue("--text").trim();
  c.scale(ratio, ratio);
  const gap = cell > 9 ? 2 : 1;
  for (let i = 0; i < n; i++) {
    const x = (i % s.grid.columns) * wide, y = Math.floor(i / s.grid.columns) * high;
    c.fillStyle = colours[bad(sh, i) ? 5 : step(sh.load ? sh.load[i] : 0)];
    c.fillRect(x, y, wide - gap, high - gap);
    if (bad(sh, i) && cell > 9) { // not by colour alone
      c.fillStyle = style.getPropertyValue("--card").trim();
      c.fillRect(x + wide / 2 - gap / 2 - 1, y + high / 4 - gap / 2, 2, high / 2);
    }
    if (i === s.picked) {
      c.strokeStyle = text;
      c.lineWidth = 2;
      c.strokeRect(x + 1, y + 1, wide - gap - 2, high - gap - 2);
    }
  }
}

function at(s, e) {
  if (!s.grid) return -1;
  const r = s.canvas.getBoundingClientRect();
  const x = Math.floor((e.clientX - r.left) / s.grid.wide), y = Math.floor((e.clientY - r.top) / s.grid.high);
  const i = y * s.grid.columns + x;
  return x < s.grid.columns && i < s.data.shards.id.length ? i : -1;
}

function pick(s, i) {
  if (s.picked === i) return;
  s.picked = i;
  draw(s);
  describe(s);
}

function describe(s) {
  const sh = s.data.shards, i = s.picked;
  if (i < 0 || i >= sh.id.length) { put(s.under, s.summary); return; }
  put(s.under, sh.id[i] + ": load " + (sh.load ? percent(sh.load[i]) : "\u2013") + ", limit at " + percent(sh.share[i]) + " and " + percent(sh.in_use[i]) + " of that in use" + lack(sh, i) +
    ", " + size(sh.queued_bytes[i]) + " queued, " + counted(sh.stored[i], "record") + " stored, " + count(sh.throttled[i]) + " throttled");
}

// ---- the rest ------------------------------------------------------------------------

function renderRoutes(d) {
  $("routes").replaceChildren(...d.server.routes.map((r) => {
    const q = r.requests, refused = Object.entries(q).reduce((a, [k, v]) => k[0] === "4" ? a + v : a, 0);
    return el("tr", {}, el("td", {}, r.match), ...[count(q["200"] || 0), count(refused), count(q["503"] || 0), count(r.events), size(r.wire_bytes), size(r.body_bytes)]
      .map((x) => el("td", {}, x)));
  }));
}

function renderReasons(d) {
  const s = d.server, list = [];
  for (const [what, counts] of [["request: ", s.rejected], ["event dropped: ", s.dropped], ["dead letter: ", s.dead_lettered]]) {
    for (const [reason, n] of Object.entries(counts)) if (n) list.push([what + reason.replaceAll("_", " "), n]);
  }
  list.sort((a, b) => b[1] - a[1]);
  $("no-reasons").hidden = list.length > 0;
  $("reasons").hidden = list.length === 0;
  $("reasons").replaceChildren(...list.map(([text, n]) => el("li", {}, el("span", {}, text), el("b", {}, count(n)))));
}

function renderLog(d) {
  $("no-log").hidden = d.log.length > 0;
  const now = Date.parse(d.now);
  $("log").replaceChildren(...d.log.map((l) => el("li", {},
    el("span", { class: "badge " + (l.level === "WARN" ? "warn" : "bad") }, l.level.toLowerCase()),
    el("span", {}, l.message + (l.count > 1 ? " (" + counted(l.count, "time") + ")" : "")),
    el("time", { class: "when", datetime: l.last }, span(Math.max(0, (now - Date.parse(l.last)) / 1000)) + " ago"),
    ...(l.detail ? [el("code", {}, l.detail)] : []))));
}

// First what is wrong, and what to do about it.
function renderProblems(d) {
  $("problem-part").hidden = d.problems.length === 0;
  $("problems").replaceChildren(...d.problems.map((p) => el("li", {},
    el("span", { class: "badge " + (p.level === "warn" ? "warn" : "bad") }, p.code),
    el("span", {}, (p.stream ? p.stream + ": " : "") + p.text),
    ...(p.advice ? [el("span", { class: "todo" }, p.advice)] : []))));
}

function renderHead(d) {
  const failing = d.streams.find((t) => t.last_error);
  if (d.server.draining) setState("warn", "draining");
  else if (failing) setState("bad", "error: " + failing.last_error);
  else if (d.problems.some((p) => p.level === "error")) setState("bad", "events are refused or lost");
  else if (d.problems.length) setState("warn", "serving, with warnings");
  else setState("good", "serving");
  put($("where"), [d.region, d.endpoint.replace(/^https?:\/\//, ""), d.host].filter((x) => x).join(" \u00b7 "));
  put($("program"), d.program);
  document.title = d.program + " \u2013 " + $("state").textContent;
  put($("about"), "version " + d.version + ", " + d.go + ", up " + span(d.uptime_seconds));
  put($("listeners"), Object.entries(d.listeners).map(([k, v]) => k + " " + v).join(", "));
}

function setState(level, text) {
  $("state").className = "pill " + level;
  put($("state"), text);
}

function render(d) {
  renderHead(d);
  renderProblems(d);
  renderTiles(d);
  renderMeters(d);
  renderStreams(d);
  renderRoutes(d);
  renderReasons(d);
  renderLog(d);
}

async function poll() {
  let d = null;
  try {
    const answer = await fetch("status.json", { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT) });
    if (!answer.ok) throw new Error("status " + answer.status);
    d = await answer.json();
  } catch (e) {
    setState("bad", "no answer");
  }
  document.body.classList.toggle("stale", d === null);
  // Nobody looks at a hidden tab.
  if (document.hidden) document.addEventListener("visibilitychange", poll, { once: true });
  else setTimeout(poll, POLL);
  if (!d) return;
  render(d);
  document.body.dataset.ready = "true";
}

window.addEventListener("resize", () => { for (const s of streams.values()) if (s.data && s.data.shards.id.length) draw(s); });
poll();

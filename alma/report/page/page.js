// The page around the figures: filters, tooltips, the table.
const state = {
  stream: data.groups[0].stream,
  off: { learner: new Set(), h: new Set(), wait: new Set(), replay: new Set() },
  measure: "cer",
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
  selected: new Set(),
  open: new Set(),
  sort: { column: 6, down: false },  // QUALITY
  find: "",
};
const views = new Map();  // figure name -> Vega's view
const $ = (query) => document.querySelector(query);

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    name.startsWith("on") ? made.addEventListener(name.slice(2), value) : made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// ---- numbers ----------------------------------------------------------------------------------------------------------
const scaled = (x) => {
  const step = Math.max(0, Math.min(8, Math.floor(Math.log10(Math.max(x, 1)) / 3)));
  return (x / 1000 ** step).toPrecision(4) + ["", " k", " M", " G", " T", " P", " E", " Z", " Y"][step];
};
const spread = (s, digits) => (s ? s[0].toFixed(digits) + (s[1] > 0 ? " ± " + s[1].toFixed(digits) : "") : "–");
const experts = (stage) => (stage.experts > 0 ? String(Math.round(10 * stage.experts) / 10) : "–");
const time = (s) => (s < 60 ? s.toFixed(1) + " s" : s < 3600 ? (s / 60).toFixed(1) + " min" : (s / 3600).toFixed(1) + " h");

// ---- what is shown -----------------------------------------------------------------------------------------------------
const ofStream = () => data.groups.filter((g) => g.stream === state.stream);
const language = () => ofStream().some((g) => g.stages);
const shown = () => ofStream().filter((g) => Object.entries(state.off).every(([key, off]) => !off.has(g[key])));

function drawFilters() {
  const groups = ofStream(), style = styleOf(groups, state.dark);
  const toggles = (key, title, values, text = String) => values.length < 2 ? [] : [element("fieldset", {}, element("legend", {}, title),
    ...values.map((value) => {
      const button = element("button", { type: "button", "aria-pressed": String(!state.off[key].has(value)), onclick: () => {
        state.off[key].has(value) ? state.off[key].delete(value) : state.off[key].add(value);
        button.setAttribute("aria-pressed", String(!state.off[key].has(value)));
        draw();
      } }, text(value));
      return button;
    }))];
  const choice = (title, value, options, change) => element("label", {}, title + " ", (() => {
    const select = element("select", { onchange: () => change(select.value) },
      ...options.map(([name, text]) => element("option", { value: name }, text)));
    select.value = value;
    return select;
  })());
  const streams = unique(data.groups.map((g) => g.stream));
  $("#filters").replaceChildren(
    ...(streams.length < 2 ? [] : [choice("stream", state.stream, streams.map((one) => [one, one]), (value) => {
      const before = language();
      state.stream = value;
      if (language() !== before) state.sort = { column: QUALITY, down: false };
      Object.values(state.off).forEach((off) => off.clear());
      select();
      drawFilters();
      drawHead();
      draw();
    })]),
    ...toggles("learner", "learner", style.learners),
    ...toggles("h", "width h", style.widths),
    ...toggles("wait", "wait w", style.waits),
    ...toggles("replay", "replay", unique(groups.map((g) => g.replay)).sort(), (on) => (on ? "with" : "without")),
    ...(style.language ? [] : [choice("CER", state.measure, [["cer", "Eq. 1"], ["paper", "as in the figures"]], (value) => {
      state.measure = value;
      draw();
    })]));
}

function select() {
  state.selected = new Set(defaultSelection(ofStream()).map((g) => g.id));
}

// ---- tooltips ----------------------------------------------------------------------------------------------------------
/// A group; also its size from mega-batch t on, and of a language model its stage after it, if t is given.
function describe(group, t) {
  const stage = group.stages?.find((s) => s.t === t), size = t !== undefined && grows(group) ? sizeAt(group, t) : null;
  const sizes = size ? [[`parameters from t = ${t}`, scaled(size[1])],
                        ...(growsExperts(group) ? [[`experts from t = ${t}`, String(size[2])]] : [])] : [];
  const measures = group.stages
    ? [...(stage ? [[`perplexity at t = ${t}`, spread(stage.ppl, 2)], [`mean until t = ${t}`, spread(stage.mean, 3)],
                    [`FLOPs until t = ${t}`, scaled(stage.flops)], [`experts at t = ${t}`, experts(stage)]] : []),
       ["average perplexity", spread(group.ppl, 3)], ["final perplexity", spread(group.final, 2)],
       ...(group.bits ? [["average bits per byte", spread(group.bits, 4)], ["final bits per byte", spread(group.final_bits, 4)]] : [])]
    : [["CER (Eq. 1)", spread(group.cer, 2)], ["CER as in the figures", spread(group.paper, 1)], ["final error", spread(group.final, 4)]];
  measures.push(...sizes);
  const compute = group.stages ? ["training FLOPs", scaled(group.flops)] : ["training MACs", scaled(group.macs)];
  const rows = [["seeds", group.runs.map((r) => r.seed).join(", ")], ...measures,
                ["parameters at the end", scaled(group.parameters)], compute, ...(group.config ?? [])];
  return [element("b", {}, group.label), element("dl", {}, ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]))];
}

function showTip(group, x, y, t) {
  const tip = $("#tip");
  tip.replaceChildren(...describe(group, t));
  tip.hidden = false;
  tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - tip.offsetWidth - 8)) + "px";
  tip.style.top = Math.max(4, Math.min(y + 14, innerHeight - tip.offsetHeight - 8)) + "px";
}
const hideTip = () => ($("#tip").hidden = true);

// ---- figures -----------------------------------------------------------------------------------------------------------
function save(name, type, content) {
  const link = element("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

function drawFigures() {
  const groups = shown(), style = styleOf(ofStream(), state.dark), figures = figuresOf(style);
  const selected = groups.filter((g) => state.selected.has(g.id));
  const panels = unique(groups.filter((g) => !g.replay).map((g) => g.panel)).length;
  $("#panels").textContent = panels > MOST_PANELS ? `The first ${MOST_PANELS} of ${panels}; filter to see others.` : "";
  $("[data-figure=curves] h2").textContent = `${style.language ? "Perplexity" : "Error"} over the stream`;
  $("#triangles").hidden = !style.grows || style.language;
  const waits = unique(groups.map((g) => g.wait));
  for (const note of document.querySelectorAll(".waiting"))
    note.textContent = waits.length > 1 ? `Only learners with w = ${leastWait(groups)}; filter to see others.` : "";
  const sections = [...document.querySelectorAll(".figure")];
  for (const section of sections) section.hidden = !(section.dataset.figure in figures);  // before any width is asked for
  for (const section of sections) {
    const name = section.dataset.figure;
    views.get(name)?.finalize();
    views.delete(name);
    if (section.hidden) {
      section.querySelector(".plot")?.replaceChildren();
      continue;
    }
    const width = Math.max(280, Math.floor(section.clientWidth));
    const spec = figures[name](groups, selected, state.measure, width);
    let plot = section.querySelector(".plot");
    if (plot === null) {
      plot = element("div", { class: "plot" });
      section.append(plot, element("button", { type: "button", class: "save", onclick: async () =>
        views.has(name) && save(`${fileName(state.stream)}-${name}.svg`, "image/svg+xml", await views.get(name).toSVG()) }, "Save SVG"));
    }
    section.querySelector(".save").hidden = spec === null;
    if (spec === null) {
      plot.replaceChildren(element("p", {}, "Nothing to show: no runs of this kind are selected."));
      continue;
    }
    const view = new vega.View(vega.parse(spec), { renderer: "svg", container: plot, hover: true });
    view.tooltip((_, event, item, value) => (value ? showTip(data.groups[value.id], event.clientX, event.clientY, value.stage) : hideTip()));
    view.run();
    views.set(name, view);
  }
}

// ---- tables of language models -------------------------------------------------------------------------------------------
const cell = (tag, text, i) => element(tag, i === 0 ? { class: "text" } : {}, text);
const plainTable = (head, rows) => element("table", {},
  element("thead", {}, element("tr", {}, ...head.map((text, i) => cell("th", text, i)))),
  element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((text, i) => cell("td", text, i))))));

/// The paper's Tables 2 and 1, of those that have rows.
function drawLanguageTables() {
  const groups = shown().filter((g) => g.stages)
    .sort((a, b) => byLearner(a.learner, b.learner) || a.h - b.h || byWait(a.wait, b.wait) || a.id - b.id);
  const place = new Map(groups.map((g, i) => [g.id, i]));
  const pairs = data.union_pairs.filter((pair) => place.has(pair.sequential) && place.has(pair.iid))
    .sort((a, b) => place.get(a.sequential) - place.get(b.sequential) || a.k - b.k);
  const show = (section, rows, head) => {
    $(section).hidden = rows.length === 0;
    $(`${section} .scroll`).replaceChildren(...(rows.length === 0 ? [] : [plainTable(head, rows)]));
  };
  show("#stages", groups.map((g) => [g.label, ...g.stages.map((s) => spread(s.ppl, 2)), spread(g.ppl, 3), spread(g.bits, 4)]),
    ["learner", ...(groups[0]?.stages ?? []).map((s) => `t = ${s.t}`), "average", "bits per byte"]);
  show("#unions", pairs.map((p) => [data.groups[p.sequential].panel, String(p.k), spread(p.iid_ppl, 2), spread(p.sequential_ppl, 2)]),
    ["learner", "k", "i.i.d.", "sequential"]);
}

// ---- table -------------------------------------------------------------------------------------------------------------
// Title, value to sort by, text, and what a single run has there; the first ones are words.
const ALL = [
  ["learner", (g) => g.learner, (g) => g.label, (run) => run.folder],
  ["h", (g) => g.h, (g) => String(g.h)],
  ["wait", (g) => (g.wait === "auto" ? Infinity : g.wait), (g) => String(g.wait)],
  ["replay", (g) => Number(g.replay), (g) => (g.replay ? "yes" : "no")],
  ["seeds", (g) => g.runs.length, (g) => String(g.runs.length), (run) => `seed ${run.seed}`],
];
const SIZE = [
  ["parameters", (g) => g.parameters, (g) => scaled(g.parameters)],
  ["memory", (g) => g.mem, (g) => scaled(g.mem)],
];
const TIME = ["time", (g) => g.seconds[0], (g) => time(g.seconds[0]), (run) => time(run.seconds)];
const FLOPS = ["training FLOPs", (g) => g.flops, (g) => scaled(g.flops)];
const IMAGE_COLUMNS = [
  ...ALL,
  ["final error", (g) => g.final[0], (g) => spread(g.final, 4), (run) => run.final.toFixed(4)],
  ["CER (Eq. 1)", (g) => g.cer[0], (g) => spread(g.cer, 2), (run) => run.cer.toFixed(2)],
  ["CER (figures)", (g) => (g.paper ? g.paper[0] : Infinity), (g) => spread(g.paper, 1)],
  ...SIZE,
  ["training MACs", (g) => g.macs, (g) => scaled(g.macs)],
  FLOPS,
  ["MACs per sample", (g) => g.inference, (g) => scaled(g.inference), (run) => run.device],
  TIME,
];
const LANGUAGE_COLUMNS = [
  ...ALL,
  ["final PPL", (g) => g.final[0], (g) => spread(g.final, 2), (run) => run.final.toFixed(2)],
  ["average PPL", (g) => g.ppl[0], (g) => spread(g.ppl, 3), (run) => run.ppl.toFixed(3)],
  ["bits per byte", (g) => (g.bits ? g.bits[0] : Infinity), (g) => spread(g.bits, 4), (run) => run.bits?.toFixed(4)],
  ["experts", (g) => g.stages.at(-1).experts, (g) => experts(g.stages.at(-1))],
  ...SIZE,
  ["MACs per sample", (g) => g.inference, (g) => scaled(g.inference)],
  ["training FLOPs", FLOPS[1], FLOPS[2], (run) => run.device],
  TIME,
];
const QUALITY = 6;  // of both: what the table is sorted by at first
const columns = () => (language() ? LANGUAGE_COLUMNS : IMAGE_COLUMNS);

function tableGroups() {
  const words = state.find.toLowerCase().split(/\s+/).filter(Boolean);
  const { column, down } = state.sort, value = columns()[column][1];
  return shown()
    .filter((g) => words.every((word) => g.label.toLowerCase().includes(word)))
    .sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : a.id - b.id) * (down ? -1 : 1));
}

function drawHead() {
  $("#runs thead").replaceChildren(element("tr", {}, element("th", {}, ""), ...columns().map(([title], i) => {
    const sorted = state.sort.column === i;
    return element("th", { class: i === 0 ? "text" : "", "aria-sort": sorted ? (state.sort.down ? "descending" : "ascending") : "none" },
      element("button", { type: "button", onclick: () => {
        state.sort = { column: i, down: sorted && !state.sort.down };
        drawHead();
        drawTable();
        $("#runs thead").querySelectorAll("button")[i].focus();
      } }, title + (sorted ? (state.sort.down ? " ↓" : " ↑") : "")));
  })));
}

function rowOf(group) {
  const tick = element("input", { type: "checkbox", "aria-label": `draw ${group.label}`, onchange: () => {
    tick.checked ? state.selected.add(group.id) : state.selected.delete(group.id);
    drawFigures();
  } });
  tick.checked = state.selected.has(group.id);
  const open = element("button", { type: "button", "aria-expanded": String(state.open.has(group.id)), "aria-label": `runs of ${group.label}`,
    onclick: () => {
      state.open.has(group.id) ? state.open.delete(group.id) : state.open.add(group.id);
      drawTable();
      $(`tr[data-id="${group.id}"] button`).focus();
    },
    onfocus: (event) => event.target.matches(":focus-visible") && (() => {
      const box = event.target.getBoundingClientRect();
      showTip(group, box.right, box.bottom);
    })(),
    onblur: hideTip }, state.open.has(group.id) ? "−" : "+");
  const row = element("tr", { "data-id": group.id }, element("td", { class: "text" }, tick),
    ...columns().map(([, , text], i) => i === 0 ? element("td", { class: "text" }, open, " " + text(group)) : element("td", {}, text(group))));
  if (!state.open.has(group.id)) return [row];
  return [row, ...group.runs.map((run) => element("tr", { class: "single" }, element("td"),
    ...columns().map(([, , , text], i) => cell("td", text ? text(run) : "", i))))];
}

function drawTable() {
  const groups = tableGroups();
  $("#runs tbody").replaceChildren(...(groups.length > 0 ? groups.flatMap(rowOf)
    : [element("tr", {}, element("td", { class: "text", colspan: columns().length + 1 }, "No runs match."))]));
}

function csv() {
  const quoted = (x) => `"${String(x).replaceAll('"', '""')}"`;
  const measures = language()
    ? [["mean_ppl", (g) => g.ppl[0]], ["mean_ppl_s", (g) => g.ppl[1]], ["final_ppl", (g) => g.final[0]], ["final_ppl_s", (g) => g.final[1]],
       ["bits_per_byte", (g) => g.bits?.[0] ?? ""], ["bits_per_byte_s", (g) => g.bits?.[1] ?? ""]]
    : [["cer", (g) => g.cer[0]], ["cer_s", (g) => g.cer[1]], ["paper_cer", (g) => g.paper?.[0] ?? ""], ["paper_cer_s", (g) => g.paper?.[1] ?? ""],
       ["final_error", (g) => g.final[0]], ["final_error_s", (g) => g.final[1]]];
  const compute = language() ? ["train_flops", (g) => g.flops] : ["train_macs", (g) => g.macs];
  const fields = [["label", (g) => g.label], ["seeds", (g) => g.runs.length], ...measures, ["parameters", (g) => g.parameters],
                  ["mem", (g) => g.mem], compute, ["seconds", (g) => g.seconds[0]]];
  const lines = [fields.map(([name]) => name), ...tableGroups().map((g) => fields.map(([, value]) => value(g)))];
  return lines.map((line) => line.map(quoted).join(",") + "\r\n").join("");
}

// ---- the whole ---------------------------------------------------------------------------------------------------------
function draw() {
  hideTip();
  document.documentElement.classList.toggle("dark", state.dark);
  $("#theme").textContent = state.dark ? "Light" : "Dark";
  $("#answer").hidden = !(state.stream in data.answers);
  $("#answer p").textContent = data.answers[state.stream] ?? "";
  drawFigures();
  drawLanguageTables();
  drawTable();
}

const runs = data.groups.reduce((sum, g) => sum + g.runs.length, 0);
$("#summary").textContent = `${runs} ${runs === 1 ? "run" : "runs"} in ${data.groups.length} ${data.groups.length === 1 ? "configuration" : "configurations"}, by alma ${data.version}`;
if (data.left_out.length > 0) {
  $("#left-out").hidden = false;
  $("#left-out ul").replaceChildren(...data.left_out.map(({ folder, reason }) => element("li", {}, element("b", {}, folder), ": " + reason)));
}
$("#theme").addEventListener("click", () => { state.dark = !state.dark; draw(); });
$("#find").addEventListener("input", (event) => { state.find = event.target.value; drawTable(); });
$("#csv").addEventListener("click", () => save(`${fileName(state.stream)}.csv`, "text/csv", csv()));
addEventListener("scroll", hideTip, true);
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawFigures(); } });
select();
drawFilters();
drawHead();
draw();
document.body.dataset.ready = performance.now();

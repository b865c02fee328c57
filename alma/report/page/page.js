// The page around the figures: filters, tooltips, the table.
const state = {
  stream: data.groups[0].stream,
  off: { learner: new Set(), h: new Set(), wait: new Set(), replay: new Set() },
  measure: "cer",
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
  selected: new Set(),
  open: new Set(),
  sort: { column: 6, down: false },
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
  const step = Math.max(0, Math.min(5, Math.floor(Math.log10(Math.max(x, 1)) / 3)));
  return (x / 1000 ** step).toPrecision(4) + ["", " k", " M", " G", " T", " P"][step];
};
const spread = (s, digits) => (s ? s[0].toFixed(digits) + (s[1] > 0 ? " ± " + s[1].toFixed(digits) : "") : "–");
const time = (s) => (s < 60 ? s.toFixed(1) + " s" : s < 3600 ? (s / 60).toFixed(1) + " min" : (s / 3600).toFixed(1) + " h");

// ---- what is shown -----------------------------------------------------------------------------------------------------
const ofStream = () => data.groups.filter((g) => g.stream === state.stream);
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
      state.stream = value;
      Object.values(state.off).forEach((off) => off.clear());
      select();
      drawFilters();
      draw();
    })]),
    ...toggles("learner", "learner", style.learners),
    ...toggles("h", "width h", style.widths),
    ...toggles("wait", "wait w", style.waits),
    ...toggles("replay", "replay", unique(groups.map((g) => g.replay)).sort(), (on) => (on ? "with" : "without")),
    choice("CER", state.measure, [["cer", "Eq. 1"], ["paper", "as in the figures"]], (value) => {
      state.measure = value;
      draw();
    }));
}

function select() {
  state.selected = new Set(defaultSelection(ofStream()).map((g) => g.id));
}

// ---- tooltips ----------------------------------------------------------------------------------------------------------
function describe(group) {
  const rows = [["seeds", group.runs.map((r) => r.seed).join(", ")], ["CER (Eq. 1)", spread(group.cer, 2)],
                ["CER as in the figures", spread(group.paper, 1)], ["final error", spread(group.final, 4)],
                ["parameters at the end", scaled(group.parameters)], ["training MACs", scaled(group.macs)], ...(group.config ?? [])];
  return [element("b", {}, group.label), element("dl", {}, ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]))];
}

function showTip(group, x, y) {
  const tip = $("#tip");
  tip.replaceChildren(...describe(group));
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
  const groups = shown(), style = styleOf(ofStream(), state.dark);
  const selected = groups.filter((g) => state.selected.has(g.id));
  const panels = unique(groups.filter((g) => !g.replay).map((g) => g.panel)).length;
  $("#panels").textContent = panels > MOST_PANELS ? `The first ${MOST_PANELS} of ${panels}; filter to see others.` : "";
  for (const section of document.querySelectorAll(".figure")) {
    const name = section.dataset.figure;
    const width = Math.max(280, Math.floor(section.clientWidth));
    views.get(name)?.finalize();
    const spec = allFigures(groups, selected, state.measure, style, width)[name];
    let plot = section.querySelector(".plot");
    if (plot === null) {
      plot = element("div", { class: "plot" });
      section.append(plot, element("button", { type: "button", class: "save", onclick: async () =>
        views.has(name) && save(`${fileName(state.stream)}-${name}.svg`, "image/svg+xml", await views.get(name).toSVG()) }, "Save SVG"));
    }
    section.querySelector(".save").hidden = spec === null;
    views.delete(name);
    if (spec === null) {
      plot.replaceChildren(element("p", {}, "Nothing to show: no runs of this kind are selected."));
      continue;
    }
    const view = new vega.View(vega.parse(spec), { renderer: "svg", container: plot, hover: true });
    view.tooltip((_, event, item, value) => (value ? showTip(data.groups[value.id], event.clientX, event.clientY) : hideTip()));
    view.run();
    views.set(name, view);
  }
}

// ---- table -------------------------------------------------------------------------------------------------------------
// Title, value to sort by, text; the first ones are words.
const COLUMNS = [
  ["learner", (g) => g.learner, (g) => g.label],
  ["h", (g) => g.h, (g) => String(g.h)],
  ["wait", (g) => g.wait, (g) => String(g.wait)],
  ["replay", (g) => Number(g.replay), (g) => (g.replay ? "yes" : "no")],
  ["seeds", (g) => g.runs.length, (g) => String(g.runs.length)],
  ["final error", (g) => g.final[0], (g) => spread(g.final, 4)],
  ["CER (Eq. 1)", (g) => g.cer[0], (g) => spread(g.cer, 2)],
  ["CER (figures)", (g) => (g.paper ? g.paper[0] : Infinity), (g) => spread(g.paper, 1)],
  ["parameters", (g) => g.parameters, (g) => scaled(g.parameters)],
  ["memory", (g) => g.mem, (g) => scaled(g.mem)],
  ["training MACs", (g) => g.macs, (g) => scaled(g.macs)],
  ["training FLOPs", (g) => g.flops, (g) => scaled(g.flops)],
  ["MACs a sample", (g) => g.inference, (g) => scaled(g.inference)],
  ["time", (g) => g.seconds[0], (g) => time(g.seconds[0])],
];

function tableGroups() {
  const words = state.find.toLowerCase().split(/\s+/).filter(Boolean);
  const { column, down } = state.sort, value = COLUMNS[column][1];
  return shown()
    .filter((g) => words.every((word) => g.label.toLowerCase().includes(word)))
    .sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : a.id - b.id) * (down ? -1 : 1));
}

function drawHead() {
  $("thead").replaceChildren(element("tr", {}, element("th", {}, ""), ...COLUMNS.map(([title], i) => {
    const sorted = state.sort.column === i;
    return element("th", { class: i === 0 ? "text" : "", "aria-sort": sorted ? (state.sort.down ? "descending" : "ascending") : "none" },
      element("button", { type: "button", onclick: () => {
        state.sort = { column: i, down: sorted && !state.sort.down };
        drawHead();
        drawTable();
        $("thead").querySelectorAll("button")[i].focus();
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
    ...COLUMNS.map(([, , text], i) => i === 0 ? element("td", { class: "text" }, open, " " + text(group)) : element("td", {}, text(group))));
  if (!state.open.has(group.id)) return [row];
  const blank = (n) => Array.from({ length: n }, () => element("td"));
  return [row, ...group.runs.map((run) => element("tr", { class: "single" }, element("td"),
    element("td", { class: "text" }, run.folder), ...blank(3), element("td", {}, `seed ${run.seed}`),
    element("td", {}, run.final.toFixed(4)), element("td", {}, run.cer.toFixed(2)), ...blank(5), element("td", {}, run.device),
    element("td", {}, time(run.seconds))))];
}

function drawTable() {
  const groups = tableGroups();
  $("tbody").replaceChildren(...(groups.length > 0 ? groups.flatMap(rowOf)
    : [element("tr", {}, element("td", { class: "text", colspan: COLUMNS.length + 1 }, "No runs match."))]));
}

function csv() {
  const quoted = (x) => `"${String(x).replaceAll('"', '""')}"`;
  const lines = [["label", "seeds", "cer", "cer_s", "paper_cer", "paper_cer_s", "final_error", "final_error_s", "parameters", "mem",
                  "train_macs", "seconds"]];
  for (const g of tableGroups())
    lines.push([g.label, g.runs.length, g.cer[0], g.cer[1], g.paper?.[0] ?? "", g.paper?.[1] ?? "", g.final[0], g.final[1], g.parameters,
                g.mem, g.macs, g.seconds[0]]);
  return lines.map((line) => line.map(quoted).join(",") + "\r\n").join("");
}

// ---- the whole ---------------------------------------------------------------------------------------------------------
function draw() {
  hideTip();
  document.documentElement.classList.toggle("dark", state.dark);
  $("#theme").textContent = state.dark ? "Light" : "Dark";
  drawFigures();
  drawTable();
}

const runs = data.groups.reduce((sum, g) => sum + g.runs.length, 0);
$("#summary").textContent = `${runs} ${runs === 1 ? "run" : "runs"} of ${data.groups.length} learners, by alma ${data.version}`;
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

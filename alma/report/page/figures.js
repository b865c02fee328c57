// The figures as Vega specifications: functions of groups of runs (`data`, see page_data() in report.cpp), without a page. They
// come after figure_style.js.

/// Fig. 2: CER against `cost`, "macs" or "mem".
function tradeoff(groups, measure, cost, style, width) {
  const points = groups.filter((g) => g[measure] && g[cost] > 0).map((g) => ({
    id: g.id, learner: g.learner, wait: g.wait, h: g.h, replay: g.replay, x: g[cost], y: g[measure][0],
    low: Math.max(g[measure][0] - g[measure][1], g[measure][0] / 10), high: g[measure][0] + g[measure][1],
  }));
  if (points.length === 0) return null;
  const title = cost === "macs" ? computeTitle(width)
                : width < NARROW ? "memory (parameters, summed)" : "memory, parameters summed over the mega-batches";
  return frame(style, width, Math.max(360, Math.min(440, width * 0.75)), {
    data: [
      { name: "points", values: points }, { name: "front", values: paretoFront(points) },
      { name: "fronts", values: unique(points.map((p) => p.learner)).flatMap((one) => paretoFront(points.filter((p) => p.learner === one))) },
    ],
    scales: [
      { name: "x", type: "log", domain: logDomain(points.map((p) => p.x)), range: "width", nice: false, padding: 16 },
      errorScale(points.map((p) => p.low), points.map((p) => p.high)),
      colourOfLearner(style),
      { name: "wait", type: "ordinal", domain: style.waits, range: SHAPES },
      { name: "h", type: "point", domain: style.widths, range: [60, 240] },
    ],
    axes: [
      { orient: "bottom", scale: "x", title, format: "~s", grid: true, tickCount: 5 },
      { orient: "left", scale: "y", title: MEASURES[measure], format: ",~f", grid: true, tickCount: 8 },
    ],
    legends: [
      { fill: "learner", title: "learner", orient: "bottom", direction: "horizontal", columns: columnsFor(width, style.learners) },
      { shape: "wait", title: "waiting time w (size: width h)", orient: "bottom", direction: "horizontal",
        columns: columnsFor(width, style.waits), symbolFillColor: "transparent", symbolStrokeColor: style.ink },
    ],
    marks: [
      { type: "line", name: "whole-front", from: { data: "front" }, interactive: false, encode: { enter: {
        x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, interpolate: { value: "step-after" },
        stroke: { value: style.quiet }, strokeOpacity: { value: 0.25 }, strokeWidth: { value: 6 } } } },
      { type: "group", interactive: false, from: { facet: { name: "learner-front", data: "fronts", groupby: "learner" } }, marks: [
        { type: "line", name: "learner-fronts", from: { data: "learner-front" }, interactive: false, encode: { enter: {
          x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, interpolate: { value: "step-after" },
          stroke: { scale: "learner", field: "learner" }, strokeOpacity: { value: 0.6 }, strokeWidth: { value: 1 } } } }] },
      { type: "rule", from: { data: "points" }, interactive: false, encode: { enter: {
        x: { scale: "x", field: "x" }, y: { scale: "y", field: "low" }, y2: { scale: "y", field: "high" },
        stroke: { scale: "learner", field: "learner" }, strokeOpacity: { value: 0.6 } } } },
      { type: "symbol", name: "marks", from: { data: "points" }, encode: {
        enter: { x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, shape: { scale: "wait", field: "wait" },
                 size: { scale: "h", field: "h" }, tooltip: { signal: "datum" },
                 fill: [{ test: "datum.replay", value: style.ground }, { scale: "learner", field: "learner" }] },
        update: { fillOpacity: { value: 0.8 }, strokeWidth: { value: 1 },
                  stroke: [{ test: "datum.replay", scale: "learner", field: "learner" }, { value: style.ground }] },
        hover: { fillOpacity: { value: 1 }, stroke: { value: style.ink }, strokeWidth: { value: 2 } } } },
    ],
  });
}

const curveRows = (group, more) => group.curve.map(([t, mean, low, high]) =>
  ({ id: group.id, t, mean: drawn(mean), low: drawn(low), high: drawn(high), ...more }));

function stepMark(type, data, colour, extra) {
  const y = type === "area" ? { y: { scale: "y", field: "low" }, y2: { scale: "y", field: "high" } } : { y: { scale: "y", field: "mean" } };
  return { type, from: { data }, encode: { enter: {
    x: { scale: "x", field: "t" }, ...y, interpolate: { value: "step-after" }, [type === "area" ? "fill" : "stroke"]: colour,
    ...extra } } };
}

/// Where the curves of `groups` stand when they grow.
const growthRows = (groups) => groups.flatMap((g) => growths(g).map((t) =>
  ({ id: g.id, label: g.label, stage: t, mean: drawn(g.curve.findLast((point) => point[0] <= t)[1]) })));

/// How many groups before the i-th are of its learner: they have its colour and other dashes.
const earlierOfLearner = (groups, i) => groups.slice(0, i).filter((g) => g.learner === groups[i].learner).length;

/// What figures of a few groups over the mega-batches share: a line for each, by its colour and dashes. An axis takes `room`
/// pixels of what the legend has.
function linesOf(groups, style, width, room = 0) {
  const labels = groups.map((g) => g.label), colour = { scale: "label", field: "label" };
  return {
    colour,
    scales: [
      { name: "label", type: "ordinal", domain: labels, range: groups.map((g) => learnerColour(style, g.learner)) },
      { name: "dash", type: "ordinal", domain: labels, range: groups.map((g, i) => DASHES[earlierOfLearner(groups, i) % DASHES.length]) },
    ],
    axis: { orient: "bottom", scale: "x", title: "mega-batch t", tickCount: Math.min(10, width / 60), tickMinStep: 1, format: "d" },
    legends: [{ stroke: "label", strokeDash: "dash", symbolType: "stroke", symbolSize: 300, symbolStrokeWidth: 2, orient: "bottom",
                direction: "horizontal", columns: columnsFor(width - room, labels), labelLimit: width - 60 }],
    marks: (data, marks) => ({ type: "group", from: { facet: { name: "one", data, groupby: "label" } }, marks }),
    line: stepMark("line", "one", colour, { strokeWidth: { value: 1.8 }, strokeDash: { scale: "dash", field: "label" },
                                            tooltip: { signal: "datum" } }),
  };
}

/// Error or perplexity over the mega-batches of a few groups, with the band from the least to the largest over seeds.
function curves(groups, style, width) {
  const shown = groups.slice(0, MOST_CURVES);
  if (shown.length === 0) return null;
  const rows = shown.flatMap((g) => curveRows(g, { label: g.label }));
  const { colour, scales, axis, legends, marks, line } = linesOf(shown, style, width);
  return frame(style, width, 340, {
    data: [{ name: "curves", values: rows }, { name: "growths", values: style.language ? [] : growthRows(shown) }],
    scales: [
      { name: "x", type: "linear", domain: { data: "curves", field: "t" }, range: "width", nice: false, zero: rows.every((r) => r.t === 1) },
      style.language ? errorScale(rows.map((r) => r.low), rows.map((r) => r.high))
      : { name: "y", type: "linear", domain: { fields: [{ data: "curves", field: "low" }, { data: "curves", field: "high" }] },
          range: "height", zero: true, nice: true },
      ...scales,
    ],
    axes: [
      axis,
      { orient: "left", scale: "y", title: style.language ? perplexityTitle : "test error", grid: true, tickCount: 6,
        format: style.language ? perplexityFormat : ".2~f" },
    ],
    legends,
    marks: [
      marks("curves", [stepMark("area", "one", colour, { fillOpacity: { value: 0.15 } })]),
      marks("curves", [line]),
      { type: "symbol", name: "growth-marks", from: { data: "growths" }, encode: { enter: {
        x: { scale: "x", field: "stage" }, y: { scale: "y", field: "mean" }, shape: { value: "triangle-up" }, size: { value: 70 },
        fill: colour, tooltip: { signal: "datum" } } } },
      // Of few mega-batches, the last of which would have no line.
      ...(style.language ? [{ type: "symbol", name: "marks", from: { data: "curves" }, encode: { enter: {
        x: { scale: "x", field: "t" }, y: { scale: "y", field: "mean" }, size: { value: 36 }, fill: colour, stroke: { value: style.ground },
        strokeWidth: { value: 1 }, tooltip: { signal: "{ id: datum.id, stage: datum.t }" } } } }] : []),
    ],
  });
}

/// What a few groups have over the mega-batches: parameters or experts, by the place in a size.
function sizes(groups, place, style, width) {
  const shown = groups.slice(0, MOST_CURVES).filter((g) => g.sizes[0][place] > 0);
  if (shown.length === 0) return null;
  const { colour, scales, axis, legends, marks, line } = linesOf(shown, style, width, 60);
  const rows = shown.flatMap((g) => g.sizes.map((size) => ({ id: g.id, label: g.label, t: size[0], mean: size[place], stage: size[0] })));
  const values = rows.map((r) => r.mean), low = Math.min(...values), high = Math.max(...values);
  const y = high >= 10 * low ? { type: "log", domain: logDomain(values) } : { type: "linear", domain: [0, high], nice: true };
  return frame(style, width, 300, {
    data: [{ name: "sizes", values: rows }],
    scales: [
      { name: "x", type: "linear", domain: [1, Math.max(2, ...rows.map((r) => r.t))], range: "width", nice: false, zero: false },
      { name: "y", range: "height", ...y },
      ...scales,
    ],
    axes: [
      axis,
      { orient: "left", scale: "y", title: place === 1 ? "parameters" : "experts per layer", grid: true, tickCount: 6,
        format: place === 1 ? "~s" : "d" },
    ],
    legends,
    marks: [
      marks("sizes", [line]),
      { type: "symbol", name: "marks", from: { data: "sizes" }, encode: { enter: {
        x: { scale: "x", field: "t" }, y: { scale: "y", field: "mean" }, size: { value: 18 }, fill: colour,
        tooltip: { signal: "datum" } } } },
    ],
  });
}

/// Fig. 3: learning curves by waiting time, one panel for each learner and width.
function waits(groups, style, width) {
  const of = new Map();
  const order = (g) => style.learners.indexOf(g.learner) * 1e6 + g.h;
  for (const g of groups.filter((one) => !one.replay).sort((a, b) => order(a) - order(b) || byWait(a.wait, b.wait))) {
    if (!of.has(g.panel)) of.set(g.panel, []);
    of.get(g.panel).push(g);
  }
  const panels = [...of.keys()].slice(0, MOST_PANELS);
  if (panels.length === 0) return null;
  const columns = Math.min(panels.length, Math.max(1, Math.floor(width / 250)));
  const inner = Math.floor((width - 8 - 18 * (columns - 1)) / columns) - 60;  // what an axis and half a label take
  const rows = panels.flatMap((panel) => of.get(panel).flatMap((g) => curveRows(g, { panel, wait: g.wait, line: g.label })));
  const colour = { scale: "wait", field: "wait" };
  const spec = frame(style, undefined, undefined, {
    autosize: "pad",
    data: [{ name: "curves", values: rows }],
    layout: { columns, padding: { column: 18, row: 18 }, bounds: "full", align: "all" },
    scales: [{ name: "wait", type: "ordinal", domain: style.waits, range: WAIT_COLOURS[style.tone] }],
    legends: [{ stroke: "wait", title: "waiting time w", symbolType: "stroke", symbolSize: 300, symbolStrokeWidth: 2.5,
                orient: "bottom", direction: "horizontal", columns: columnsFor(width, style.waits) }],
    marks: [{
      type: "group",
      from: { facet: { name: "panel", data: "curves", groupby: "panel" } },
      title: { text: { signal: "parent.panel" }, anchor: "start", offset: 4 },
      encode: { update: { width: { value: inner }, height: { value: 150 } } },
      signals: [{ name: "width", value: inner }, { name: "height", value: 150 }],
      scales: [
        { name: "x", type: "linear", domain: [1, Math.max(...rows.map((r) => r.t))], range: "width" },
        { name: "y", type: "linear", domain: [0, Math.max(...rows.map((r) => r.high))], range: "height", nice: true },
      ],
      axes: [
        { orient: "bottom", scale: "x", tickCount: 4, format: "d", title: "mega-batch t", titleFontSize: 11, titlePadding: 2 },
        { orient: "left", scale: "y", tickCount: 4, format: ".1f", grid: true, title: "test error", titleFontSize: 11, titlePadding: 4 },
      ],
      marks: [
        { type: "group", from: { facet: { name: "one", data: "panel", groupby: "line" } },
          marks: [stepMark("area", "one", colour, { fillOpacity: { value: 0.15 } }),
                  stepMark("line", "one", colour, { strokeWidth: { value: 1.8 }, tooltip: { signal: "datum" } })] },
      ],
    }],
  });
  delete spec.width;
  delete spec.height;
  return spec;
}

/// Fig. 4: from a learner without replay to the same one with it.
function replay(groups, measure, style, width) {
  const shown = new Map(groups.filter((g) => g[measure]).map((g) => [g.id, g]));
  const pairs = data.replay_pairs.filter((pair) => pair.every((id) => shown.has(id))).map((pair) => {
    const [before, after] = pair.map((id) => shown.get(id));
    return { learner: after.learner, x: before.macs, y: before[measure][0], x2: after.macs, y2: after[measure][0],
             before: before.id, after: after.id };
  });
  if (pairs.length === 0) return null;
  const ends = pairs.flatMap((p) => [
    { id: p.before, learner: p.learner, what: "without replay", x: p.x, y: p.y },
    { id: p.after, learner: p.learner, what: "with replay", x: p.x2, y: p.y2 },
  ]);
  return frame(style, width, 340, {
    data: [{ name: "pairs", values: pairs }, { name: "ends", values: ends }],
    scales: [
      { name: "x", type: "log", domain: logDomain(ends.map((p) => p.x)), range: "width", nice: false, padding: 16 },
      errorScale(ends.map((p) => p.y), ends.map((p) => p.y)),
      colourOfLearner(style),
      { name: "what", type: "ordinal", domain: ["without replay", "with replay"], range: ["circle", "diamond"] },
    ],
    axes: [
      { orient: "bottom", scale: "x", title: computeTitle(width), format: "~s", grid: true, tickCount: 5 },
      { orient: "left", scale: "y", title: MEASURES[measure], format: ",~f", grid: true, tickCount: 8 },
    ],
    legends: [
      { fill: "learner", title: "learner", orient: "bottom", direction: "horizontal", columns: columnsFor(width, style.learners) },
      { shape: "what", orient: "bottom", direction: "horizontal", symbolFillColor: "transparent", symbolStrokeColor: style.ink },
    ],
    marks: [
      { type: "rule", from: { data: "pairs" }, interactive: false, encode: { enter: {
        x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, x2: { scale: "x", field: "x2" }, y2: { scale: "y", field: "y2" },
        stroke: { scale: "learner", field: "learner" }, strokeWidth: { value: 1.5 } } } },
      { type: "symbol", name: "marks", from: { data: "ends" }, encode: {
        enter: { x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, shape: { scale: "what", field: "what" },
                 size: { value: 120 }, fill: { scale: "learner", field: "learner" }, tooltip: { signal: "datum" } },
        update: { stroke: { value: style.ground }, strokeWidth: { value: 1 } },
        hover: { stroke: { value: style.ink }, strokeWidth: { value: 2 } } } },
    ],
  });
}

/// Fig. 5: the mean perplexity over the mega-batches so far against `cost`, "flops", "params" or "experts" of a stage.
function perplexity(groups, cost, style, width) {
  const wait = leastWait(groups);
  const points = groups.filter((g) => g.wait === wait).flatMap((g) => g.stages.filter((s) => s[cost] > 0).map((s, i, all) => ({
    id: g.id, learner: g.learner, h: g.h, replay: g.replay, stage: s.t, x: s[cost], y: drawn(s.mean[0]),
    low: drawn(Math.max(1, s.mean[0] - s.mean[1])), high: drawn(s.mean[0] + s.mean[1]), last: i + 1 === all.length,
  })));
  if (points.length === 0) return null;
  const title = {
    flops: width < NARROW ? "training compute (FLOPs)" : "training compute, FLOPs forward and backward",
    params: width < NARROW ? "parameters, mean so far" : "parameters, mean over the mega-batches so far",
    experts: "experts per layer, all members",
  }[cost];
  const costs = points.map((p) => p.x), least = Math.min(...costs), most = Math.max(...costs);
  const x = cost === "experts" ? { type: "linear", domain: least < most ? [least, most] : [least - 1, most + 1], zero: false }
                               : { type: "log", domain: logDomain(costs) };
  const ends = points.filter((p) => p.last), ys = points.map((p) => p.y);
  return frame(style, width, 360, {
    data: [{ name: "points", values: points }, { name: "ends", values: ends }],
    scales: [
      { name: "x", range: "width", nice: false, padding: 16, ...x },
      errorScale([...ys, ...ends.map((p) => p.low)], [...ys, ...ends.map((p) => p.high)]),
      colourOfLearner(style),
      { name: "h", type: "point", domain: style.widths, range: style.widths.length > 1 ? [50, 150] : [80, 80] },
    ],
    axes: [
      { orient: "bottom", scale: "x", title, grid: true, tickCount: 5, labelFlush: 16,
        ...(cost === "experts" ? { format: "d", tickMinStep: 1 } : { format: "~s" }) },
      { orient: "left", scale: "y", title: "mean test perplexity so far", format: perplexityFormat, grid: true, tickCount: 8 },
    ],
    legends: [{ fill: "learner", title: style.widths.length > 1 ? "learner (size: width h)" : "learner", orient: "bottom",
                direction: "horizontal", columns: columnsFor(width, style.learners) }],
    marks: [
      { type: "group", interactive: false, from: { facet: { name: "one", data: "points", groupby: "id" } }, marks: [
        { type: "line", name: "paths", from: { data: "one" }, interactive: false, encode: { enter: {
          x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, stroke: { scale: "learner", field: "learner" },
          strokeOpacity: { value: 0.7 }, strokeWidth: { value: 1.5 } } } }] },
      { type: "rule", from: { data: "ends" }, interactive: false, encode: { enter: {
        x: { scale: "x", field: "x" }, y: { scale: "y", field: "low" }, y2: { scale: "y", field: "high" },
        stroke: { scale: "learner", field: "learner" } } } },
      { type: "symbol", name: "marks", from: { data: "points" }, encode: {
        enter: { x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, size: { scale: "h", field: "h" },
                 tooltip: { signal: "datum" }, fill: [{ test: "datum.replay", value: style.ground }, { scale: "learner", field: "learner" }] },
        update: { strokeWidth: { value: 1 }, stroke: [{ test: "datum.replay", scale: "learner", field: "learner" }, { value: style.ground }] },
        hover: { stroke: { value: style.ink }, strokeWidth: { value: 2 } } } },
    ],
  });
}

/// Learners that wait longer, with the perplexity of an untrained model until then, have no common scale with those that do not.
const leastWait = (groups) => Math.min(...groups.map((g) => g.wait).filter((wait) => wait !== "auto"));

/// Of each learner the group with the least CER or mean perplexity.
function defaultSelection(groups) {
  const best = new Map(), quality = (g) => (g.ppl ?? g.cer)[0];
  for (const g of groups) if (!best.has(g.learner) || quality(g) < quality(best.get(g.learner))) best.set(g.learner, g);
  return [...best.values()].sort((a, b) => byLearner(a.learner, b.learner)).slice(0, MOST_CURVES);
}

/// The figures of a stream by the names of their files: each makes a specification, or null where there is nothing to show.
function figuresOf(style) {
  const growing = {
    ...(style.grows ? { "sizes-parameters": (groups, selected, measure, width) => sizes(selected, 1, style, width) } : {}),
    ...(style.growsExperts ? { "sizes-experts": (groups, selected, measure, width) => sizes(selected, 2, style, width) } : {}),
  };
  if (style.language)
    return {
      "ppl-compute": (groups, selected, measure, width) => perplexity(groups, "flops", style, width),
      "ppl-parameters": (groups, selected, measure, width) => perplexity(groups, "params", style, width),
      "ppl-experts": (groups, selected, measure, width) => perplexity(groups, "experts", style, width),
      "curves": (groups, selected, measure, width) => curves(selected, style, width),
      ...growing,
    };
  return {
    "tradeoff-compute": (groups, selected, measure, width) => tradeoff(groups, measure, "macs", style, width),
    "tradeoff-memory": (groups, selected, measure, width) => tradeoff(groups, measure, "mem", style, width),
    "curves": (groups, selected, measure, width) => curves(selected, style, width),
    ...growing,
    "waits": (groups, selected, measure, width) => waits(groups, style, width),
    "replay": (groups, selected, measure, width) => replay(groups, measure, style, width),
  };
}

data.groups.forEach((group, id) => (group.id = id));

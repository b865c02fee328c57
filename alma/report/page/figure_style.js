// What the figures share: colours, order, scales and the frame of a Vega specification, without a page.

// Okabe and Ito's colours, which colour-blind people can tell apart, and lighter ones of the same hues for a dark ground.
const PALETTES = {
  light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b08600", "#6f5fc4", "#5c5c5c", "#3a9fd8"],
  dark: ["#56b4e9", "#ff9a5c", "#2bc59b", "#e59cc6", "#f0d14b", "#b3a6ff", "#b8b8b8", "#8ecdf0"],
};
// From short to long waits.
const WAIT_COLOURS = {
  light: ["#440154", "#3b528b", "#21908c", "#5aa83f", "#b58900", "#d55e00", "#8c2d04", "#555555"],
  dark: ["#c9a2ff", "#8aa8ff", "#4fd1c9", "#9be37a", "#fde725", "#ff9a5c", "#ff6f61", "#bbbbbb"],
};
const SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left"];
const DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3]];
const MEASURES = {
  cer: "CER, Eq. 1 (sum of the test errors)",
  paper: "CER as in the paper's figures",
};
// More at once cannot be told apart.
const MOST_CURVES = 8, MOST_PANELS = 12;

const NARROW = 480;  // pixels, of a phone
const computeTitle = (width) => (width < NARROW ? "training compute (MACs forward)" : "training compute, multiply-adds forward (the paper's FLOPs)");

const perplexityTitle = "test perplexity";
/// At most 6 digits: 24.15, 51,200, 1e+9.
const perplexityFormat = ",.6~g";
/// Where a model that has diverged beyond it is drawn, since no axis reaches from 20 to 1e308.
const MOST_PERPLEXITY = 1e9;
const drawn = (value) => Math.min(value, MOST_PERPLEXITY);  // errors are below 1

const unique = (values) => [...new Set(values)];
const byNumber = (a, b) => a - b;
/// "auto" behind the numbers.
const byWait = (a, b) => (a === b ? 0 : a === "auto" ? 1 : b === "auto" ? -1 : a - b);
/// "mnist stream.mega_batches=50" as a part of a file's name.
const fileName = (stream) => stream.replace(/[^\w=.-]+/g, "-");
/// The size of a group from mega-batch t on: [t, parameters, experts].
const sizeAt = (group, t) => group.sizes.findLast((size) => size[0] <= t);
/// The mega-batches at which a group's size changes.
const growths = (group) => group.sizes.filter(([, ...size], i) => i > 0 && size.some((x, k) => x !== group.sizes[i - 1][k + 1])).map(([t]) => t);
const grows = (group) => growths(group).length > 0;
const growsExperts = (group) => group.sizes.some((size) => size[2] > 0 && size[2] !== group.sizes[0][2]);
const family = (learner) => ["SM", "Ens", "UMix", "gEns", "gMoE", "FF"].indexOf(learner.replace(/[\d@]+$/, ""));
const byLearner = (a, b) => family(a) - family(b) || a.localeCompare(b, "en", { numeric: true });

/// What stays the same for a stream whatever is filtered: colours of learners, shapes and colours of waits.
function styleOf(groups, dark) {
  const tone = dark ? "dark" : "light";
  return {
    tone,
    language: groups.some((g) => g.stages),  // a stream of text: perplexity, not error
    ink: dark ? "#e6e6e6" : "#1f2328",
    quiet: dark ? "#9aa4ae" : "#59636e",
    grid: dark ? "#30363d" : "#e4e8ec",
    ground: dark ? "#14181d" : "#ffffff",
    grows: groups.some(grows),
    growsExperts: groups.some(growsExperts),
    learners: unique(groups.map((g) => g.learner)).sort(byLearner),
    waits: unique(groups.map((g) => g.wait)).sort(byWait),
    widths: unique(groups.map((g) => g.h)).sort(byNumber),
  };
}

const entryWidth = (labels) => 44 + 7 * Math.max(...labels.map((label) => String(label).length));
const columnsFor = (width, labels) => Math.max(1, Math.floor(width / entryWidth(labels)));
/// Side by side, learners and waits.
const legendsFit = (style, width) =>
  style.learners.length * entryWidth(style.learners) + Math.max(4, style.waits.length) * entryWidth(style.waits) < width;

function frame(style, width, height, rest) {
  const font = "system-ui, sans-serif";
  return {
    width,
    height,
    padding: { left: 4, right: 8, top: 8, bottom: 4 },
    autosize: { type: "fit", contains: "padding" },
    background: style.ground,
    config: {
      axis: {
        labelColor: style.quiet, titleColor: style.ink, gridColor: style.grid, domainColor: style.quiet, tickColor: style.quiet,
        labelFont: font, titleFont: font, titleFontWeight: "normal", titleFontSize: 12, labelFontSize: 11, titlePadding: 8,
        labelOverlap: "greedy", labelSeparation: 6,
      },
      legend: { labelColor: style.ink, titleColor: style.quiet, labelFont: font, titleFont: font, titleFontWeight: "normal",
                labelFontSize: 12, titleFontSize: 11, symbolSize: 80, columnPadding: 14, offset: 8,
                layout: { bottom: { direction: legendsFit(style, width) ? "horizontal" : "vertical", margin: 14 } } },
      title: { color: style.ink, font, fontSize: 12, fontWeight: 600 },
    },
    ...rest,
  };
}

const colourOfLearner = (style) => ({
  name: "learner", type: "ordinal", domain: style.learners, range: PALETTES[style.tone],
});
const learnerColour = (style, learner) => PALETTES[style.tone][style.learners.indexOf(learner) % PALETTES[style.tone].length];

/// At least a factor of 4, so that points of equal cost have an axis too.
function logDomain(values) {
  const low = Math.min(...values), high = Math.max(...values), room = Math.max(1, Math.sqrt((4 * low) / high));
  return [low / room, high * room];
}

/// Of CER or perplexity: logarithmic where that gives round numbers enough, which it does not over less than half a decade.
function errorScale(lows, highs) {
  const low = Math.min(...lows), high = Math.max(...highs);
  return { name: "y", type: low <= 0 || high < 3 * low ? "linear" : "log", domain: low < high ? [low, high] : [0.9 * low, 1.1 * high],
           range: "height", zero: false, nice: false, padding: 12 };
}

/// Points that no other one beats in both x and y, from left to right.
function paretoFront(points) {
  let best = Infinity;
  return [...points].sort((a, b) => a.x - b.x || a.y - b.y).filter((p) => p.y < best && (best = p.y, true));
}

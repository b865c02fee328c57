// The figures as files: run by Node.js after vega.js, figure_style.js and figures.js, with `data`, inside the folder that gets them.
const { writeFileSync } = require("fs");
async function drawAll() {
  for (const stream of unique(data.groups.map((g) => g.stream))) {
    const groups = data.groups.filter((g) => g.stream === stream);
    const style = styleOf(groups, false);
    for (const [name, figure] of Object.entries(figuresOf(style))) {
      const spec = figure(groups, defaultSelection(groups), "cer", 720);
      if (spec === null) continue;
      const svg = await new vega.View(vega.parse(spec), { renderer: "none" }).toSVG();
      writeFileSync(`${fileName(stream)}-${name}.svg`, svg);
    }
  }
}
drawAll().catch((error) => {
  console.error(`error: ${error.message}`);
  process.exit(1);
});

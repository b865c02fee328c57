// The figures as files: run by Node.js after vega.js and figures.js, with `data` and `folder`.
const { writeFileSync } = require("fs");
async function drawAll() {
  for (const dataset of [...new Set(data.groups.map((g) => g.dataset))]) {
    const groups = data.groups.filter((g) => g.dataset === dataset);
    const style = styleOf(groups, false);
    for (const [name, spec] of Object.entries(allFigures(groups, defaultSelection(groups), "cer", style, 720))) {
      if (spec === null) continue;
      const svg = await new vega.View(vega.parse(spec), { renderer: "none" }).toSVG();
      writeFileSync(`${folder}/${dataset}-${name}.svg`, svg);
    }
  }
}
drawAll().catch((error) => {
  console.error(`error: ${error.message}`);
  process.exit(1);
});

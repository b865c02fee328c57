// Puts the modules of Vega together as its main module does, without what the figures do not use.
Object.assign(modules["vega-dataflow"].transforms, modules["vega-transforms"], modules["vega-view-transforms"], modules["vega-encode"]);
const vega = { View: modules["vega-view"].View, parse: modules["vega-parser"].parse };

// Who may import whom. The order below is the only place where it is written; ARCHITECTURE.md
// tells it in words.

/** Folders of packages/odis/src, each may import only from those before it. */
const order = [
  "portable",
  "core",
  "objects",
  "data",
  "scenes",
  "views",
  "augment",
  "model",
  "loss",
  "recipe",
  "batches",
  "train",
  "formats",
  "run",
  "features",
  "evaluate",
  "report",
  "search",
  "insight",
  "explore",
  "explorer",
  "segment",
  "compare",
  "cli",
];

const src = "^packages/odis/src";

/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: "no-circle",
      comment:
        "Two files that need each other to run are one idea, or hide a third: move the code. " +
        "(Types may look back: a registry names the shape that its entries have.)",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "through-the-door",
      comment: "Other folders come in through index.ts: export the name there, or move the code.",
      severity: "error",
      from: { path: `${src}/([^/]+)/` },
      to: { path: `${src}/[^/]+/.`, pathNot: [`${src}/$1/`, `${src}/[^/]+/index\\.ts$`] },
    },
    {
      name: "bench-through-the-door",
      comment: "The bench uses odis as other folders do.",
      severity: "error",
      from: { path: "^bench/" },
      to: {
        path: "^packages/odis/(src|dist)/[^/]+/.",
        pathNot: "^packages/odis/(src|dist)/[^/]+/index\\.(d\\.)?[jt]s$",
      },
    },
    {
      name: "listed-folder",
      comment: "A new folder takes its place in the order first (.dependency-cruiser.cjs).",
      severity: "error",
      from: { path: `${src}/[^/]+/`, pathNot: `${src}/(${order.join("|")})/` },
      to: {},
    },
    ...order.slice(0, -1).map((folder, place) => ({
      name: `${folder}-comes-before`,
      comment: `${folder}/ stands before this folder: move the code, or pass the value in.`,
      severity: "error",
      from: { path: `${src}/${folder}/` },
      to: { path: `${src}/(${order.slice(place + 1).join("|")})/` },
    })),
    {
      name: "portable-stands-alone",
      comment: "portable/ runs in browsers: it imports nothing (types of pictures apart).",
      severity: "error",
      from: { path: `${src}/portable/` },
      to: { pathNot: [`${src}/portable/`, "^@odis/torch/images$"] },
    },
    {
      name: "page-from-portable",
      comment: "The explorer's page runs in browsers: what it shares with odis is in portable/.",
      severity: "error",
      from: { path: `${src}/explorer/` },
      to: { pathNot: [`${src}/explorer/`, `${src}/portable/index\\.ts$`] },
    },
    {
      name: "torch-stands-alone",
      comment: "@odis/torch knows tensors and nothing of the method.",
      severity: "error",
      from: { path: "^packages/torch/src/" },
      to: { path: "^packages/odis/" },
    },
  ],
  options: {
    doNotFollow: { path: ["node_modules", "/dist/"] },
    tsPreCompilationDeps: true, // types count, too
    tsConfig: { fileName: "tsconfig.base.json" },
  },
};

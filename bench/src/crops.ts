import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openSource, type Sample } from "../../packages/odis/dist/data/index.js";
import { Rng } from "../../packages/odis/dist/core/index.js";
import { type ViewConfig, viewConfig, drawCrops } from "../../packages/odis/dist/views/index.js";
import { percent, printTable } from "./table.js";

const photographs = fileURLToPath(
  new URL("../../packages/odis/test/fixtures/coco-6", import.meta.url),
);
const PATCH = 16;
const IMAGES = 100;

/** Redrawing beside exact drawing: time to place a view, and how often it misses the object. */
export async function benchCrops(): Promise<void> {
  const source = await openSource({
    kind: "coco",
    images: join(photographs, "images"),
    annotations: join(photographs, "instances.json"),
  });
  const samples = await Promise.all(Array.from({ length: source.size }, (_, i) => source.read(i)));
  // One object an image, so that small ones count as often as large ones.
  const single = samples.flatMap((sample) =>
    sample.objects.map((object): Sample => ({ ...sample, objects: [object] })),
  );
  const share = ({ width, height, objects }: Sample) => objects[0]!.area / (width * height);
  const chosen = single.filter((sample) => share(sample) >= viewConfig.parse({}).object.minArea);
  const groups = [
    ["below 2 % of the image", chosen.filter((sample) => share(sample) < 0.02)],
    ["2 % and more", chosen.filter((sample) => share(sample) >= 0.02)],
  ] as const;
  const rows = ["global", "local"].flatMap((kind) =>
    groups.flatMap(([size, group]) =>
      ["redraw", "exact"].map((rule) => [
        `${kind} views, ${group.length} objects ${size}, ${rule}`,
        ...measure(group, kind, rule),
      ]),
    ),
  );
  printTable("placing views of photographs, 2x224 or 10x96, one core", [
    ["", "ms a view", "crops looked at", "not present"],
    ...rows,
  ]);
}

function measure(samples: readonly Sample[], kind: string, crop: string): string[] {
  const config = viewConfig.parse({ object: { crop } });
  // Small crops as global ones: their search is counted.
  const crops = kind === "local" ? config.locals : config.globals;
  const settings: ViewConfig = { ...config, globals: crops };
  const patches = (crops.size / PATCH) ** 2;
  const global = Array.from({ length: crops.count }, () => ({
    visible: new Uint8Array(patches),
    present: new Uint8Array(1),
  }));
  const rng = new Rng("bench crops");
  let [views, looks, absent, ms] = [0, 0, 0, 0];
  for (const sample of samples)
    for (let image = 0; image < IMAGES; image += 1) {
      const began = performance.now();
      const drawn = drawCrops(sample, settings, PATCH, rng, { global, local: [] });
      ms += performance.now() - began;
      views += crops.count;
      looks += drawn.global.reduce((sum, { tries }) => sum + tries, 0);
      absent += global.filter(({ present }) => present[0] === 0).length;
    }
  return [(ms / views).toPrecision(2), (looks / views).toFixed(1), percent(absent / views)];
}

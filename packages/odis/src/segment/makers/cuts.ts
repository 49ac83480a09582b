import { basename } from "node:path";
import { setThreads } from "@odis/torch";
import { ConfigError } from "../../core/index.js";
import { load, type Teacher } from "../../features/index.js";
import { weightsOf } from "../../run/index.js";
import type { Found, Picture } from "../found.js";
import { maskAbove } from "../found.js";
import { guidedFilter } from "../guided-filter.js";
import { type Maker, placeBehind, sha256Of } from "../maker.js";
import { cutParts, type PatchGrid } from "../normalised-cut.js";
import { resizeLinear } from "../resize.js";

const defaults = { score: 0.02, alike: 0.2, most: 3 } as const;

/** Least share of the patches that is an object. */
const LEAST = 0.01;

/** A network's patch features cut where they are least alike: objects that nobody has labelled. */
export const cuts: Maker = {
  name: "cuts",
  places: "cuts:RUN",
  about:
    "objects as a run's own features part them (normalised cuts); odis import makes a run of DINO's weights",
  reads: ["score", "alike", "most", "size", "device", "threads"],
  parse: (text) => placeBehind("cuts", text),
  async open(place, { device, threads, ...options }) {
    if (place === "") throw new ConfigError("--with cuts: wanted cuts:RUN, the folder of a run");
    if (threads !== undefined) setThreads(threads);
    const file = weightsOf(place);
    const teacher = openTeacher(place, options.size, device);
    const settings = {
      score: options.score ?? defaults.score,
      alike: options.alike ?? defaults.alike,
      most: options.most ?? defaults.most,
      size: teacher.size,
    };
    return {
      finder: {
        classes: [],
        find: async (picture, { key }) => find(picture, key, teacher.teacher, settings),
      },
      provenance: {
        maker: "cuts",
        files: [{ name: basename(file), sha256: await sha256Of(file) }],
        settings,
      },
      close: async () => teacher.teacher.free(),
    };
  },
};

/** Twice the side of the training's views: finer grids part objects better. */
const FINER = 2;

function openTeacher(run: string, size: number | undefined, device: string | undefined) {
  const options = device === undefined ? {} : { device };
  if (size !== undefined) return { teacher: load(run, { ...options, size }), size };
  const usual = load(run, options);
  const own = FINER * usual.recipe.views.globals.size;
  usual.free();
  return { teacher: load(run, { ...options, size: own }), size: own };
}

interface Settings {
  readonly score: number;
  /** cosine above which two patches are alike */
  readonly alike: number;
  readonly most: number;
  readonly size: number;
}

function find(picture: Picture, key: string, teacher: Teacher, settings: Settings): Found[] {
  const side = settings.size / teacher.recipe.model.patch;
  const grid = centred({
    rows: side,
    columns: side,
    width: teacher.width,
    features: teacher.patchFeatures({ ...picture, key, objects: [] }),
  });
  const parts = cutParts(grid, { alike: settings.alike, most: settings.most, least: LEAST });
  return parts
    .filter(({ score }) => score >= settings.score)
    .map(
      ({ inside, score }): Found => ({ score, label: -1, mask: refined(inside, grid, picture) }),
    );
}

/** What all patches of a picture have in common tells none from another. */
function centred(grid: PatchGrid): PatchGrid {
  const { rows, columns, width, features } = grid;
  const mean = new Float64Array(width);
  for (let at = 0; at < features.length; at += 1) mean[at % width]! += features[at]!;
  const count = rows * columns;
  return { ...grid, features: features.map((value, at) => value - mean[at % width]! / count) };
}

/** The cells of a grid as a mask of the picture whose edges follow the picture's. */
function refined(inside: Uint8Array, { rows, columns }: PatchGrid, picture: Picture) {
  const { width, height } = picture;
  const cells = { width: columns, height: rows, data: Float32Array.from(inside) };
  const soft = resizeLinear(cells, width, height).data;
  const radius = Math.max(1, Math.round(Math.max(width / columns, height / rows)));
  const fine = guidedFilter(soft, picture, radius);
  return maskAbove(fine, 0.5, { x: 0, y: 0, width, height }, picture);
}

import { countProgress } from "./progress.js";
import { command } from "./command.js";
import { choice, integer, number, path, positional, range } from "./options.js";
import { longestSide } from "./limits.js";

export const scenesCommand = command({
  name: "scenes",
  summary: "Make a data set of scenes with exact object masks from cut-out pictures of things.",
  examples: [
    ["odis scenes data/scenes", "20,000 training and 2,000 test scenes of 64 x 64 pixels"],
    ["odis scenes data/few --train 500 --test 100 --seed 7", "a small one, other pictures"],
    [
      "odis scenes data/stamps --sprites stamps --canvas 96 --objects 2,4",
      "animals, plants, tools, vehicles … in colour",
    ],
  ],
  options: {
    folder: positional(
      path({ help: "where to make it; train/ and test/ are COCO data sets", required: true }),
    ),
    sprites: choice(["fashion-mnist", "stamps"], {
      help: "what the things are: photographs of fashion products, or Tux Paint's stamps",
      default: "fashion-mnist",
    }),
    train: integer({ help: "training scenes", default: 20_000, min: 1 }),
    test: integer({ help: "test scenes, of other things", default: 2_000, min: 1 }),
    canvas: integer({ help: "side of a scene, pixels", default: 64, min: 16, max: longestSide }),
    objects: range({ help: "fewest and most things in a scene (default: 2,5)" }),
    scale: range({ help: "longer side of a thing, as a share of the canvas (default: 0.3,0.6)" }),
    minVisible: number({
      help: "least share of a thing that stays in sight (default: 0.5)",
      min: 0,
      max: 1,
    }),
    tint: number({
      help: "how strongly things are given other colours (default: 0.5, of stamps 0)",
      min: 0,
      max: 1,
    }),
    background: number({
      help: "how far backgrounds depart from grey (default: 0.5)",
      min: 0,
      max: 1,
    }),
    seed: integer({ help: "decides every scene", default: 0, min: 0 }),
  },
  async run({ folder, sprites: kind, ...given }, io) {
    const { makeScenes, spriteFolders } = await import("../scenes/index.js");
    const { train, test, canvas, seed, objects, scale, minVisible, tint, background } = given;
    const options = {
      sprites: { kind, folder: spriteFolders[kind] },
      train,
      test,
      canvas,
      seed,
      ...(objects === undefined ? {} : { objects }),
      ...(scale === undefined ? {} : { scale }),
      ...(minVisible === undefined ? {} : { minVisible }),
      ...(tint === undefined ? {} : { tint }),
      ...(background === undefined ? {} : { background }),
    };
    const made = await makeScenes(folder, options, countProgress(io, "scenes"));
    io.print(
      `${folder}: ${made.fresh ? "made" : "was made before with the same options:"} ` +
        `${train} training and ${test} test scenes`,
    );
    io.print(`  ${made.train.images} ${made.train.annotations}`);
    io.print(`  ${made.test.images} ${made.test.annotations}`);
    return undefined;
  },
});

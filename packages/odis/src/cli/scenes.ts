import { command, integer, path, positional } from "./command.js";

export const scenesCommand = command({
  name: "scenes",
  summary: "Make a data set of scenes with exact object masks from product photographs.",
  examples: [
    ["odis scenes data/scenes", "20,000 training and 2,000 test scenes of 64 x 64 pixels"],
    ["odis scenes data/few --train 500 --test 100 --seed 7", "a small one, other pictures"],
  ],
  options: {
    folder: positional(
      path({ help: "where to make it; train/ and test/ are COCO data sets", required: true }),
    ),
    train: integer({ help: "training scenes", default: 20_000, min: 1 }),
    test: integer({ help: "test scenes, of other products", default: 2_000, min: 1 }),
    canvas: integer({ help: "side of a scene, pixels", default: 64, min: 16 }),
    seed: integer({ help: "decides every scene", default: 0, min: 0 }),
  },
  async run({ folder, ...options }, io) {
    const { makeScenes } = await import("../data/scenes/make.js");
    const { fresh, train, test } = await makeScenes(folder, options, (made, all) => {
      if (io.stderr.isTTY && (made % 100 === 0 || made === all))
        io.stderr.write(`\r${made} of ${all} scenes${made === all ? "\n" : ""}`);
    });
    io.print(
      `${folder}: ${fresh ? "made" : "was made before with the same options:"} ` +
        `${options.train} training and ${options.test} test scenes`,
    );
    io.print(`  ${train.images} ${train.annotations}`);
    io.print(`  ${test.images} ${test.annotations}`);
    return undefined;
  },
});

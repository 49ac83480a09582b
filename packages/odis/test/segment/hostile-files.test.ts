import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BadImageError, OdisError } from "../../src/core/errors.js";
import { openSource } from "../../src/data/dataset.js";
import { cleanDefaults } from "../../src/segment/clean.js";
import { evaluateMasks } from "../../src/segment/evaluate-masks.js";
import { makeMasks, type MakeMasksOptions } from "../../src/segment/make-masks.js";
import { readMaskInfo } from "../../src/segment/mask-file.js";
import { boxesIn, mergeMasks } from "../../src/segment/merge.js";
import { maskConfig } from "../../src/views/config.js";
import { scratchFolder } from "../scratch.js";

const scratch = scratchFolder();
const photos = {
  kind: "coco",
  images: new URL("../fixtures/coco-6/images", import.meta.url).pathname,
  annotations: new URL("../fixtures/coco-6/instances.json", import.meta.url).pathname,
};
const at = (name: string) => join(scratch(), name);

async function options(out: string, stopAfter = Infinity): Promise<MakeMasksOptions> {
  let seen = 0;
  return {
    source: await openSource(photos),
    data: "coco:photos",
    spec: { text: "annotations", options: {} },
    out,
    clean: cleanDefaults,
    degrade: maskConfig.parse({}),
    jobs: 1,
    patience: 100,
    maxBad: 0.5,
    stop: { requested: async () => (seen += 1) >= stopAfter },
  };
}

/** Pieces put over a file somewhere, and its end cut off somewhere. */
const changes = fc.record({
  cut: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 2 }),
  put: fc.array(
    fc.tuple(
      fc.double({ min: 0, max: 0.999999, noNaN: true }),
      fc.oneof(
        fc.uint8Array({ maxLength: 4 }),
        fc
          .constantFrom("{", "]", '"', ",", "null", "1e999", "-1", "9", "../", "\u001b[2J", "\n")
          .map((text) => Buffer.from(text)),
      ),
    ),
    { minLength: 1, maxLength: 3 },
  ),
});

function changed(
  bytes: Buffer,
  { cut, put }: typeof changes extends fc.Arbitrary<infer T> ? T : never,
) {
  let made = cut === null ? bytes : bytes.subarray(0, Math.floor(cut * bytes.length));
  for (const [place, piece] of put) {
    const from = Math.floor(place * made.length);
    made = Buffer.concat([made.subarray(0, from), piece, made.subarray(from + piece.length)]);
  }
  return made;
}

/** A result, or one sentence of ours. */
async function expectSentence(work: () => unknown): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof OdisError)) throw error; // a stack trace on somebody's screen
    expect(error.message.length).toBeLessThan(3000);
    // oxlint-disable-next-line no-control-regex -- what would steer a terminal
    expect(error.message).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]|internal/);
  }
}

describe("changed at any byte: a sentence, or masks; no hang, no stack trace", () => {
  test("a file of masks", async () => {
    await makeMasks(await options(at("masks.json")));
    const whole = readFileSync(at("masks.json"));
    const source = await openSource(photos);
    await fc.assert(
      fc.asyncProperty(changes, async (change) => {
        writeFileSync(at("other.json"), changed(whole, change));
        await expectSentence(async () => readMaskInfo(at("other.json")));
        await expectSentence(() => boxesIn(at("other.json")));
        await expectSentence(() => evaluateMasks(at("other.json"), source));
        const files = [at("masks.json"), at("other.json")];
        await expectSentence(() =>
          mergeMasks({ files, out: at("both.json"), clean: cleanDefaults }),
        );
        await expectSentence(async () => {
          const laid = await openSource({ ...photos, masks: at("other.json") });
          for (let image = 0; image < laid.size; image += 1)
            await laid.read(image).catch((error: unknown) => {
              if (!(error instanceof BadImageError)) throw error;
            });
        });
      }),
      { numRuns: Number(process.env["FUZZ"] ?? 15) },
    );
  });

  test("what was found before an interruption", async () => {
    const out = at("going.json");
    await makeMasks(await options(out, 3));
    const begun = readFileSync(`${out}.part`);
    await fc.assert(
      fc.asyncProperty(changes, async (change) => {
        rmSync(out, { force: true });
        writeFileSync(`${out}.part`, changed(begun, change));
        await expectSentence(async () => {
          await makeMasks(await options(out));
          // What was taken for whole must be whole.
          await openSource({ ...photos, masks: out });
        });
      }),
      { numRuns: Number(process.env["FUZZ"] ?? 40) },
    );
  });
});

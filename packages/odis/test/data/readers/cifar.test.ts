import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OdisError } from "../../../src/core/errors.js";
import { openSource, parseDataSpec } from "../../../src/data/dataset.js";
import { scratchFolder } from "../../scratch.js";

const scratch = scratchFolder();

/** A record whose red, green and blue pixels are 100 + n, n, and their place modulo 7. */
const record = (n: number, ...labels: number[]): Buffer =>
  Buffer.from([
    ...labels,
    ...Buffer.alloc(1024, 100 + n),
    ...Buffer.alloc(1024, n),
    ...Array.from({ length: 1024 }, (_, at) => at % 7),
  ]);

function cifar10(): string {
  const folder = join(scratch(), "cifar-10-batches-bin");
  mkdirSync(folder);
  for (const n of [1, 2, 3, 4, 5])
    writeFileSync(
      join(folder, `data_batch_${n}.bin`),
      Buffer.concat([record(n, 1), record(n + 10, 0)]),
    );
  writeFileSync(join(folder, "test_batch.bin"), record(3, 1));
  writeFileSync(join(folder, "batches.meta.txt"), "airplane\nautomobile\n\n");
  return folder;
}

describe("CIFAR's binary files", () => {
  test("are pictures with one object each, in the order of the files", async () => {
    const folder = cifar10();
    const train = await openSource(parseDataSpec(`cifar:${folder}/train`));
    expect([train.size, train.classes]).toEqual([10, ["airplane", "automobile"]]);
    expect([train.key(0), train.key(3)]).toEqual(["data_batch_1.bin:0", "data_batch_2.bin:1"]);
    const { width, height, rgb, objects } = await train.read(3);
    expect([width, height, ...rgb.subarray(0, 9)]).toEqual([
      32, 32, 112, 12, 0, 112, 12, 1, 112, 12, 2,
    ]);
    expect(objects.map(({ label, area }) => [label, area])).toEqual([[0, 1024]]);
    const test = await openSource(parseDataSpec(`cifar:${folder}/test`));
    expect(test.size).toBe(1);
    // The same picture in both parts is known as such.
    expect(await test.picture!(0)).toBe(await train.picture!(4));
    expect(await test.picture!(0)).not.toBe(await train.picture!(5));
  });

  test("of 100 classes have the fine ones", async () => {
    const folder = join(scratch(), "cifar-100-binary");
    mkdirSync(folder);
    writeFileSync(join(folder, "train.bin"), Buffer.concat([record(1, 4, 2), record(2, 0, 1)]));
    writeFileSync(join(folder, "test.bin"), record(1, 4, 0));
    writeFileSync(join(folder, "fine_label_names.txt"), "apple\nbear\ncan\n");
    const source = await openSource(parseDataSpec(folder));
    expect([source.size, (await source.read(0)).objects[0]!.label]).toEqual([2, 2]);
  });

  test("that are not whole are refused in a sentence", async () => {
    const folder = cifar10();
    const open = (place: string) => openSource(parseDataSpec(place));
    await expect(open(`cifar:${folder}`)).rejects.toThrow(
      `data cifar:${folder}: wanted the part behind the folder, cifar:${folder}/train or /test`,
    );
    writeFileSync(join(folder, "test_batch.bin"), record(3, 1).subarray(0, 3000));
    await expect(open(`cifar:${folder}/test`)).rejects.toThrow(
      `cifar file ${folder}/test_batch.bin has 3000 bytes; wanted a multiple of 3073`,
    );
    await expect(open(`cifar:${scratch()}/train`)).rejects.toThrow(
      "it has neither batches.meta.txt nor fine_label_names.txt; wanted a folder of the binary version",
    );
    writeFileSync(join(folder, "test_batch.bin"), record(3, 7));
    const source = await open(`cifar:${folder}/test`);
    await expect(source.read(0)).rejects.toThrow(
      "image test_batch.bin:0: its class is 7; wanted less than 2",
    );
  });

  test("of any length, with any labels, are data or a sentence", async () => {
    const folder = cifar10();
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("test_batch.bin", "data_batch_2.bin", "batches.meta.txt"),
        fc.oneof(
          fc.uint8Array({ maxLength: 20 }),
          fc.nat({ max: 7000 }).map((n) => new Uint8Array(n).fill(n)),
        ),
        async (file, bytes) => {
          const before = readFileSync(join(folder, file));
          writeFileSync(join(folder, file), bytes);
          for (const part of ["train", "test"]) {
            try {
              const source = await openSource(parseDataSpec(`cifar:${folder}/${part}`));
              for (let at = 0; at < source.size; at += 1) await source.read(at);
            } catch (error) {
              expect(error).toBeInstanceOf(OdisError);
            }
          }
          writeFileSync(join(folder, file), before);
        },
      ),
      { numRuns: 60 },
    );
  });
});

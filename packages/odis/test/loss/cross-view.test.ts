import { fromBuffer, tensor, tensorScope } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { crossViewLoss } from "../../src/loss/cross-view.js";
import { pairWeights } from "../../src/loss/cross-view.js";
import { expectClose } from "../golden.js";

describe("pair weights", () => {
  it("average over existing pairs only: an absent object changes nothing", () => {
    // One image, two global views, one local; the object is missing in global view 1.
    const student = Uint8Array.from([1, 0, 1]);
    const weights = pairWeights(
      { student, teacher: student.subarray(0, 2) },
      { S: 3, G: 2, B: 1, O: 1 },
      "pairs",
    );
    // Only (local, global 0) has the object at both ends.
    expect([...weights]).toEqual([0, 0, 0, 0, 1, 0]);
  });

  it("count missing pairs as zero under `images`", () => {
    const student = Uint8Array.from([1, 0, 1]);
    const weights = pairWeights(
      { student, teacher: student.subarray(0, 2) },
      { S: 3, G: 2, B: 1, O: 1 },
      "images",
    );
    expect([...weights]).toEqual([0, 0, 0, 0, 0.25, 0]);
  });

  it("sum to 0 when no object exists", () => {
    const none = new Uint8Array(3);
    const weights = pairWeights(
      { student: none, teacher: none },
      { S: 3, G: 2, B: 1, O: 1 },
      "pairs",
    );
    expect(weights.every((weight) => weight === 0)).toBe(true);
  });
});

describe("cross-view loss", () => {
  it("equals the plain loops, leaves absent rows without gradient, and is 0 when nothing exists", () => {
    using _scope = tensorScope();
    const [views, teachers, rows, K] = [3, 2, 2, 4];
    const logits = Float32Array.from({ length: views * rows * K }, (_, i) => Math.sin(3 * i));
    const student = tensor(logits, [views, rows, K]).requiresGrad_(true);
    const raw = tensor(
      Float32Array.from({ length: teachers * rows * K }, (_, i) => Math.cos(5 * i)),
      [teachers, rows, K],
    );
    const teacher = raw.softmax(-1);
    const present = Uint8Array.from([1, 0, 1, 0, 1, 0]); // [views, rows]: row 1 is nowhere
    const weight = pairWeights(
      { student: present, teacher: present.subarray(0, 4) },
      { S: views, G: teachers, B: rows, O: 1 },
      "pairs",
    );
    const q = teacher.toFloat32();
    let expected = 0;
    for (let s = 0; s < views; s += 1)
      for (let g = 0; g < teachers; g += 1)
        for (let r = 0; r < rows; r += 1) {
          const row = logits.subarray((s * rows + r) * K, (s * rows + r + 1) * K);
          const total = Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));
          for (let k = 0; k < K; k += 1)
            expected -=
              weight[(s * teachers + g) * rows + r]! *
              q[(g * rows + r) * K + k]! *
              (row[k]! - total);
        }
    const loss = crossViewLoss(student, teacher, fromBuffer(weight, [views, teachers, rows]));
    expectClose([loss.item()], [expected]);
    loss.backward();
    const gradient = student.grad!.select(1, 1).toFloat32();
    expect(gradient.every((x) => x === 0)).toBe(true);
    const none = crossViewLoss(
      student,
      teacher,
      fromBuffer(new Float32Array(12), [views, teachers, rows]),
    );
    expect(none.item()).toBe(0);
  });
});

import { cat, fromBuffer, type Tensor, tensor, tensorScope } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { Center } from "../../src/loss/centering.js";
import { crossViewLoss, rowLoss } from "../../src/loss/cross-entropy.js";
import { hiddenRows, pairWeights } from "../../src/loss/pairs.js";
import { expectClose, golden } from "../golden.js";

interface Case {
  readonly num_object_tokens: number;
  readonly lambda_patch: number;
  readonly lambda_obj: number;
  readonly temps_at_call: readonly { readonly patch: number; readonly obj: number }[];
}

const reference = golden("loss-odis");
const { cases } = reference.info as { cases: Record<string, Case> };
const [B, G, L, N] = [4, 2, 4, 9];
const S = G + L;

// L[OBJ], L[PATCH] and both centres, in the lineage's own denominators ("images").
describe("losses against the lineage's iBOTLoss", () => {
  for (const [
    name,
    { num_object_tokens: O, lambda_obj, lambda_patch, temps_at_call },
  ] of Object.entries(cases)) {
    for (const [call, temps] of temps_at_call.entries()) {
      it(`${name}, call ${call}: values, gradients and centres`, () => {
        using _scope = tensorScope();
        const at = `${name}/call${call}`;
        const read = (key: string): Tensor =>
          tensor(reference.floats(`${at}/${key}`), reference.shape(`${at}/${key}`));
        const [global, local, patches] = ["student_obj", "student_local_obj", "student_patch"].map(
          (key) => read(key).requiresGrad_(true),
        ) as [Tensor, Tensor, Tensor];
        const K = global.shape.at(-1)!;
        const Kp = patches.shape.at(-1)!;

        const center = (key: string, width: number): Center => {
          const made = new Center(width, 0.9, "cpu");
          made.value.copy_(read(`center_${key}_before`).flatten().narrow(0, 0, width));
          return made;
        };
        const teacherObj = read("teacher_obj");
        const teacherPatch = read("teacher_patch");

        const labels = reference.floats(`${at}/obj_labels`); // [S, B, O]
        const present = Uint8Array.from(labels, (label) => Number(label > 0));
        const weights = pairWeights(
          { student: present, teacher: present.subarray(0, G * B * O) },
          { S, G, B, O },
          "images",
        );
        // Each object slot has a centre of its own in the lineage.
        const before = read("center_obj_before");
        const centred = teacherObj
          .sub(before.reshape([1, -1, K]))
          .div(temps.obj)
          .softmax(-1);
        const object = crossViewLoss(
          cat([global, local], 0)
            .reshape([S, B * O, K])
            .div(0.1),
          centred.reshape([G, B * O, K]),
          fromBuffer(weights, [S, G, B * O]),
        ).mul(lambda_obj);

        const rows = hiddenRows(reference.uint8(`${at}/mim_masks`), G * B, N);
        const index = tensor(
          BigInt64Array.from(rows.view, (v, m) => BigInt(v * N + rows.patch[m]!)),
          [rows.view.length],
        );
        const patchCenter = center("patch", Kp);
        const patch = rowLoss(
          patches.flatten(0, 1).indexSelect(0, index).div(0.1),
          patchCenter.sharpen(teacherPatch.flatten(0, 1).indexSelect(0, index), temps.patch),
          fromBuffer(rows.weight, [rows.weight.length]),
        ).mul(lambda_patch);

        expectClose([object.item()], reference.floats(`${at}/obj`));
        expectClose([patch.item()], reference.floats(`${at}/patch`));
        object.add(patch).backward();
        expectClose(global.grad!.toFloat32(), reference.floats(`${at}/grad/student_obj`));
        expectClose(local.grad!.toFloat32(), reference.floats(`${at}/grad/student_local_obj`));
        expectClose(patches.grad!.toFloat32(), reference.floats(`${at}/grad/student_patch`));

        patchCenter.update(teacherPatch.flatten(0, 1).mean([0]));
        expectClose(patchCenter.value.toFloat32(), reference.floats(`${at}/center_patch_after`));
        if (O > 1) return;
        const objectCenter = center("obj", K);
        objectCenter.update(teacherObj.flatten(0, 1).mean([0]));
        expectClose(objectCenter.value.toFloat32(), reference.floats(`${at}/center_obj_after`));
      });
    }
  }
});

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

  it("count missing pairs as zero under the lineage's rule", () => {
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

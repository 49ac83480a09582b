import { fromBuffer, full, stack, type Tensor, tensor, tensorScope } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { Center, sinkhorn } from "../../src/loss/centering.js";
import { crossViewLoss, rowLoss } from "../../src/loss/cross-view.js";
import { koleo } from "../../src/loss/centering.js";
import { hiddenRows } from "../../src/loss/cross-view.js";
import { expectClose, golden } from "../golden.js";

const reference = golden("loss-dinov2");
const read = (name: string): Tensor => tensor(reference.floats(name), reference.shape(name));

describe("Sinkhorn-Knopp against DINOv2", () => {
  for (const kind of ["sk_dino", "sk_patch"])
    for (const iterations of [1, 3])
      it(`${kind}, ${iterations} iteration${iterations > 1 ? "s" : ""}`, () => {
        using _scope = tensorScope();
        const targets = sinkhorn(read(`${kind}/teacher_logits`), 0.06, iterations);
        expectClose(targets.toFloat32(), reference.floats(`${kind}/iters${iterations}`));
      });

  it("stays finite for logits whose exponential overflows", () => {
    using _scope = tensorScope();
    const targets = sinkhorn(tensor(Float32Array.from([90, 1, 2, 80, -90, 0]), [2, 3]), 0.05, 3);
    for (const row of [targets.select(0, 0), targets.select(0, 1)])
      expect(row.sum().item()).toBeCloseTo(1, 5);
  });
});

describe("KoLeo against DINOv2", () => {
  it("value and gradient", () => {
    using _scope = tensorScope();
    const input = read("koleo/input").requiresGrad_(true);
    const loss = koleo(input);
    expectClose([loss.item()], reference.floats("koleo/loss"));
    loss.backward();
    expectClose(input.grad!.toFloat32(), reference.floats("koleo/grad_input"));
  });

  it("leaves duplicates without a push, and finite", () => {
    using _scope = tensorScope();
    const twins = tensor(Float32Array.from([1, 2, 3, 1, 2, 3]), [2, 3]).requiresGrad_(true);
    const loss = koleo(twins);
    loss.backward();
    expect(loss.item()).toBeCloseTo(-Math.log(1e-4), 3);
    expect([...twins.grad!.toFloat32()]).toEqual([0, 0, 0, 0, 0, 0]);
  });
});

describe("DINOv2's losses on our terms", () => {
  it("cross-view: the sum over all pairs of given students and teachers", () => {
    using _scope = tensorScope();
    const [S, G, B] = [3, 2, 5];
    const students = [0, 1, 2].map((view) => read(`dino/student${view}`).requiresGrad_());
    const teachers = stack([0, 1].map((view) => read(`dino/teacher_probs${view}`)));
    const weight = full([S, G, B], 1 / B);
    const loss = crossViewLoss(stack(students).div(0.1), teachers, weight);
    expectClose([loss.item()], reference.floats("dino/loss"));
    loss.backward();
    for (const [view, student] of students.entries())
      expectClose(student.grad!.toFloat32(), reference.floats(`dino/grad_student${view}`));
  });

  const images = 4;
  const masks = reference.uint8("patch/masks"); // [4, 16]
  const rows = hiddenRows(masks, images, 16);

  it("patches: hidden ones of each image weigh as much as those of any other", () => {
    using _scope = tensorScope();
    const student = read("patch/student_masked_padded").requiresGrad_();
    const some = student.narrow(0, 0, rows.weight.length);
    const teacher = read("patch/teacher_probs_masked_padded").narrow(0, 0, rows.weight.length);
    expectClose(
      rows.weight.map((weight) => weight * images),
      reference.floats("patch/auto/masks_weight"),
    );
    const loss = rowLoss(some.div(0.1), teacher, fromBuffer(rows.weight, [rows.weight.length]));
    expectClose([loss.item()], reference.floats("patch/auto/loss"));
    loss.backward();
    expectClose(
      student.grad!.narrow(0, 0, rows.weight.length).toFloat32(),
      reference.floats("patch/auto/grad_student"),
    );
  });

  it("patches with weights of one's own, and none on padding", () => {
    using _scope = tensorScope();
    const student = read("patch/student_masked_padded").requiresGrad_();
    const [padded] = student.dims(2);
    const custom = reference.floats("patch/masks_weight_custom");
    const weight = new Float32Array(padded);
    weight.set(custom.map((one) => one / images));
    const loss = rowLoss(
      student.div(0.1),
      read("patch/teacher_probs_masked_padded"),
      fromBuffer(weight, [padded]),
    );
    expectClose([loss.item()], reference.floats("patch/custom_padded/loss"));
    loss.backward();
    expectClose(student.grad!.toFloat32(), reference.floats("patch/custom_padded/grad_student"));
  });

  it("the unpacked form of the same", () => {
    using _scope = tensorScope();
    const student = read("patch_dense/student").requiresGrad_();
    const index = fromBuffer(
      BigInt64Array.from(rows.view, (view, m) => BigInt(view * 16 + rows.patch[m]!)),
      [rows.weight.length],
    );
    const pick = (all: Tensor): Tensor => all.flatten(0, 1).indexSelect(0, index);
    const loss = rowLoss(
      pick(student).div(0.1),
      pick(read("patch_dense/teacher_probs")),
      fromBuffer(rows.weight, [rows.weight.length]),
    );
    expectClose([loss.item()], reference.floats("patch_dense/loss"));
    loss.backward();
    expectClose(student.grad!.toFloat32(), reference.floats("patch_dense/grad_student"));
  });

  for (const kind of ["cls", "patch"] as const)
    it(`moving centre of ${kind}: in force one step after it was measured`, () => {
      using _scope = tensorScope();
      const center = new Center([64], 0.9, "cpu");
      for (const step of [0, 1, 2]) {
        const at = `center/step${step}`;
        expectClose(center.value.toFloat32(), reference.floats(`${at}/center_used_${kind}`));
        const teacher = read(`${at}/teacher_${kind}`).reshape([-1, 64]);
        const targets = center.sharpen(teacher, 0.06);
        expectClose(targets.toFloat32(), reference.floats(`${at}/probs_${kind}`));
        center.update(teacher.sum([0]), tensor(teacher.dims(2)[0], []));
      }
    });
});

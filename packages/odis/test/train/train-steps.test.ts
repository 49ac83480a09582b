import { noGrad, type Tensor, tensorScope } from "@odis/torch";
import { describe, expect, it } from "vitest";
import type { Network } from "../../src/model/network.js";
import { type Length, scheduleValuesAt } from "../../src/recipe/schedules.js";
import { trainOn } from "../../src/train/loop.js";
import { createState, stateTensors } from "../../src/train/state.js";
import { type DeviceViews, upload } from "../../src/train/upload.js";
import { device } from "../device.js";
import { expectClose, golden, goldenGroups } from "../golden.js";
import {
  batchOf,
  comparable,
  contents,
  expectStep,
  initialWeights,
  type Inputs,
  recipeOf,
  startFrom,
  studentName,
  type Trajectory,
} from "./trajectory.js";

const inputs = new Map(
  goldenGroups("train-steps-")
    .filter((group) => group.includes("inputs"))
    .map((group) => [`${group}.safetensors`, golden<Inputs>(group)]),
);

for (const group of goldenGroups("train-steps-").filter((name) => !name.includes("inputs"))) {
  describe(`whole training steps against the published code: ${group}`, () => {
    const reference = golden<Trajectory>(group);
    const { info } = reference;
    const views = inputs.get(info.inputs)!;
    const recipe = recipeOf(info, views.info);
    const { epochs, niter_per_epoch: stepsPerEpoch } = info.config.optimizer;
    const length: Length = { stepsPerEpoch, totalSteps: epochs * stepsPerEpoch };
    const weights = initialWeights(reference);

    it("losses, gradient norms, weights, teacher, centres, moments", () => {
      using _scope = tensorScope();
      using state = createState(recipe, device);
      startFrom(state, weights);
      const order = state.student.namedParameters().map(([path]) => path);
      for (const [step, wanted] of info.steps.entries()) {
        const values = scheduleValuesAt(recipe, length, step);
        const report = trainOn(state, batchOf(views, step), values);
        expect(values.lr).toBeCloseTo(wanted.lr, 12);
        expect(values.weightDecay).toBeCloseTo(wanted.weight_decay_group0, 12);
        expect(values.teacherMomentum).toBeCloseTo(wanted.momentum, 12);
        expect(values.teacherTemperature).toBeCloseTo(wanted.teacher_temp, 12);
        expectStep(reference, step, contents(state), report, order);
      }
      for (const [path, { updates }] of state.optimizer.state())
        expect(updates, path).toBe(info.adam_step[path.replace("backbone.", "")]);
      const tensors = stateTensors(state);
      for (const moment of ["mean", "square"] as const)
        for (const key of reference.names(`final/adam_${moment === "mean" ? "m" : "v"}/`)) {
          const parameter = key.split("/").slice(2).join("/");
          const name = studentName(parameter).replace("student", `optimizer.${moment}`);
          expectClose(
            comparable(parameter, tensors.get(name)!.toFloat32()),
            comparable(parameter, reference.floats(key)),
          );
        }
    });

    const logits = reference.names("step0/logits/");
    if (logits.length > 0)
      it("logits of the first step, on every token", () => {
        using _scope = tensorScope();
        using state = createState(recipe, device);
        startFrom(state, weights);
        using batch = upload(state, batchOf(views, 0), scheduleValuesAt(recipe, length, 0));
        const [{ global, local }] = batch.microBatches as [(typeof batch.microBatches)[0]];
        const made = noGrad(() => ({
          teacher: everyLogit(state.teacher, global),
          student: everyLogit(state.student, global, global.hidden),
          student_local: everyLogit(state.student, local!),
        }));
        for (const key of logits) {
          const [side = "", kind] = /^(.*?)(?:_(cls|obj|patch))?$/
            .exec(key.split("/")[2]!)!
            .slice(1);
          const kinds = kind ?? "cls"; // DINO knows one kind, its locals behind the globals
          const parts =
            kind === undefined && side === "student" ? ["student", "student_local"] : [side];
          const got = parts.flatMap((part) => [
            ...made[part as keyof typeof made][kinds as "cls" | "obj" | "patch"]!.toFloat32(),
          ]);
          expectClose(got, reference.floats(key), { what: key });
        }
      });

    const gradients = reference.names("step0/grad/");
    if (gradients.length > 0)
      it("gradients of the first step, before clipping", () => {
        using _scope = tensorScope();
        const plain = { ...recipe.optim, clip: 0, freezeLastLayerEpochs: 0, beta1: 0 };
        using state = createState({ ...recipe, optim: plain }, device);
        startFrom(state, weights);
        trainOn(state, batchOf(views, 0), scheduleValuesAt(state.recipe, length, 0));
        // With a memory of 0 AdamW's first moment is the gradient.
        const tensors = stateTensors(state);
        for (const key of gradients) {
          const parameter = key.split("/").slice(2).join("/");
          const mean = tensors.get(studentName(parameter).replace("student", "optimizer.mean"))!;
          expectClose(mean.toFloat32(), reference.floats(key), { what: key });
        }
      });
  });
}

/** Logits of every token of some views, by the published names of the kinds. */
function everyLogit(
  network: Network,
  { images, visible }: DeviceViews,
  hidden?: Tensor,
): Readonly<Partial<Record<"cls" | "obj" | "patch", Tensor>>> {
  const { layout } = network.backbone;
  const tokens = network.forward(images, {
    visible: layout.objects > 0 ? visible : undefined,
    hidden,
  });
  const kinds = {
    ...(layout.cls && { cls: tokens.narrow(1, 0, 1) }),
    ...(layout.objects > 0 && { obj: tokens.narrow(1, layout.firstObject, layout.objects) }),
    patch: layout.patchesOf(tokens),
  };
  const names = { cls: "cls", obj: "object", patch: "patch" } as const;
  return Object.fromEntries(
    Object.entries(kinds).map(([kind, rows]) => [
      kind,
      network
        .headOf(names[kind as keyof typeof names])
        .forward(rows.flatten(0, 1), names[kind as keyof typeof names]),
    ]),
  );
}

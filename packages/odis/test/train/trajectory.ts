import { noGrad, type Tensor, tensor } from "@odis/torch";
import { expect } from "vitest";
import type { Batch } from "../../src/batches/batch.js";
import type { TokenKind } from "../../src/model/head.js";
import { type Recipe, recipeSchema } from "../../src/recipe/schema.js";
import { stateTensors, type TrainState } from "../../src/train/state.js";
import type { StepReport } from "../../src/train/step.js";
import { expectClose, type Golden } from "../golden.js";

/** What the JSON of a trajectory says: some training steps of the published code. */
export interface Trajectory {
  readonly method: "odis" | "odis-cls" | "ibot" | "dino";
  readonly config: {
    readonly img_size: number;
    readonly local_size: number;
    readonly patch_size: number;
    readonly embed_dim: number;
    readonly depth: number;
    readonly num_heads: number;
    readonly mlp_ratio: number;
    readonly layer_norm_eps: number;
    readonly drop_path: number;
    readonly head: {
      readonly hidden_dim: number;
      readonly bottleneck_dim: number;
      readonly out_dim: number;
      readonly patch_out_dim?: number;
      readonly shared_head: boolean;
      readonly norm_last_layer: boolean;
    };
    readonly loss: {
      readonly student_temp: number;
      readonly center_momentum: number;
      readonly warmup_teacher_temp: number;
      readonly teacher_temp: number;
      readonly warmup_teacher_temp_epochs: number;
      readonly warmup_teacher_patch_temp?: number;
      readonly teacher_patch_temp?: number;
      readonly lambdas: Readonly<Partial<Record<"cls" | "patch" | "obj", number>>>;
    };
    readonly optimizer: {
      readonly betas: readonly [number, number];
      readonly eps: number;
      readonly base_lr: number;
      readonly batch_total: number;
      readonly min_lr: number;
      readonly warmup_epochs: number;
      readonly weight_decay: number;
      readonly weight_decay_end: number;
      readonly momentum_teacher: number;
      readonly momentum_end: number;
      readonly epochs: number;
      readonly niter_per_epoch: number;
      readonly clip_grad: number;
      readonly freeze_last_layer: number;
    };
  };
  readonly inputs: string;
  readonly param_order: readonly string[];
  readonly adam_step: Readonly<Record<string, number>>;
  readonly steps: readonly {
    readonly lr: number;
    readonly weight_decay_group0: number;
    readonly momentum: number;
    readonly teacher_temp: number;
    readonly losses: Readonly<Partial<Record<"cls" | "patch" | "obj" | "loss", number>>>;
  }[];
}

/** What the JSON of a trajectory's inputs says. */
export interface Inputs {
  readonly config: {
    readonly batch: number;
    readonly global_crops: number;
    readonly local_crops: number;
    readonly img: number;
    readonly local: number;
    readonly patch_size: number;
  };
}

/** The published method in our settings. */
export function recipeOf({ config, method }: Trajectory, { config: views }: Inputs): Recipe {
  const { head, loss, optimizer } = config;
  expect(optimizer.eps).toBe(1e-8); // not a setting of ours
  const { lambdas } = loss;
  return recipeSchema.parse({
    model: {
      tokens: { odis: "obj", "odis-cls": "cls+obj", ibot: "cls", dino: "cls" }[method],
      dim: config.embed_dim,
      depth: config.depth,
      heads: config.num_heads,
      mlpRatio: config.mlp_ratio,
      patch: config.patch_size,
      normEpsilon: config.layer_norm_eps,
      dropPath: config.drop_path,
    },
    head: {
      hidden: head.hidden_dim,
      bottleneck: head.bottleneck_dim,
      prototypes: head.out_dim,
      share: head.shared_head ? "all" : "mlp",
      ...(head.shared_head ? {} : { patchPrototypes: head.patch_out_dim ?? head.out_dim }),
      normLastLayer: head.norm_last_layer,
    },
    views: {
      globals: { count: views.global_crops, size: config.img_size },
      locals: { count: views.local_crops, size: config.local_size },
    },
    loss: {
      clsWeight: lambdas.cls ?? 0,
      objectWeight: lambdas.obj ?? 0,
      patchWeight: lambdas.patch ?? 0,
      studentTemperature: loss.student_temp,
      teacherTemperature: {
        start: loss.warmup_teacher_temp,
        end: loss.teacher_temp,
        warmupEpochs: loss.warmup_teacher_temp_epochs,
      },
      patchTemperature: {
        start: loss.warmup_teacher_patch_temp ?? loss.warmup_teacher_temp,
        end: loss.teacher_patch_temp ?? loss.teacher_temp,
        warmupEpochs: loss.warmup_teacher_temp_epochs,
      },
      centerMomentum: loss.center_momentum,
      patchCenter: "all",
      pairMean: "images",
    },
    optim: {
      batch: optimizer.batch_total,
      epochs: optimizer.epochs,
      lr: optimizer.base_lr,
      minLr: optimizer.min_lr,
      warmupEpochs: optimizer.warmup_epochs,
      weightDecay: { start: optimizer.weight_decay, end: optimizer.weight_decay_end },
      beta1: optimizer.betas[0],
      beta2: optimizer.betas[1],
      clip: optimizer.clip_grad,
      freezeLastLayerEpochs: optimizer.freeze_last_layer,
    },
    teacher: { momentum: { start: optimizer.momentum_teacher, end: optimizer.momentum_end } },
  });
}

/** The views of a step as the loader would give them. */
export function batchOf(inputs: Golden<Inputs>, step: number): Batch {
  const { batch: B, global_crops: G, local_crops: L, img, local } = inputs.info.config;
  const labels = inputs.floats(`step${step}/obj_labels`); // [V, B]
  const present = Uint8Array.from(labels, (label) => Number(label > 0));
  const pixels = (kind: string, count: number): Float32Array =>
    Float32Array.from(
      Array.from({ length: count }, (_, view) => [
        ...inputs.floats(`step${step}/${kind}${view}`),
      ]).flat(),
    );
  return {
    step,
    size: B,
    objects: 1,
    keys: Array.from({ length: B }, (_, image) => `image ${image}`),
    global: {
      views: G,
      size: img,
      pixels: pixels("global", G),
      visible: inputs.uint8(`step${step}/obj_masks`),
      hidden: inputs.uint8(`step${step}/mim_masks`),
      present: present.subarray(0, G * B),
    },
    local: {
      views: L,
      size: local,
      pixels: pixels("local", L),
      present: present.subarray(G * B),
    },
    stats: { wanted: 1, tries: [1, 1], absent: 0, skipped: [] },
  };
}

/** Where the published name of a student's weight stands in our state. */
export function studentName(name: string): string {
  return `student.${name.startsWith("head.") ? name : `backbone.${name}`}`.replace(
    "last_layer2",
    "last_layer_patch",
  );
}

/** The published initial weights by our names, for student and teacher. */
export function initialWeights(
  reference: Golden<Trajectory>,
): ReadonlyMap<string, { readonly data: Float32Array; readonly shape: readonly number[] }> {
  return new Map(
    reference.info.param_order.flatMap((parameter) => {
      const key = `init/${parameter}`;
      const weight = { data: reference.floats(key), shape: reference.shape(key) };
      const student = studentName(parameter);
      return [
        [student, weight],
        [student.replace("student", "teacher"), weight],
      ] as const;
    }),
  );
}

export function startFrom(state: TrainState, weights: ReturnType<typeof initialWeights>): void {
  const tensors = stateTensors(state);
  noGrad(() => {
    for (const [name, { data, shape }] of weights) tensors.get(name)?.copy_(tensor(data, shape));
  });
}

/** The key third of qkv.bias has a true gradient of 0: what Adam makes of its rounding noise is chance. */
export function comparable(name: string, values: Float32Array): Float32Array {
  if (!name.endsWith("attn.qkv.bias")) return values;
  const third = values.length / 3;
  return Float32Array.from([...values.subarray(0, third), ...values.subarray(2 * third)]);
}

/** Limits of the golden data's notes for what several steps have made. */
export function expectWeight(name: string, actual: Float32Array, expected: Float32Array): void {
  const got = comparable(name, actual);
  const wanted = comparable(name, expected);
  expect(got, name).toHaveLength(wanted.length);
  for (const [i, value] of wanted.entries())
    if (!(Math.abs(got[i]! - value) <= 2e-5 + 1e-5 * Math.abs(value)))
      expect.fail(`${name}[${i}]: got ${got[i]}, wanted ${value}`);
}

export function expectRelative(actual: number, expected: number, what: string): void {
  expect(
    Math.abs(actual - expected),
    `${what}: got ${actual}, wanted ${expected}`,
  ).toBeLessThanOrEqual(3e-5 * Math.abs(expected));
}

/** Names of centres in the published code -> kinds of token. */
const centers: Readonly<Record<string, TokenKind>> = {
  center: "cls",
  center2: "patch",
  center_cls: "cls",
  center_obj: "object",
  center_patch: "patch",
};

/** State and report after a step against the published one. */
export function expectStep(
  reference: Golden<Trajectory>,
  step: number,
  tensors: ReadonlyMap<string, Float32Array>,
  report: Pick<StepReport, "terms" | "gradientNorms">,
  order: readonly string[],
): void {
  const { method, steps, param_order } = reference.info;
  const { cls, obj, patch, loss } = steps[step]!.losses;
  const { terms } = report;
  expectRelative(terms.total, loss!, "loss");
  if (method !== "dino" && cls !== undefined) expectRelative(terms.cls, cls, "cls");
  if (obj !== undefined) expectRelative(terms.object, obj, "object");
  if (patch !== undefined) expectRelative(terms.patch, patch, "patch");
  const norms = reference.floats(`step${step}/grad_norm`);
  for (const [index, parameter] of param_order.entries()) {
    const got =
      report.gradientNorms[order.indexOf(studentName(parameter).slice("student.".length))];
    if (norms[index] === -1) expect(got, parameter).toBeUndefined();
    else expectRelative(got!, norms[index]!, `gradient norm of ${parameter}`);
  }
  for (const side of ["student", "teacher"] as const)
    for (const key of reference.names(`step${step}/${side}/`)) {
      const name = studentName(key.slice(`step${step}/${side}/`.length)).replace("student", side);
      expectWeight(key, tensors.get(name)!, reference.floats(key));
    }
  for (const key of reference.names(`step${step}/center`)) {
    const kind = centers[key.slice(`step${step}/`.length)]!;
    expectClose(tensors.get(`centers.${kind}`)!, reference.floats(key), { what: key });
  }
}

/** What is in a state, on the host. */
export function contents(state: TrainState): ReadonlyMap<string, Float32Array> {
  return new Map(
    [...stateTensors(state)].map(([name, value]: [string, Tensor]) => [name, value.toFloat32()]),
  );
}

import { cat, fromBuffer, type Tensor, tensor, tensorScope } from "@odis/torch";
import { describe, it } from "vitest";
import { Center } from "../../src/loss/centering.js";
import { crossViewLoss, rowLoss } from "../../src/loss/cross-view.js";
import { hiddenRows, pairWeights } from "../../src/loss/cross-view.js";
import { expectClose, type Golden, golden } from "../golden.js";

interface Config {
  readonly batch: number;
  readonly global_crops: number;
  readonly local_crops: number;
  readonly patches: number;
  readonly student_temp: number;
  readonly center_momentum: number;
  readonly center_momentum2: number;
}

interface Case {
  readonly num_object_tokens?: number;
  readonly local_crops?: number;
  readonly lambda_cls: number;
  readonly lambda_patch: number;
  readonly lambda_obj?: number;
  readonly temps_at_call: readonly Readonly<Record<"cls" | "patch" | "obj", number>>[];
}

/** One call of a published loss. */
class Call {
  private readonly checks: { readonly leaf: Tensor; readonly key: string }[] = [];

  constructor(
    private readonly reference: Golden,
    private readonly at: string,
    private readonly config: Config,
    /** student views */
    private readonly S: number,
  ) {}

  has(key: string): boolean {
    return this.reference.has(`${this.at}/${key}`);
  }

  floats(key: string): Float32Array {
    return this.reference.floats(`${this.at}/${key}`);
  }

  read(key: string): Tensor {
    return tensor(this.floats(key), this.reference.shape(`${this.at}/${key}`));
  }

  /** A student's tensor, whose gradient is compared at the end. */
  leaf(key: string): Tensor {
    const leaf = this.read(key).requiresGrad_(true);
    this.checks.push({ leaf, key });
    return leaf;
  }

  /** A centre before the call: one for each of O tokens, [O, K], or for all, [K]. */
  center(key: string, momentum: number, O?: number): Center {
    const K = this.read(`${key}_after`).shape.at(-1)!;
    const center = new Center(O === undefined ? [K] : [O, K], momentum, "cpu");
    // The published centre begins as one for all tokens.
    center.value.copy_(
      this.read(`${key}_before`)
        .reshape([-1, K])
        .expand([O ?? 1, K])
        .reshape(center.value.shape),
    );
    return center;
  }

  expectCenter(key: string, { value }: Center): void {
    expectClose(value.toFloat32(), this.floats(`${key}_after`));
  }

  expectGradients(): void {
    for (const { leaf, key } of this.checks)
      expectClose(leaf.grad!.toFloat32(), this.floats(`grad/${key}`));
  }

  /** L[CLS] or L[OBJ] with the follow-up's denominators, centres moved afterwards. */
  summaries(kind: "cls" | "obj", O: number, temperature: number, center: string): Tensor {
    const { S } = this;
    const { batch: B, global_crops: G, student_temp, center_momentum } = this.config;
    const globals = this.leaf(`student_${kind}`);
    const K = globals.shape.at(-1)!;
    const rows = S > G ? cat([globals, this.leaf(`student_local_${kind}`)], 0) : globals;
    const teacher = this.read(`teacher_${kind}`).reshape([G * B, O, K]);
    const moving = this.center(center, center_momentum, kind === "obj" ? O : undefined);
    const targets = moving.sharpen(teacher, temperature);
    const present =
      kind === "obj"
        ? Uint8Array.from(this.floats("obj_labels"), (label) => Number(label > 0))
        : new Uint8Array(S * B * O).fill(1);
    const weights = pairWeights(
      { student: present, teacher: present.subarray(0, G * B * O) },
      { S, G, B, O },
      "images",
    );
    // As published, all objects count: present or not.
    const rowsOfEach = tensor(
      Float32Array.from({ length: O }, () => G * B),
      [O, 1],
    );
    if (kind === "obj") moving.update(teacher.sum([0]), rowsOfEach);
    else moving.update(teacher.sum([0, 1]), tensor(G * B, []));
    this.expectCenter(center, moving);
    return crossViewLoss(
      rows.reshape([S, B * O, K]).div(student_temp),
      targets.reshape([G, B * O, K]),
      fromBuffer(weights, [S, G, B * O]),
    );
  }

  /** L[PATCH], its centre moved afterwards. */
  patches(temperature: number, center: string): Tensor {
    const { batch: B, global_crops: G, patches: N, student_temp, center_momentum2 } = this.config;
    const patches = this.leaf("student_patch");
    const rows = hiddenRows(this.reference.uint8(`${this.at}/mim_masks`), G * B, N);
    const index = tensor(
      BigInt64Array.from(rows.view, (v, m) => BigInt(v * N + rows.patch[m]!)),
      [rows.view.length],
    );
    const teacher = this.read("teacher_patch").flatten(0, 1);
    const moving = this.center(center, center_momentum2);
    const targets = moving.sharpen(teacher.indexSelect(0, index), temperature);
    moving.update(teacher.sum([0]), tensor(teacher.dims(2)[0], []));
    this.expectCenter(center, moving);
    return rowLoss(
      patches.flatten(0, 1).indexSelect(0, index).div(student_temp),
      targets,
      fromBuffer(rows.weight, [rows.weight.length]),
    );
  }
}

const groups = {
  "loss-odis": { cls: "center_cls", patch: "center_patch" },
  "loss-ibot": { cls: "center", patch: "center2" },
  "loss-dino": { cls: "center", patch: "center2" },
} as const;

for (const [group, centers] of Object.entries(groups)) {
  const reference = golden<{ config: Config; cases: Readonly<Record<string, Case>> }>(group);
  reference.leave(
    /\/time(img|obj)$/,
    "terms that the follow-up project adds; switched off they are 0",
  );
  const { config, cases } = reference.info;
  describe(`losses against ${group}`, () => {
    for (const [name, one] of Object.entries(cases))
      for (const [number, temps] of one.temps_at_call.entries())
        it(`${name}, call ${number}: values, gradients and centres`, () => {
          using _scope = tensorScope();
          const S = config.global_crops + (one.local_crops ?? config.local_crops);
          const call = new Call(reference, `${name}/call${number}`, config, S);
          let total = tensor([0], []);
          const add = (key: string, term: Tensor): void => {
            if (call.has(key)) expectClose([term.item()], call.floats(key));
            total = total.add(term);
          };
          // A term of weight 0 has values and centres, too, and gradients of 0.
          if (call.has("student_cls"))
            add("cls", call.summaries("cls", 1, temps.cls, centers.cls).mul(one.lambda_cls));
          if (call.has("student_obj")) {
            const O = one.num_object_tokens!;
            add("obj", call.summaries("obj", O, temps.obj, "center_obj").mul(one.lambda_obj!));
          }
          if (call.has("student_patch"))
            add("patch", call.patches(temps.patch, centers.patch).mul(one.lambda_patch));
          expectClose([total.item()], call.floats("loss"));
          total.backward();
          call.expectGradients();
        });
  });
}

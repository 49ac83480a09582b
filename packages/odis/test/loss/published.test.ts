import { cat, fromBuffer, type Tensor, tensor, tensorScope } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { Center } from "../../src/loss/centering.js";
import { crossViewLoss, rowLoss } from "../../src/loss/cross-view.js";
import { hiddenRows, pairWeights } from "../../src/loss/cross-view.js";
import { expectClose, type Golden, golden } from "../golden.js";

interface Case {
  readonly num_object_tokens?: number;
  readonly local_crops?: number;
  readonly lambda_cls: number;
  readonly lambda_patch: number;
  readonly lambda_obj?: number;
  readonly temps_at_call: readonly Readonly<Record<"cls" | "patch" | "obj", number>>[];
}

const [B, G, N] = [4, 2, 9];

/** One call of a published loss. */
class Call {
  readonly S: number;
  private readonly checks: { readonly leaf: Tensor; readonly key: string }[] = [];

  constructor(
    private readonly reference: Golden,
    private readonly at: string,
    locals: number,
  ) {
    this.S = G + locals;
  }

  has(key: string): boolean {
    return this.reference.names(`${this.at}/${key}`).length > 0;
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
  center(key: string, O?: number): Center {
    const K = this.read(`${key}_after`).shape.at(-1)!;
    const center = new Center(O === undefined ? [K] : [O, K], 0.9, "cpu");
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
    const globals = this.leaf(`student_${kind}`);
    const K = globals.shape.at(-1)!;
    const rows = S > G ? cat([globals, this.leaf(`student_local_${kind}`)], 0) : globals;
    const teacher = this.read(`teacher_${kind}`).reshape([G * B, O, K]);
    const moving = this.center(center, kind === "obj" ? O : undefined);
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
      rows.reshape([S, B * O, K]).div(0.1),
      targets.reshape([G, B * O, K]),
      fromBuffer(weights, [S, G, B * O]),
    );
  }

  /** L[PATCH], its centre moved afterwards. */
  patches(temperature: number, center: string): Tensor {
    const patches = this.leaf("student_patch");
    const rows = hiddenRows(this.reference.uint8(`${this.at}/mim_masks`), G * B, N);
    const index = tensor(
      BigInt64Array.from(rows.view, (v, m) => BigInt(v * N + rows.patch[m]!)),
      [rows.view.length],
    );
    const teacher = this.read("teacher_patch").flatten(0, 1);
    const moving = this.center(center);
    const targets = moving.sharpen(teacher.indexSelect(0, index), temperature);
    moving.update(teacher.sum([0]), tensor(teacher.dims(2)[0], []));
    this.expectCenter(center, moving);
    return rowLoss(
      patches.flatten(0, 1).indexSelect(0, index).div(0.1),
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
  const reference = golden(group);
  const { cases } = reference.info as { cases: Readonly<Record<string, Case>> };
  describe(`losses against ${group}`, () => {
    for (const [name, one] of Object.entries(cases))
      for (const [number, temps] of one.temps_at_call.entries())
        it(`${name}, call ${number}: values, gradients and centres`, () => {
          using _scope = tensorScope();
          const call = new Call(reference, `${name}/call${number}`, one.local_crops ?? 4);
          let total = tensor([0], []);
          const add = (key: string, term: Tensor): void => {
            if (call.has(key)) expectClose([term.item()], call.floats(key));
            total = total.add(term);
          };
          if (one.lambda_cls > 0)
            add("cls", call.summaries("cls", 1, temps.cls, centers.cls).mul(one.lambda_cls));
          if (one.num_object_tokens) {
            const O = one.num_object_tokens;
            add("obj", call.summaries("obj", O, temps.obj, "center_obj").mul(one.lambda_obj!));
          }
          if (one.lambda_patch > 0)
            add("patch", call.patches(temps.patch, centers.patch).mul(one.lambda_patch));
          expectClose([total.item()], call.floats("loss"));
          total.backward();
          call.expectGradients();
          expect(call.S).toBe(G + (one.local_crops ?? 4));
        });
  });
}

import { cat, fromBuffer, type Tensor } from "@odis/torch";
import type { Batch } from "../data/batch.js";
import { sinkhorn } from "../loss/centering.js";
import { type HiddenRows, hiddenRows } from "../loss/pairs.js";
import { flatRows } from "../model/attention.js";
import { normalise } from "../model/pixels.js";
import type { TokenLayout } from "../model/tokens.js";
import type { Knobs } from "./knobs.js";
import type { TrainState } from "./state.js";

/** A batch on the device. */
export interface DeviceViews {
  readonly global: Tensor; // [G * B, 3, S, S]
  readonly local: Tensor | undefined; // [L * B, 3, s, s]
  readonly visible: Tensor; // [G * B, N] bool
  readonly hidden: Tensor | undefined; // [G * B, N] bool, undefined when nothing is hidden
  readonly hiddenRows: HiddenRows;
  /**
   * Rows that losses read, in tokens flattened to [views * T, D], int64: [G * B + M] and [L * B],
   * the [OBJ] of every view and then the hidden patches
   */
  readonly globalRows: Tensor;
  readonly localRows: Tensor;
}

/** The teacher's word on a batch: probabilities, and the means that will move the centres. */
export interface Targets {
  readonly object: Tensor; // [G, B, K]
  readonly patch: Tensor | undefined; // [M, K]
  readonly objectMean: Tensor; // [K]
  readonly patchMean: Tensor | undefined; // [K]
}

/** The student's logits, divided by its temperature. */
export interface StudentOutputs {
  readonly object: Tensor; // [S, B, K], global views first
  readonly patch: Tensor | undefined; // [M, K]
  /** [OBJ] features of the global views before the head: [G, B, D] */
  readonly features: Tensor;
}

export function upload(
  batch: Batch,
  layout: TokenLayout,
  patch: number,
  device: string,
): DeviceViews {
  const { global, local, size: B } = batch;
  const views = global.views * B;
  const N = (global.size / patch) ** 2;
  const bools = (bytes: Uint8Array): Tensor =>
    fromBuffer(bytes, [views, N], { dtype: "bool" }).to({ device });
  const rows = hiddenRows(global.hidden, views, N);
  const M = rows.view.length;
  const indices = (list: readonly number[]): Tensor =>
    fromBuffer(BigInt64Array.from(list, BigInt), [list.length]).to({ device });
  const hiddenPatches = Array.from(rows.view, (view, m) =>
    layout.flatPatch(view, rows.patch[m]!, N),
  );
  return {
    global: normalise(global.pixels, [views, 3, global.size, global.size], device),
    local:
      local.views > 0
        ? normalise(local.pixels, [local.views * B, 3, local.size, local.size], device)
        : undefined,
    visible: bools(global.visible),
    hidden: M > 0 ? bools(global.hidden) : undefined,
    hiddenRows: rows,
    globalRows: indices([...layout.flatObjects(views, N), ...hiddenPatches]),
    localRows: indices(layout.flatObjects(local.views * B, (local.size / patch) ** 2)),
  };
}

/** Runs the teacher on the global views; call without gradient. */
export function teacherTargets(
  state: TrainState,
  views: DeviceViews,
  B: number,
  knobs: Knobs,
): Targets {
  const { teacher, centers, recipe } = state;
  const { loss } = recipe;
  const { layout } = teacher.backbone;
  const K = recipe.head.prototypes;

  const { visible, globalRows } = views;
  // The published patch centre reads every patch; nobody else needs more than the rows of losses.
  const tokens =
    loss.patchCenter === "all" ? teacher.forward(views.global, { visible }) : undefined; // [G * B, T, D]
  const read = tokens
    ? flatRows(tokens, globalRows)
    : teacher.forward(views.global, { visible, rows: globalRows });
  const M = views.hiddenRows.view.length;
  const objectRows = globalRows.size - M; // G * B
  const logits = teacher.head.forward(read);
  const objectLogits = logits.narrow(0, 0, objectRows);
  const patchLogits = M > 0 ? logits.narrow(0, objectRows, M) : undefined;

  const sharpen = (rows: Tensor, center: "object" | "patch", temperature: number): Tensor =>
    loss.centering === "sinkhorn"
      ? sinkhorn(rows, temperature, loss.sinkhornIterations)
      : centers[center].sharpen(rows, temperature);
  return {
    object: sharpen(objectLogits, "object", knobs.objectTemperature).reshape([-1, B, K]),
    patch: patchLogits && sharpen(patchLogits, "patch", knobs.patchTemperature),
    objectMean: objectLogits.mean([0]),
    patchMean: tokens
      ? meanLogits(state, layout.patchesOf(tokens).flatten(0, 1))
      : patchLogits?.mean([0]),
  };
}

/**
 * Mean logits of all patches, as the published centre wants them. The prototypes are linear, so the
 * mean is taken before them: K numbers instead of K per patch.
 */
function meanLogits({ teacher }: TrainState, patches: Tensor): Tensor {
  const mean = teacher.head.embed(patches).mean([0], true); // [1, bottleneck]
  return teacher.head.lastLayer.forward(mean).squeeze(0);
}

/** Runs the student: global views with hidden patches and masked attention, local views without. */
export function studentOutputs(state: TrainState, views: DeviceViews, B: number): StudentOutputs {
  const { student, recipe, generator } = state;
  const dropPath = recipe.model.dropPath > 0 ? generator : undefined;

  const { visible, hidden, globalRows, localRows } = views;
  const global = student.forward(views.global, { visible, hidden, dropPath, rows: globalRows });
  const local = views.local && student.forward(views.local, { dropPath, rows: localRows });

  const M = views.hiddenRows.view.length;
  const features = global.narrow(0, 0, globalRows.size - M); // [G * B, D]
  const patches = M > 0 ? [global.narrow(0, globalRows.size - M, M)] : [];
  const objects = local ? [features, local] : [features];
  // One call for every token that a loss reads: few large matrix products.
  const logits = student.head
    .forward(cat([...objects, ...patches], 0))
    .div(recipe.loss.studentTemperature);
  const objectRows = logits.dims(2)[0] - M; // S * B
  return {
    object: logits.narrow(0, 0, objectRows).reshape([-1, B, recipe.head.prototypes]),
    patch: M > 0 ? logits.narrow(0, objectRows, M) : undefined,
    features: features.reshape([-1, B, recipe.model.dim]),
  };
}

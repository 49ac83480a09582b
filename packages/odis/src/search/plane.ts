import { fromBuffer, noGrad, type Tensor, tidy } from "@odis/torch";
import { unitRows } from "../evaluate/index.js";
import { joined } from "./shard.js";
import type { Store } from "./store.js";

/** Vectors on a plane. */
export interface Plane {
  /** [rows × 2] x, y, each -1..1, with the same scale */
  readonly places: Float32Array;
  /** share of the variance of directions that the plane keeps, 0..1 */
  readonly kept: number;
}

/**
 * The objects of a store on the plane along which their directions vary most (principal components of
 * vectors of length 1). The same store gives the same plane.
 */
export function planeOf(store: Store): Plane {
  const rows = store.size("objects");
  const { width } = store.model;
  if (rows === 0) return { places: new Float32Array(0), kept: 1 };
  return noGrad(() =>
    tidy(() => {
      const { mean, axes, kept } = components(store, width, rows);
      const across = fromBuffer(joined(axes), [2, width]).transpose(0, 1);
      const places = new Float32Array(2 * rows);
      let done = 0;
      for (const chunk of store.chunks("objects")) {
        const some = tidy(() => unitRows(chunk, width).sub(mean).matmul(across).toFloat32());
        places.set(some, done);
        done += some.length;
      }
      const farthest = places.reduce((most, place) => Math.max(most, Math.abs(place)), 1e-12);
      return { places: places.map((place) => place / farthest), kept };
    }),
  );
}

/** The two axes of most variance, [width] each, and their share of it. */
function components(store: Store, width: number, rows: number) {
  let sum: Tensor = fromBuffer(new Float32Array(width), [width]);
  let products: Tensor = fromBuffer(new Float32Array(width * width), [width, width]);
  for (const chunk of store.chunks("objects")) {
    const before = [sum, products];
    [sum, products] = tidy(() => {
      const directions = unitRows(chunk, width);
      return [
        sum.add(directions.sum([0])),
        products.add(directions.transpose(0, 1).matmul(directions)),
      ];
    });
    for (const tensor of before) tensor.free(); // else there are as many squares as chunks
  }
  const mean = sum.div(rows);
  const covariance = products.div(rows).sub(mean.unsqueeze(1).matmul(mean.unsqueeze(0)));
  const [values, vectors] = covariance.eigh();
  const variances = values.toFloat32();
  const rowsOfAxes = vectors.transpose(0, 1).toFloat32();
  const axes = [width - 1, Math.max(0, width - 2)].map((axis) =>
    pointed(rowsOfAxes.slice(axis * width, (axis + 1) * width)),
  );
  const total = variances.reduce((all, value) => all + Math.max(0, value), 0);
  const most = variances.slice(-2).reduce((all, value) => all + Math.max(0, value), 0);
  return { mean, axes, kept: total > 0 ? most / total : 1 };
}

/** An axis has no direction of its own; this one's largest part is above 0. */
function pointed(axis: Float32Array): Float32Array {
  const largest = axis.reduce(
    (best, value) => (Math.abs(value) > Math.abs(best) ? value : best),
    0,
  );
  return largest < 0 ? axis.map((value) => -value) : axis;
}

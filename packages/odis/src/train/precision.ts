import { autocast } from "@odis/torch";
import type { TrainState } from "./state.js";

/** Runs a pass in the recipe's precision; losses and statistics stay in float32. */
export function inPrecision<T>({ recipe, device }: TrainState, pass: () => T): T {
  const { precision } = recipe.optim;
  return precision === "float32" ? pass() : autocast(device.split(":")[0]!, precision, pass);
}

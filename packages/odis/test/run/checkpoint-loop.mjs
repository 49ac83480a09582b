// Writes checkpoints of steps 1, 2, 3, … into a folder, a line on stdout after each, until killed
// or until the step given as second argument. Third argument: floats of a tensor.
import { saveCheckpoint } from "../../dist/run/save.js";

const [folder, last, floats] = process.argv.slice(2);
const size = Number(floats);
for (let step = 1; step <= Number(last); step += 1) {
  const tensors = ["student", "teacher", "optimizer"].map((name, index) => ({
    name,
    dtype: "float32",
    shape: [size],
    data: () => new Float32Array(size).fill(step + index / 4),
  }));
  try {
    saveCheckpoint(folder, { step, config: { seed: 0 }, state: { step } }, tensors, 2);
  } catch (error) {
    console.log(`${error.name}: ${error.message}`);
    process.exit(error.exitCode);
  }
  console.log(`saved ${step}`);
}

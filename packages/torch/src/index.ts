export { arrayOf, type DType, type TypedArray } from "./dtype.js";
export { replaceFile, syncFolder } from "./replace-file.js";
export {
  type HostTensor,
  openSafetensors,
  readSafetensors,
  SafetensorsError,
  type SafetensorsFile,
  type TensorEntry,
  type TensorInfo,
  tensorBytes,
  type WrittenFile,
  writeSafetensors,
} from "./safetensors.js";

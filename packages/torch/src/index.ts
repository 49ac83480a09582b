export { autocast, gradEnabled, gradientsOf, noGrad } from "./autograd.js";
export { type Axes, type Operand } from "./aten.js";
export { betterKernels, blasKind, blasToPreload } from "./blas.js";
export { type BuildResult, buildAddons } from "./build.js";
export { buildCommand } from "./build-plan.js";
export { CoreWatch } from "./cores.js";
export {
  arange,
  empty,
  eye,
  fromBuffer,
  full,
  type Nested,
  ones,
  type Options,
  randperm,
  tensor,
  zeros,
  zerosLike,
} from "./creation.js";
export {
  checkDevice,
  deviceInfo,
  deviceMemory,
  releaseMemory,
  resetPeakMemory,
  Stream,
  synchronize,
} from "./device.js";
export { call, type OperatorResult, operatorNames, operatorsInUse } from "./dispatch.js";
export { arrayOf, type DType, type TypedArray } from "./dtype.js";
export {
  type BucketOptions,
  checkBackend,
  collectiveBackends,
  GradientBuckets,
  type JoinOptions,
  listenWhileWaiting,
  type Place,
  placeFromEnvironment,
  ProcessGroup,
  type Traffic,
  type Transfer,
  type WaitListener,
} from "./distributed.js";
export {
  EngineError,
  OperatorError,
  ScopeError,
  ShapeError,
  UseAfterFreeError,
} from "./errors.js";
export { findLibTorch, type LibTorch } from "./libtorch.js";
export { type DeviceInfo, type DeviceMemory } from "./native.js";
export * from "./nn/index.js";
export {
  cat,
  einsum,
  embedding,
  layerNorm,
  linear,
  maximum,
  minimum,
  stack,
  where,
} from "./ops.js";
export * from "./optim/index.js";
export { Generator, manualSeed } from "./random.js";
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
export { type Scope, liveBytes, liveTensors, tensorScope, tidy } from "./scope.js";
export { type RuntimeInfo, runtimeInfo, setThreads, threads } from "./runtime.js";
export {
  type BackwardOptions,
  type ConvOptions,
  type Indices,
  type ResizeOptions,
  Tensor,
} from "./tensor.js";

export {
  BadImageError,
  ConfigError,
  DataError,
  exitCodes,
  NonFiniteLossError,
  OdisError,
  RunError,
  WeightsError,
} from "./errors.js";
export {
  appendText,
  causeOf,
  checkReplaceable,
  checkWritable,
  makeFolder,
  openToAppend,
  readOwnText,
  readRegularSync,
  replaceFile,
  replaceText,
  statOf,
  syncFile,
  syncFolder,
} from "./files.js";
export { readJson } from "./json.js";
export { JsonLines } from "./json-lines.js";
export { lock } from "./lock.js";
export { FileProblem } from "./regular-file.js";
export { Rng } from "./rng.js";
export {
  type ConfigLayer,
  loadConfigFile,
  resolveConfig,
  settingPaths,
  type Settings,
  settingsLayer,
} from "./schema.js";
export { isSystemError, systemReason, systemSentence } from "./system.js";
export { codeOf, isRecord, list, nearest, reasonOf, record, shellWord, show } from "./text.js";

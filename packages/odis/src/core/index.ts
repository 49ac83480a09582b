export { Cache } from "./cache.js";
export {
  BadImageError,
  ConfigError,
  DataError,
  exitCodes,
  NonFiniteLossError,
  OdisError,
  RunError,
  ToldElsewhere,
  WeightsError,
} from "./errors.js";
export {
  appendText,
  causeOf,
  checkNewFolder,
  checkReplaceable,
  checkWritable,
  makeFolder,
  namesIn,
  openToAppend,
  readOwnText,
  replaceFile,
  replaceText,
  statOf,
  syncFile,
  syncFolder,
} from "./files.js";
export { firstProblem, parsedJson, parseJson, readJson, record } from "./json.js";
export { JsonLines, readJsonLines } from "./json-lines.js";
export { type JsonRest, type OnEntry, readJsonLists, WHOLE } from "./json-stream.js";
export { type Lock, lock } from "./lock.js";
export { Rng } from "./rng.js";
export { number, range, renamed, whole } from "./setting.js";
export {
  type ConfigLayer,
  loadConfigFile,
  resolveConfig,
  settingPaths,
  type Settings,
  settingsLayer,
} from "./schema.js";
export {
  FileProblem,
  kindOf,
  openRegular,
  readRange,
  readRegular,
  readRegularHere,
  readRegularSync,
} from "./regular-file.js";
export { isSystemError, systemReason, systemSentence } from "./system.js";
export {
  codeOf,
  counted,
  grouped,
  isRecord,
  nearest,
  optionName,
  plain,
  printable,
  reasonOf,
  shellWord,
  show,
} from "./text.js";

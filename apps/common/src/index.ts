export { type Flags, readFlags, UsageError, wholeNumber } from "./flags.js";
export { excerpt, formatTime, log, warn } from "./log.js";
export { runApp, stopSignal } from "./run.js";

import { invalidArgument } from "../kit/errors.js";
import { checkRecord, type InstanceRecord } from "./instance.js";
import { decodeUtf8 } from "./key.js";
import { recall } from "./recall.js";

/** How an instance is written into a value of etcd, and read back. */
export interface Format {
  /** What it gives is copied. */
  write(record: InstanceRecord): Uint8Array;
  /**
   * What it gives is checked as `checkRecord()` does.
   *
   * @throws SdError `SD_INVALID_ARGUMENT` for a value that is not of this format.
   */
  read(value: Uint8Array): InstanceRecord;
}

/** Larger values are refused before they are parsed. */
const MAX_VALUE_BYTES = 64 * 1024;
/** Of a record that we write: an object in an object. */
const MAX_DEPTH = 8;

/**
 * The documented format: plain `host:port` if an instance is only an address, else one JSON object
 * `{"address":"host:port","weight":…,"version":…,"zone":…,"metadata":{…}}`. Reads both.
 *
 * Unknown fields are ignored. Size and nesting are bounded before anything is parsed.
 */
export const defaultFormat: Format = {
  write(record) {
    const { address, ...rest } = checkRecord(record);
    const isPlain = Object.keys(rest).length === 0;
    const value = Buffer.from(isPlain ? address : JSON.stringify({ address, ...rest }));
    if (value.length > MAX_VALUE_BYTES) {
      throw invalidArgument("the instance", `at most ${MAX_VALUE_BYTES} bytes when written`, value.length);
    }
    return value;
  },

  read(bytes) {
    if (bytes.length > MAX_VALUE_BYTES) {
      throw invalidArgument("the value", `at most ${MAX_VALUE_BYTES} bytes`, bytes.length);
    }
    return recall(bytes, readWhole);
  },
};

function readWhole(bytes: Uint8Array): InstanceRecord {
  const value = decodeUtf8(bytes);
  if (value === undefined) throw invalidArgument("the value", "UTF-8", bytes);
  if (!value.trimStart().startsWith("{")) return checkRecord({ address: value });
  if (!isShallow(value)) throw invalidArgument("the value", `nested at most ${MAX_DEPTH} deep`, value);
  let parsed: unknown;
  try {
    parsed = JSON.parse(value);
  } catch {
    throw invalidArgument("the value", "host:port or a JSON object", value);
  }
  return checkRecord(parsed);
}

/** Counts brackets outside of strings; whether the JSON is sound is for the parser to say. */
function isShallow(json: string): boolean {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < json.length; i++) {
    const char = json.charCodeAt(i);
    if (inString) {
      if (char === BACKSLASH) i++;
      else if (char === QUOTE) inString = false;
    } else if (char === QUOTE) inString = true;
    else if (char === OPEN_BRACE || char === OPEN_BRACKET) {
      if (++depth > MAX_DEPTH) return false;
    } else if (char === CLOSE_BRACE || char === CLOSE_BRACKET) depth--;
  }
  return true;
}

const [QUOTE, BACKSLASH, OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [34, 92, 123, 125, 91, 93];

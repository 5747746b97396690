import { describe, invalidArgument, SdError } from "../kit/errors.js";

/** A service or instance name, taken apart from a key. */
export interface InstanceKey {
  readonly service: string;
  readonly id: string;
}

const MAX_SEGMENT_BYTES = 128;
const plain = /^[A-Za-z0-9._~-]+$/;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The key of an instance: `/<service>/<id>`.
 *
 * Each part is percent-encoded but for `A-Z a-z 0-9 . _ ~ -`, so that no name can reach into another's
 * prefix, and normalised to NFC, so that a name has one key.
 *
 * @throws SdError `SD_INVALID_ARGUMENT` for a part that is empty, `.`, `..`, longer than 128 bytes, not
 *   well-formed Unicode, or holds a control character.
 */
export function instanceKey(service: string, id: string): string {
  return `${servicePrefix(service)}${encodeSegment("id", id)}`;
}

/** The prefix of all keys of a service: `/<service>/`, with the slash that keeps `web` from `web-admin`. */
export function servicePrefix(service: string): string {
  return `/${encodeSegment("service", service)}/`;
}

/**
 * Takes a key apart.
 *
 * @returns `undefined` if `instanceKey()` cannot have made it: such a key is not ours, and is never
 *   "repaired" into one that is.
 */
export function parseInstanceKey(key: Uint8Array | string): InstanceKey | undefined {
  const text = typeof key === "string" ? key : decodeUtf8(key);
  const slash = text?.indexOf("/", 1) ?? -1;
  if (text === undefined || text[0] !== "/" || slash === -1 || text.includes("/", slash + 1))
    return undefined;
  const service = decodeSegment(text.slice(1, slash));
  const id = decodeSegment(text.slice(slash + 1));
  return service === undefined || id === undefined ? undefined : { service, id };
}

/** Text from bytes; `undefined` if they are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  const text = (Buffer.isBuffer(bytes) ? bytes : asBuffer(bytes)).toString();
  // Node puts this in for what is not UTF-8. A decoder that tells is slower: 0.2 instead of 0.1 µs.
  return text.includes("\ufffd") ? decodeStrictly(bytes) : text;
}

function decodeStrictly(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

function encodeSegment(name: string, value: unknown): string {
  const requirement = "a non-empty name";
  if (typeof value !== "string" || value === "") throw invalidArgument(name, requirement, value);
  if (value === "." || value === "..") throw invalidArgument(name, "a name other than . and ..", value);
  if (!value.isWellFormed()) throw invalidArgument(name, "well-formed Unicode", value);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  if (/[\u0000-\u001f\u007f-\u009f]/.test(value)) {
    throw invalidArgument(name, "free of control characters", value);
  }
  const normal = value.normalize("NFC");
  if (encoder.encode(normal).length > MAX_SEGMENT_BYTES) {
    throw invalidArgument(name, `at most ${MAX_SEGMENT_BYTES} bytes of UTF-8`, value);
  }
  if (plain.test(normal)) return normal;
  // encodeURIComponent leaves these six as they are; a key holds them encoded.
  return encodeURIComponent(normal).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function decodeSegment(segment: string): string | undefined {
  // Nearly every name is plain: 0.4 instead of 2.9 µs a key, and a list may hold 100,000.
  if (plain.test(segment)) {
    return segment.length > MAX_SEGMENT_BYTES || segment === "." || segment === ".." ? undefined : segment;
  }
  try {
    const value = decodeURIComponent(segment);
    return encodeSegment("segment", value) === segment ? value : undefined;
  } catch (error) {
    if (error instanceof URIError || SdError.is(error)) return undefined;
    throw new SdError("SD_INVARIANT", `cannot decode ${describe(segment)}`, { cause: error });
  }
}

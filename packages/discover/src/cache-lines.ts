import { createHash } from "node:crypto";
import { type KeyValue, type Limits, nextRound, requireWithin, SdError } from "@sd/core";
import { keyId } from "./rejection.js";

/** What stands above the keys in a cache file. */
export interface CacheHeader {
  readonly prefix: string;
  /** `undefined` if etcd had not told. */
  readonly clusterId: bigint | undefined;
  readonly revision: number;
  /** When it was last known to be the present: milliseconds since 1970. */
  readonly at: number;
  readonly keys: number;
}

/** Another layout gets another name, and is refused by older readers. */
const LAYOUT = "sd-discover-cache/1";
/** So much is written or read at a stretch: a few milliseconds, however long the values are. */
const SLICE_BYTES = 16 * 1024;
/** The text of a SHA-256 and a line feed. */
const CHECKSUM_BYTES = 65;
const LINE_FEED = 10;
/** Shorter lines may be nested as they like, and are refused when they are parsed. */
const FREE_CHARACTERS = 4_096;

/** One key as a line of a cache file: each byte of key and value is one character, escaped as JSON wants it. */
export function lineOf({ key, value, lease, createRevision, modRevision, version }: KeyValue): string {
  return JSON.stringify([keyId(key), keyId(value), `${lease}`, createRevision, modRevision, version]);
}

/**
 * A cache file in chunks: a line that says what it is, a line for each key, and the SHA-256 of all that. It finds
 * damage, not malice: who can write the file can write that, too.
 */
export function* encodeCache(header: Omit<CacheHeader, "keys">, lines: readonly string[]): Generator<Buffer> {
  const { prefix, clusterId, revision, at } = header;
  const first = {
    ...{ layout: LAYOUT, prefix: keyId(Buffer.from(prefix)), cluster: clusterId?.toString() ?? null },
    ...{ revision, at, keys: lines.length },
  };
  const hash = createHash("sha256");
  const chunk = (text: string): Buffer => {
    const bytes = Buffer.from(text, "latin1");
    hash.update(bytes);
    return bytes;
  };
  yield chunk(`${JSON.stringify(first)}\n`);
  let slice = "";
  for (const line of lines) {
    slice += `${line}\n`;
    if (slice.length < SLICE_BYTES) continue;
    yield chunk(slice);
    slice = "";
  }
  if (slice !== "") yield chunk(slice);
  yield Buffer.from(`${hash.digest("hex")}\n`);
}

/** How many bytes a file may have that holds no more than `limits` let in: JSON makes six of a control character. */
export function mostBytes({ maxKeys, maxBytes }: Limits): number {
  return 6 * maxBytes + 256 * maxKeys + 1_024;
}

/** Reads what stands above the keys, and nothing else. @throws SdError `SD_INVARIANT` if that is not ours. */
export function decodeHeader(bytes: Uint8Array, prefix: string): CacheHeader {
  const [line] = linesOf(bytes);
  const header: unknown = parse(line ?? "");
  if (typeof header !== "object" || header === null) throw damaged("it has no first line");
  const { layout, prefix: id, cluster, revision, at, keys } = header as Record<string, unknown>;
  if (layout !== LAYOUT) throw damaged(`it is not of the layout ${LAYOUT}`);
  if (id !== keyId(Buffer.from(prefix))) throw damaged("it is of another prefix");
  const isSound =
    (cluster === null || isInteger(cluster)) &&
    isCount(revision) &&
    isCount(at) &&
    Number.isSafeInteger(keys);
  if (!isSound) throw damaged("its first line is not sound");
  return {
    ...{ prefix, revision, at, keys: keys as number },
    clusterId: cluster === null ? undefined : BigInt(cluster),
  };
}

/**
 * Reads the keys, and gives them to `take` in slices, between which the event loop goes round. Whether the file is
 * whole is not known before the end.
 *
 * @throws SdError `SD_LIMIT_EXCEEDED`, or `SD_INVARIANT` if a byte is wrong; nothing of it is to be used then.
 */
export async function decodeKeys(
  bytes: Uint8Array,
  { prefix, revision, keys }: CacheHeader,
  { limits, take }: { readonly limits: Limits; readonly take: (kvs: readonly KeyValue[]) => void },
): Promise<void> {
  const hash = createHash("sha256");
  const start = keyId(Buffer.from(prefix));
  const ids = new Set<string>();
  let slice: KeyValue[] = [];
  let sliceBytes = 0;
  let size = 0;
  let isFirst = true;
  for (const line of linesOf(bytes)) {
    hash.update(line, "latin1").update("\n");
    if (isFirst) {
      isFirst = false;
      continue;
    }
    const kv = readLine(line, revision);
    const id = keyId(kv.key);
    if (!id.startsWith(start)) throw damaged("a key is not of its prefix");
    if (ids.has(id)) throw damaged("a key is there twice");
    ids.add(id);
    size += kv.key.length + kv.value.length;
    requireWithin(limits, ids.size, size);
    slice.push(kv);
    sliceBytes += line.length;
    if (sliceBytes < SLICE_BYTES) continue;
    take(slice);
    slice = [];
    sliceBytes = 0;
    await nextRound();
  }
  if (slice.length > 0) take(slice);
  const checksum = Buffer.from(bytes.subarray(-CHECKSUM_BYTES)).toString("latin1");
  if (ids.size !== keys || checksum !== `${hash.digest("hex")}\n`) throw damaged("its checksum is not right");
}

/** Each line but the checksum's, without its end. */
function* linesOf(bytes: Uint8Array): Generator<string> {
  const content = Buffer.from(bytes.buffer, bytes.byteOffset, Math.max(0, bytes.length - CHECKSUM_BYTES));
  for (let at = 0; at < content.length; ) {
    const end = content.indexOf(LINE_FEED, at);
    if (end < 0) throw damaged("it ends within a line");
    yield content.toString("latin1", at, end);
    at = end + 1;
  }
}

function readLine(line: string, revision: number): KeyValue {
  const fields: unknown = parse(line);
  if (!Array.isArray(fields) || fields.length !== 6) throw damaged("a line is no key");
  const [key, value, lease, createRevision, modRevision, version]: unknown[] = fields;
  const isSound =
    typeof key === "string" &&
    typeof value === "string" &&
    isInteger(lease) &&
    isCount(createRevision) &&
    isCount(modRevision) &&
    isCount(version) &&
    createRevision <= modRevision &&
    modRevision <= revision;
  if (!isSound) throw damaged("a line is no key");
  return {
    key: Buffer.from(key, "latin1"),
    value: Buffer.from(value, "latin1"),
    lease: BigInt(lease),
    createRevision,
    modRevision,
    version,
  };
}

/** @throws SdError that shows nothing of the text: it may be anything. */
function parse(line: string): unknown {
  if (line.length > FREE_CHARACTERS && !isFlat(line)) throw damaged("a line is nested");
  try {
    return JSON.parse(line);
  } catch {
    throw damaged("a line is no JSON");
  }
}

/** Whether no array or object is in another: each open one takes the parser some 60 bytes, without a bound. */
function isFlat(line: string): boolean {
  let open = 0;
  let inString = false;
  for (let at = 0; at < line.length; at += 1) {
    const char = line[at];
    if (char === "\\" && inString) at += 1;
    else if (char === '"') inString = !inString;
    else if (!inString && (char === "[" || char === "{") && ++open > 1) return false;
  }
  return true;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

function isInteger(value: unknown): value is string {
  return typeof value === "string" && /^-?\d{1,20}$/.test(value);
}

function damaged(why: string): SdError {
  return new SdError("SD_INVARIANT", `the cache file cannot be used: ${why}`);
}

import { decodeUtf8, escapeControl } from "@sd/core";

/** A key that is left out. */
export interface Rejection {
  /** See `printableKey()`. */
  readonly key: string;
  readonly modRevision: number;
  readonly leaseId: bigint;
  readonly error: unknown;
}

/** One character for each byte: different bytes never become the same string, as they can in UTF-8. */
export function keyId(key: Uint8Array): string {
  const bytes = Buffer.isBuffer(key) ? key : Buffer.from(key.buffer, key.byteOffset, key.length);
  return bytes.toString("latin1");
}

/**
 * Shows a key as text on one line, different for different keys: as UTF-8, with control characters escaped
 * (`\u000a`) and backslashes doubled. Of a key that is not UTF-8, each byte above 0x7f is escaped (`\xff`).
 */
export function printableKey(key: Uint8Array): string {
  const text = decodeUtf8(key)?.replaceAll("\\", "\\\\");
  if (text !== undefined) return escapeControl(text);
  const bytes = keyId(key).replaceAll("\\", "\\\\");
  return escapeControl(bytes.replace(/[\x80-\xff]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16)}`));
}

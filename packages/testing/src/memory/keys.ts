import { invalidArgument } from "@sd/core";

/** A key as a string that sorts as its bytes do: one character for each byte. */
export type KeyText = string;

/** All keys from `from` up to, not including, `to`; `to` absent: without end. */
export interface KeyRange {
  readonly from: KeyText;
  readonly to: KeyText | undefined;
}

/** Turns bytes into a key that can be compared and mapped. */
export function keyText(key: Uint8Array): KeyText {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1");
}

/** The way back from `keyText()`. */
export function keyBytes(text: KeyText): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"));
}

/**
 * Bytes of a key or value as a test writes it: a string is encoded as UTF-8. The result is a copy.
 *
 * @throws SdError `SD_INVALID_ARGUMENT` for anything else: of a number would become nothing at all.
 */
export function toBytes(text: string | Uint8Array): Uint8Array {
  const isBytes = typeof text === "string" || text instanceof Uint8Array;
  if (!isBytes) throw invalidArgument("a key or value", "a text or bytes", text);
  return typeof text === "string" ? new TextEncoder().encode(text) : Uint8Array.from(text);
}

/** The range of a request, read as etcd reads it: no end is one key, the end `\0` is no bound. */
export function keyRange(key: Uint8Array, rangeEnd?: Uint8Array): KeyRange {
  const from = keyText(key);
  if (rangeEnd === undefined || rangeEnd.length === 0) return { from, to: `${from}\0` };
  const to = keyText(rangeEnd);
  return { from, to: to === "\0" ? undefined : to };
}

/** Whether `key` lies in `range`. */
export function isInRange(range: KeyRange, key: KeyText): boolean {
  return key >= range.from && (range.to === undefined || key < range.to);
}

import type { WatchEvent, WatchResponse } from "../types.js";
import { NO_HEADER, NO_KEY_VALUE, readHeader, readKeyValue } from "./decode-kv.js";
import { asBuffer, Reader } from "./reader.js";

/**
 * Reads a `WatchResponse`.
 *
 * Keys and values are views of the message, which lives as long as any of them: copy what is to be kept. (A
 * memory of its own for each event is outside of the heap, and costs the collector more.)
 */
export function decodeWatch(message: Uint8Array): WatchResponse {
  const reader = new Reader(asBuffer(message));
  let header = NO_HEADER;
  let watchId = 0;
  let created = false;
  let canceled = false;
  let compactRevision = 0;
  let cancelReason = "";
  let fragment = false;
  const events: WatchEvent[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === ((11 << 3) | 2)) events.push(readEvent(reader));
    else if (tag === ((1 << 3) | 2)) header = readHeader(reader);
    else if (tag === 2 << 3) watchId = reader.integer();
    else if (tag === 3 << 3) created = reader.boolean();
    else if (tag === 4 << 3) canceled = reader.boolean();
    else if (tag === 5 << 3) compactRevision = reader.count();
    else if (tag === ((6 << 3) | 2)) cancelReason = reader.text();
    else if (tag === 7 << 3) fragment = reader.boolean();
    else reader.skip(tag);
  }
  return { header, watchId, created, canceled, compactRevision, cancelReason, fragment, events };
}

/** Reads an `Event`. */
function readEvent(reader: Reader): WatchEvent {
  let type: WatchEvent["type"] = "put";
  let kv = NO_KEY_VALUE;
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 1 << 3) type = reader.count() === 1 ? "delete" : "put";
    else if (tag === ((2 << 3) | 2)) kv = readKeyValue(reader);
    else reader.skip(tag);
  }
  reader.leave(outer);
  return { type, kv };
}

import type { WatchEvent, WatchResponse } from "../types.js";
import { decodeKeyValue, NO_HEADER, NO_KEY_VALUE, readHeader } from "./decode-kv.js";
import { asBuffer, copied, Reader } from "./reader.js";

/**
 * Reads a `WatchResponse`.
 *
 * Each event has a small block of memory of its own, unlike the keys of a list: what a watch delivers is
 * kept one by one, for hours, and must not keep a whole message of other events alive.
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
    else if (tag === ((2 << 3) | 2)) kv = decodeKeyValue(copied(reader.bytes()));
    else reader.skip(tag);
  }
  reader.leave(outer);
  return { type, kv };
}

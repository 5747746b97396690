import type { GrantResponse, KeepAliveResponse, LeaseId, RevokeResponse } from "../types.js";
import { NO_HEADER, readHeader } from "./decode-kv.js";
import { asBuffer, Reader } from "./reader.js";

/** Reads a `LeaseGrantResponse` or a `LeaseKeepAliveResponse`: their fields have the same numbers. */
export function decodeLease(message: Uint8Array): GrantResponse & KeepAliveResponse {
  const reader = new Reader(asBuffer(message));
  let header = NO_HEADER;
  let id = 0n;
  let ttlSeconds = 0;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === ((1 << 3) | 2)) header = readHeader(reader);
    else if (tag === 2 << 3) id = reader.int64();
    else if (tag === 3 << 3) ttlSeconds = reader.integer();
    else reader.skip(tag);
  }
  return { header, id: id as LeaseId, ttlSeconds };
}

/** Reads a `LeaseRevokeResponse`. */
export function decodeRevoke(message: Uint8Array): RevokeResponse {
  const reader = new Reader(asBuffer(message));
  let header = NO_HEADER;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === ((1 << 3) | 2)) header = readHeader(reader);
    else reader.skip(tag);
  }
  return { header };
}

/** Reads the token of an `AuthenticateResponse`. */
export function decodeToken(message: Uint8Array): string {
  const reader = new Reader(asBuffer(message));
  let token = "";
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === ((2 << 3) | 2)) token = reader.text();
    else reader.skip(tag);
  }
  return token;
}

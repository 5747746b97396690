/** Requests in etcd's whole vocabulary, of which a test says only what matters to it. */

import {
  type Compare,
  CompareResult,
  CompareTarget,
  type DeleteRangeRequest,
  EMPTY,
  PLAIN_RANGE,
  type PutRequest,
  type RangeRequest,
  type TxnRequest,
} from "./api/kv.js";
import type { WatchCreateRequest } from "./api/watch.js";

type Text = string | Uint8Array;

/** A request whose bytes may be written as texts. */
type Loose<Request> = {
  readonly [Name in keyof Request]?: Request[Name] extends Uint8Array ? Text : Request[Name];
};

export const bytes = (text: Text): Uint8Array =>
  typeof text === "string" ? new TextEncoder().encode(text) : text;
export const text = (value: Uint8Array): string => new TextDecoder().decode(value);

/** The end of a range that has none. */
export const NO_END = Uint8Array.of(0);

function filled<Request extends object>(defaults: Request, given: Loose<Request>): Request {
  const entries = Object.entries(given).map(([name, value]) => [
    name,
    typeof value === "string" ? bytes(value) : value,
  ]);
  return { ...defaults, ...Object.fromEntries(entries) };
}

export const range = (given: Loose<RangeRequest> = {}): RangeRequest => filled(PLAIN_RANGE, given);

const noPut: PutRequest = {
  key: EMPTY,
  value: EMPTY,
  lease: 0n,
  prevKv: false,
  ignoreValue: false,
  ignoreLease: false,
};

export const put = (key: Text, value: Text = "", more: Loose<PutRequest> = {}): PutRequest =>
  filled(noPut, { key, value, ...more });

export const deletion = (key: Text, rangeEnd: Text = EMPTY, prevKv = false): DeleteRangeRequest => ({
  key: bytes(key),
  rangeEnd: bytes(rangeEnd),
  prevKv,
});

export const txn = (given: Partial<TxnRequest> = {}): TxnRequest => ({
  compare: [],
  success: [],
  failure: [],
  ...given,
});

const noCompare: Compare = {
  result: 0,
  target: 0,
  key: EMPTY,
  rangeEnd: EMPTY,
  version: 0,
  createRevision: 0,
  modRevision: 0,
  value: EMPTY,
  lease: 0n,
};

export function compare(
  key: Text,
  target: keyof typeof CompareTarget,
  result: keyof typeof CompareResult = "equal",
  more: Loose<Compare> = {},
): Compare {
  return filled(noCompare, {
    key,
    target: CompareTarget[target],
    result: CompareResult[result],
    ...more,
  });
}

const noWatch: WatchCreateRequest = {
  key: EMPTY,
  rangeEnd: EMPTY,
  startRevision: 0,
  progressNotify: false,
  filters: [],
  prevKv: false,
  watchId: 0n,
  fragment: false,
};

export const watch = (given: Loose<WatchCreateRequest> = {}): WatchCreateRequest => filled(noWatch, given);

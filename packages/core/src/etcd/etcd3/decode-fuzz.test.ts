import { SeededRandom } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { SdError } from "../../kit/errors.js";
import type { Header, KeepAliveResponse, KeyValue, RangeResponse, WatchResponse } from "../types.js";
import { judge, randomMessage, type Schema, schemas, spoiled } from "./decode-fuzz.fixture.js";
import { decodeRange } from "./decode-kv.js";
import { decodeLease } from "./decode-lease.js";
import { decodeWatch } from "./decode-watch.js";
import { loadReference } from "./protobufjs.fixture.js";

/** `npm run fuzz` sets more. */
const MESSAGES = Number(process.env["SD_FUZZ_MESSAGES"] ?? 3_000);
const SEED = Number(process.env["SD_FUZZ_SEED"] ?? 1);

const reference = await loadReference();

/** A message as protobufjs gives it, with its names. */
type Plain = Record<string, unknown>;

const hex = (bytes: Uint8Array | string): string => Buffer.from(bytes as Uint8Array).toString("hex");

function showHeader(header: Header | Plain | null): string {
  const fields = header as Plain | null;
  const ids = ["clusterId", "memberId", "revision", "raftTerm"].map((name) => {
    const theirs = name.replace(/[A-Z]/, (letter) => `_${letter.toLowerCase()}`);
    return fields?.[name] ?? fields?.[theirs] ?? 0;
  });
  return ids.join(" ");
}

function showOurs({ key, value, createRevision, modRevision, version, lease }: KeyValue): string {
  return `${hex(key)}=${hex(value)} ${createRevision} ${modRevision} ${version} ${lease}`;
}

function showTheirs(kv: Plain | null): string {
  if (!kv) return "= 0 0 0 0";
  const { key, value, create_revision, mod_revision, version, lease } = kv;
  return `${hex(key as Buffer)}=${hex(value as Buffer)} ${create_revision} ${mod_revision} ${version} ${lease}`;
}

interface Subject {
  readonly schema: Schema;
  ours(message: Uint8Array): unknown;
  theirs(message: Plain): unknown;
}

const subjects: Record<keyof typeof schemas, Subject> = {
  Range: {
    schema: schemas.Range,
    ours: (message) => {
      const { header, kvs, more, count }: RangeResponse = decodeRange(message);
      return [showHeader(header), kvs.map(showOurs), more, `${count}`];
    },
    theirs: ({ header, kvs, more, count }) => [
      showHeader(header as Plain),
      (kvs as Plain[]).map(showTheirs),
      more,
      `${count}`,
    ],
  },
  Watch: {
    schema: schemas.Watch,
    ours: (message) => {
      const { header, events, watchId, compactRevision, ...rest }: WatchResponse = decodeWatch(message);
      const shown = events.map(({ type, kv }) => `${type} ${showOurs(kv)}`);
      const { created, canceled, cancelReason, fragment } = rest;
      return [
        showHeader(header),
        shown,
        `${watchId} ${compactRevision}`,
        created,
        canceled,
        cancelReason,
        fragment,
      ];
    },
    theirs: ({ header, events, watch_id, compact_revision, created, canceled, cancel_reason, fragment }) => [
      showHeader(header as Plain),
      (events as Plain[]).map(
        ({ type, kv }) => `${type === "Delete" ? "delete" : "put"} ${showTheirs(kv as Plain)}`,
      ),
      `${watch_id} ${compact_revision}`,
      created,
      canceled,
      cancel_reason,
      fragment,
    ],
  },
  LeaseKeepAlive: {
    schema: schemas.LeaseKeepAlive,
    ours: (message) => {
      const { header, id, ttlSeconds }: KeepAliveResponse = decodeLease(message);
      return [showHeader(header), `${id} ${ttlSeconds}`];
    },
    theirs: ({ header, ID, TTL }) => [showHeader(header as Plain), `${ID} ${TTL}`],
  },
};

function ours({ ours: show }: Subject, message: Buffer): unknown {
  try {
    return show(message);
  } catch (error) {
    if (!SdError.is(error, "SD_INVARIANT")) throw error;
    return "refused";
  }
}

function theirs(name: string, { theirs: show }: Subject, message: Buffer): unknown {
  let decoded: object;
  try {
    decoded = reference[name]?.responseDeserialize(message) ?? {};
  } catch {
    return "refused";
  }
  return show(decoded as Plain);
}

describe("the decoder of hot answers, beside protobufjs", () => {
  it.each(Object.entries(subjects))("%s: the same result, or both refuse", (name, subject) => {
    const random = new SeededRandom(SEED);
    const below = (limit: number): number => Math.floor(random.next() * limit);
    const outcomes = { same: 0, refused: 0, peculiar: 0 };
    for (let index = 0; index < MESSAGES; index += 1) {
      const whole = randomMessage(subject.schema, below);
      const message = index % 2 === 0 ? whole : spoiled(whole, below);
      const result = ours(subject, message);
      const verdict = judge(message, subject.schema);
      if (verdict === "peculiar") {
        outcomes.peculiar += 1;
        continue;
      }
      const expected = verdict === "broken" ? "refused" : theirs(name, subject, message);
      if (JSON.stringify(result) !== JSON.stringify(expected)) {
        expect(result, `seed ${SEED}, message ${index}: ${message.toString("hex")}`).toEqual(expected);
      }
      outcomes[result === "refused" ? "refused" : "same"] += 1;
    }
    if (MESSAGES > 10_000) process.stdout.write(`${name}: ${JSON.stringify(outcomes)}\n`);
    // Most messages must be of use.
    expect(outcomes.same).toBeGreaterThan(MESSAGES / 2);
    expect(outcomes.refused).toBeGreaterThan(MESSAGES / 50);
  });
});

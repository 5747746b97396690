import { SdError } from "@sd/core";
import { describe, expect, it } from "vitest";
import {
  CertificateAuthority,
  EtcdProcess,
  eventually,
  FaultProxy,
  fixedRandom,
  leakCheck,
  ManualClock,
  MemoryEtcd,
  SeededRandom,
  serveMemoryEtcd,
  startEtcd,
  startNode,
} from "./index.js";

/** As one who writes JavaScript, or has cast the types away, would pass it. */
// biome-ignore lint/suspicious/noExplicitAny: that is what is tried
type Anything = any;

const clock = new ManualClock();
const memory = new MemoryEtcd({ clock });
const proxy = await FaultProxy.start({ target: "http://127.0.0.1:1" });
const authority = await CertificateAuthority.create();
await proxy[Symbol.asyncDispose]();

const cases: readonly [string, (wrong: Anything) => unknown, unknown, string][] = [
  ["MemoryEtcd", (wrong) => new MemoryEtcd(wrong), null, "must be an object, got null"],
  ["version", (version) => new MemoryEtcd({ version }), "3.6.0", 'got "3.6.0"'],
  ["version of nothing", (version) => new MemoryEtcd({ version }), "toString", 'got "toString"'],
  ["behaviour", (behaviour) => new MemoryEtcd({ behaviour }), { loseDeletes: true }, 'got "loseDeletes"'],
  ["one behaviour", (progress) => memory.behave({ progress }), "soon", "must be at-once or in-step"],
  ["clock", (wrong) => new MemoryEtcd({ clock: wrong }), {}, "now(), setTimer()"],
  ["minTtlSeconds", (minTtlSeconds) => new MemoryEtcd({ minTtlSeconds }), "5", 'a number from 0, got "5"'],
  ["catchUpDelayMs", (catchUpDelayMs) => new MemoryEtcd({ catchUpDelayMs }), Number.NaN, "got NaN"],
  ["value of a key", (value) => memory.put("/web/a", value), 8000, "a text or bytes, got 8000"],
  ["revision", (revision) => memory.compact(revision), Number.NaN, "a whole number from 0, got NaN"],
  ["verb to drop", (verb) => memory.dropNextRequest(verb), "put", 'got "put"'],
  ["verb to lose", (verb) => memory.loseNextAnswer(verb), "watch", "range or txn or grant"],
  ["access", (access) => memory.auth.addRole("web", { access, prefix: "/" }), "readwrite", "or readWrite"],
  ["store to serve", (wrong) => serveMemoryEtcd(wrong), {}, "must be a MemoryEtcd"],
  ["port", (port) => serveMemoryEtcd(memory, { port }), "2379", 'from 0 to 65535, got "2379"'],
  ["misplaced option", (wrong) => startEtcd(wrong), { version: "3.4.23" }, "belong into memory"],
  ["delay as text", (ms) => proxy.delay(ms), "50", 'from 0 to 2147483647, got "50"'],
  ["bandwidth", (rate) => proxy.limitBandwidth(rate), "100", 'got "100"'],
  ["options of a proxy", (wrong) => FaultProxy.start(wrong), undefined, "got undefined"],
  [
    "time without a number",
    (ms) => clock.advance(ms),
    undefined,
    "ms must be a number from 0, got undefined",
  ],
  ["endless time", (ms) => clock.advance(ms), Number.POSITIVE_INFINITY, "got Infinity"],
  ["time of a timer", (ms) => clock.setTimer(ms, () => {}), Number.NaN, "delayMs must be a number, got NaN"],
  ["work to run", (work) => clock.run(work), 5, "work must be a promise, got number"],
  ["seed", (seed) => new SeededRandom(seed), "abc", 'seed must be an integer, got "abc"'],
  ["chance", (value) => fixedRandom(value), 1, "to below 1, got 1"],
  [
    "patience",
    (timeoutMs) => eventually(() => false, { timeoutMs }),
    Number.NaN,
    "timeoutMs must be a number",
  ],
  ["script", (path) => startNode(path), undefined, "scriptPath must be a text"],
  ["what to ignore", (ignore) => leakCheck({ ignore }), "a.ts", 'ignore must be a RegExp, got "a.ts"'],
  ["port of etcd", (port) => EtcdProcess.start({ port }), 99_999, "from 1 to 65535, got 99999"],
  ["flags of etcd", (args) => EtcdProcess.start({ args }), "--debug", "args must be an array of strings"],
  ["tls of etcd", (tls) => EtcdProcess.start({ tls }), true, "tls must be an object, got boolean"],
  ["authority", (wrong) => EtcdProcess.start({ tls: { authority: wrong } }), {}, "a CertificateAuthority"],
  ["names", (names) => authority.server({ names }), "localhost", "names must be a list"],
  ["user", (user) => authority.client({ user }), undefined, "user must be a text, got undefined"],
  ["date", (notAfter) => authority.server({ notAfter }), "2020-01-01", "a valid Date"],
];

describe("a wrong argument", () => {
  it.each(cases)("is told with its value and what to pass: %s", async (_, call, wrong, words) => {
    const error = await Promise.resolve(wrong)
      .then(call)
      .then(
        () => undefined,
        (reason: unknown) => reason,
      );
    expect(SdError.is(error, "SD_INVALID_ARGUMENT"), String(error)).toBe(true);
    expect(String(error)).toContain(words);
  });

  it("is no lease of 0 seconds for a key of another", async () => {
    await using etcd = await startEtcd();
    await expect(etcd.put("/web/a", "", { ttlSeconds: 0 })).rejects.toThrow("ttlSeconds must be a whole");
    await expect(etcd.put("/web/a", 80 as Anything)).rejects.toThrow("a text or bytes, got 80");
    await expect(etcd.compact(Number.NaN)).rejects.toThrow("revision must be a whole number from 0, got NaN");
    await expect(etcd.expireLease(5 as Anything)).rejects.toThrow("a key or the id of a lease");
    expect(await etcd.revision()).toBe(1);
  });
});

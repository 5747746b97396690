import { getEventListeners } from "node:events";
import { Metadata } from "@grpc/grpc-js";
import { ManualClock } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { bytes, text } from "../../../test/observe.js";
import { failureOf } from "../failure.js";
import { Bounds } from "./bounds.js";
import type { Connection } from "./connection.js";
import type { Status } from "./failures.js";
import type { Link } from "./first-ready.js";
import { callOnce } from "./unary.js";

interface Listener {
  onReceiveMessage(message: Buffer): void;
  onReceiveStatus(status: Status): void;
}

const OK: Status = { code: 0, details: "" };
const NO_TOKEN: Status = { code: 16, details: "etcdserver: invalid auth token" };
const TOO_LATE: Status = { code: 4, details: "context deadline exceeded" };
const NO_MEMBER: Status = { code: 14, details: "connection refused" };

/** A member whose calls are answered when the test says so, and what was done to it. */
function open({ answeredAt, signal }: { answeredAt?: number; signal?: AbortSignal } = {}) {
  const clock = new ManualClock();
  const log: string[] = [];
  const listeners: Listener[] = [];
  const call = () => ({
    start: (_: Metadata, listener: Listener) => void listeners.push(listener),
    startRead: () => {},
    sendMessageWithContext: (_: object, message: Buffer) => void log.push(`sent ${text(message)}`),
    halfClose: () => {},
    cancelWithStatus: () => void log.push("canceled"),
  });
  const connection = {
    ...{ endpoint: "http://a:1", answeredAt, isGivenUp: false, call },
    exchanged: (ms: number) => void log.push(`took ${ms}`),
    close: async () => void log.push("closed"),
  };
  const member = { suspect: () => log.push("suspect"), answered: () => log.push("answered") };
  const link = { member, connection: connection as unknown as Connection } as unknown as Link;
  const among = new Set<Bounds>();
  const bounds = new Bounds(signal, { among });
  const send = async (request: string): Promise<string> => {
    const sent = {
      path: "/p",
      request: Buffer.from(bytes(request)),
      metadata: new Metadata(),
      timeoutMs: 1_000,
      onTimeout: () => log.push("timeout"),
    };
    return text(await callOnce(link, sent, clock, bounds));
  };
  const answer = (status: Status, message?: string): void => {
    const listener = listeners.at(-1);
    if (message !== undefined) listener?.onReceiveMessage(Buffer.from(bytes(message)));
    listener?.onReceiveStatus(status);
  };
  return { clock, log, connection, bounds, among, send, answer };
}

describe("callOnce()", () => {
  it("gives the answer, and forgives the member", async () => {
    const { clock, log, send, answer } = open();
    const called = send("a");
    await clock.advance(20);
    answer(OK, "b");
    expect([await called, log]).toEqual(["b", ["sent a", "took 20", "answered"]]);
  });

  it.each([
    ["what etcd refuses", NO_TOKEN, "token", "answered"],
    ["what comes from no etcd", NO_MEMBER, "network", "suspect"],
    ["an end without an answer", OK, "unknown", "suspect"],
  ])("throws for %s", async (_what, status, kind, opinion) => {
    const { log, send, answer } = open();
    const called = send("a").catch(failureOf);
    answer(status);
    expect([await called, log.at(-1)]).toEqual([kind, opinion]);
  });

  it("tells of a timeout that etcd reports", async () => {
    const { log, send, answer } = open();
    const called = send("a").catch(failureOf);
    answer(TOO_LATE);
    expect([await called, log.at(-1)]).toEqual(["timeout", "timeout"]);
  });

  it.each([
    ["drops a connection that was silent to everybody since", undefined, ["closed"]],
    ["keeps one on which another was answered meanwhile", 500, []],
  ])("cancels what is not answered in time, and %s", async (_what, answeredAt, rest) => {
    const { clock, log, connection, send, answer } = open();
    const called = send("a").catch(failureOf);
    connection.answeredAt = answeredAt;
    await clock.advance(999);
    expect(log).toEqual(["sent a"]);
    await clock.advance(1);
    expect(await called).toBe("timeout");
    expect(connection.isGivenUp).toBe(rest.length > 0);
    answer(OK, "late");
    expect(log).toEqual(["sent a", "canceled", "suspect", ...rest, "timeout"]);
  });

  it("cancels what the caller aborts, and holds it against nobody", async () => {
    const controller = new AbortController();
    const { clock, log, bounds, among, send, answer } = open({ signal: controller.signal });
    const called = send("a").catch((error: unknown) => error);
    controller.abort("enough");
    expect(await called).toBe("enough");
    answer(NO_MEMBER);
    await expect(send("b"), "not sent").rejects.toBe("enough");
    expect(log).toEqual(["sent a", "canceled"]);
    bounds[Symbol.dispose]();
    expect([clock.pending, among.size]).toEqual([0, 0]);
  });

  it("takes no broken connection for a fast one", async () => {
    const { clock, log, send, answer } = open();
    const called = send("a").catch(failureOf);
    await clock.advance(1);
    answer(NO_MEMBER);
    expect([await called, log]).toEqual(["network", ["sent a", "suspect"]]);
  });

  it("counts the time of a second call anew, and leaves nothing behind", async () => {
    const { signal } = new AbortController();
    const { clock, log, bounds, send, answer } = open({ signal });
    const first = send("a").catch(failureOf);
    await clock.advance(900);
    answer(NO_TOKEN);
    expect(await first).toBe("token");
    const second = send("b");
    await clock.advance(900);
    answer(OK, "c");
    expect([await second, log.includes("canceled")]).toEqual(["c", false]);
    bounds[Symbol.dispose]();
    expect([clock.pending, getEventListeners(signal, "abort")]).toEqual([0, []]);
  });

  it("cancels nothing that is over when the client ends", async () => {
    const { log, bounds, send, answer } = open();
    const called = send("a");
    answer(OK, "b");
    bounds.abort(new Error("closed"));
    expect([await called, log.includes("canceled")]).toEqual(["b", false]);
  });
});

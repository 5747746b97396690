import { createClient, type EtcdTransport, failureOf, isNotApplied, SdError } from "@sd/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EtcdProcess, etcdBinaries, eventually, leaseId, MemoryEtcd, serveMemoryEtcd } from "../src/index.js";
import { bytes } from "../src/memory/requests.fixture.js";

/** A server with one transport to it. */
interface Subject extends AsyncDisposable {
  readonly transport: EtcdTransport;
  /** Accepts and answers nothing, until it ends. */
  freeze(): unknown;
  kill(): unknown;
}

function memorySubject(): Promise<Subject> {
  const memory = new MemoryEtcd();
  return Promise.resolve({
    transport: memory.transport(),
    freeze: () => memory.freeze(),
    kill: () => memory.kill(),
    [Symbol.asyncDispose]: () => memory.close(),
  });
}

async function servedSubject(): Promise<Subject> {
  const memory = new MemoryEtcd();
  const server = await serveMemoryEtcd(memory);
  const { transport } = createClient({ endpoints: server.endpoint });
  return {
    transport,
    freeze: () => memory.freeze(),
    kill: () => server.close(),
    async [Symbol.asyncDispose]() {
      await transport.close();
      await memory.close();
    },
  };
}

async function realSubject(binary: string): Promise<Subject> {
  const etcd = await EtcdProcess.start({ binary });
  const { transport } = createClient({ endpoints: etcd.endpoint });
  return {
    transport,
    freeze: () => etcd.freeze(),
    kill: () => etcd.kill(),
    async [Symbol.asyncDispose]() {
      await transport.close();
      await etcd[Symbol.asyncDispose]();
    },
  };
}

const subjects = [
  { name: "the port of MemoryEtcd", start: memorySubject },
  { name: "the adapter to a served MemoryEtcd", start: servedSubject },
  ...etcdBinaries().map(({ name, binary }) => ({
    name: `the adapter to ${name}`,
    start: () => realSubject(binary),
  })),
];

const failed = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => "it worked",
    (error: unknown) => error,
  );

/** Writes down what a stream tells its owner. */
class Recorder {
  readonly log: string[] = [];

  onMessage(): void {
    this.log.push("message");
  }

  onEnd(error: unknown): void {
    this.log.push(SdError.is(error) ? `end: ${failureOf(error) ?? error.code}` : String(error));
  }
}

describe.each(subjects)("the contract of EtcdTransport, kept by $name", ({ start }) => {
  let subject: Subject;
  let transport: EtcdTransport;
  const key = bytes("/a");
  const lease = leaseId(7n);
  const put = { type: "put", key, value: key, lease } as const;
  const create = { type: "create", watchId: 1, key, startRevision: 1 } as const;
  const revision = async () => (await transport.range({ key })).header.revision;

  beforeEach(async () => {
    subject = await start();
    transport = subject.transport;
    await transport.grant({ id: lease, ttlSeconds: 60 });
    return async () => subject[Symbol.asyncDispose]();
  });
  afterEach(() => subject.kill());

  it("does not send what an aborted signal forbids, and rejects with its reason", async () => {
    const reason = new Error("mine");
    const options = { signal: AbortSignal.abort(reason) };
    const before = await revision();
    expect(await failed(transport.txn({ compare: [], success: [put], failure: [] }, options))).toBe(reason);
    expect(await failed(transport.watch(new Recorder(), options))).toBe(reason);
    expect(await revision()).toBe(before);
  });

  it("ends a waiting call by its signal, with the reason as it is", async () => {
    await subject.freeze();
    const controller = new AbortController();
    const call = failed(transport.range({ key }, { signal: controller.signal }));
    controller.abort("enough");
    expect(await call).toBe("enough");
  });

  it("bounds a call in time, and does not say that a write was not done", async () => {
    await subject.freeze();
    const asked = { compare: [], success: [put], failure: [] };
    const error = await failed(transport.txn(asked, { timeoutMs: 150 }));
    expect([failureOf(error), isNotApplied(error)]).toEqual(["timeout", false]);
  });

  it("refuses what cannot be written, and sends nothing of it", async () => {
    const before = await revision();
    const watches = await transport.watch(new Recorder());
    const renewals = await transport.keepAlive(new Recorder());
    const unwritable = [
      () => transport.range({ key, revision: -1 }),
      () => transport.range({ key, limit: 1.5 }),
      () =>
        transport.txn({ compare: [{ target: "mod", key, equals: Number.NaN }], success: [], failure: [] }),
      () => transport.txn({ compare: [], success: [{ ...put, lease: leaseId(0n) }], failure: [] }),
      () => transport.grant({ id: lease, ttlSeconds: 0 }),
      () => transport.revoke(leaseId(-1n)),
      async () => watches.send({ ...create, startRevision: 0 }),
      async () => watches.send({ type: "cancel", watchId: -1 }),
      async () => renewals.send({ id: leaseId(1n << 63n) }),
    ];
    for (const attempt of unwritable) {
      const error = await failed(attempt());
      expect(SdError.is(error, "SD_INVALID_ARGUMENT"), `${attempt}: ${error}`).toBe(true);
      expect(failureOf(error)).toBeUndefined();
    }
    expect(await revision()).toBe(before);
  });

  it("says what a refusal means, and that nothing was done", async () => {
    const kinds = async (...calls: Promise<unknown>[]) => {
      const errors = await Promise.all(calls.map(failed));
      return errors.map((error) => [failureOf(error), isNotApplied(error)]);
    };
    const asked = await kinds(
      transport.grant({ id: lease, ttlSeconds: 60 }),
      transport.grant({ id: leaseId(8n), ttlSeconds: 9_000_000_001 }),
      transport.revoke(leaseId(9n)),
      transport.txn({ compare: [], success: [{ ...put, lease: leaseId(9n) }], failure: [] }),
      transport.txn({ compare: [], success: [put, put], failure: [] }),
      transport.range({ key, revision: 1_000 }),
    );
    const expected = [
      "lease-exists",
      "invalid",
      "lease-not-found",
      "lease-not-found",
      "invalid",
      "future-revision",
    ];
    expect(asked).toEqual(expected.map((kind) => [kind, true]));
  });

  it("is silent on a stream that was canceled, and drops what is sent on it", async () => {
    const recorder = new Recorder();
    const stream = await transport.watch(recorder);
    stream.send(create);
    await eventually(() => expect(recorder.log).toEqual(["message"]));
    stream.cancel();
    stream.cancel();
    stream.send({ ...create, watchId: 2 });
    await transport.txn({ compare: [], success: [put], failure: [] });
    await subject.kill();
    await failed(transport.range({ key }, { timeoutMs: 150 }));
    expect(recorder.log).toEqual(["message"]);
  });

  it("tells the end of a stream once, when the server dies", async () => {
    const recorders = [new Recorder(), new Recorder()] as const;
    const stream = await transport.watch(recorders[0]);
    await transport.keepAlive(recorders[1]);
    await subject.kill();
    await eventually(() =>
      expect(recorders.map(({ log }) => log)).toEqual([["end: network"], ["end: network"]]),
    );
    stream.send(create);
    stream.cancel();
    const error = await failed(
      transport.txn({ compare: [], success: [put], failure: [] }, { timeoutMs: 1_000 }),
    );
    expect(isNotApplied(error)).toBe(true);
    expect(recorders.map(({ log }) => log.length)).toEqual([1, 1]);
  });

  it("ends everything when it is closed, and rejects what comes after", async () => {
    const recorder = new Recorder();
    await transport.watch(recorder);
    await subject.freeze();
    const waiting = failed(transport.range({ key }));
    await transport.close();
    await transport.close();
    const late = [transport.range({ key }), transport.revoke(lease), transport.watch(recorder)];
    for (const error of await Promise.all([waiting, ...late.map(failed)])) {
      expect(SdError.is(error, "SD_CLOSED"), String(error)).toBe(true);
    }
    expect(recorder.log).toEqual(["end: SD_CLOSED"]);
  });
});

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type Behaviour,
  EtcdProcess,
  etcdBinaries,
  eventually,
  GrpcProxy,
  MemoryEtcd,
  serveMemoryEtcd,
} from "../src/index.js";
import { deletion, NO_END, put, text, watch } from "../src/memory/requests.fixture.js";
import { likeOf } from "./conformance/like-of.js";
import { normalised } from "./conformance/normalise.js";
import { methods, RawClient } from "./raw-client.js";

/** The answer to the renewal of a lease that does not exist. */
async function renewMissing(endpoint: string): Promise<unknown> {
  const client = new RawClient(endpoint);
  try {
    await eventually(() => client.call(methods.KV.put, put("a")));
    const renewals = client.open(methods.Lease.keepAlive);
    renewals.send({ id: 404n });
    await eventually(() => expect(renewals.messages).toHaveLength(1));
    renewals.cancel();
    return normalised(renewals.messages[0]);
  } finally {
    client.close();
  }
}

/** What a watch hears that begins at a compaction which fell on the deletion of `/gone`. */
async function heardAfterCompaction(endpoint: string): Promise<string[]> {
  const client = new RawClient(endpoint);
  try {
    await client.call(methods.KV.put, put("/gone"));
    const { header } = await client.call(methods.KV.deleteRange, deletion("/gone"));
    await client.call(methods.KV.put, put("/last"));
    await client.call(methods.KV.compact, { revision: header.revision, physical: true });
    const watches = client.open(methods.Watch.watch);
    watches.send({ create: watch({ key: "/", rangeEnd: NO_END, startRevision: header.revision }) });
    const heard = () => watches.messages.flatMap(({ events }) => events.map(({ kv }) => text(kv.key)));
    await eventually(() => expect(heard()).toContain("/last"));
    watches.cancel();
    return heard();
  } finally {
    client.close();
  }
}

/** What comes first on the stream of a watch that is behind, when progress is asked for. */
async function firstHeard(endpoint: string): Promise<string[]> {
  const client = new RawClient(endpoint);
  try {
    const { header } = await client.call(methods.KV.put, put("/p"));
    const watches = client.open(methods.Watch.watch);
    watches.send({ create: watch({ key: "/p", startRevision: header.revision }) });
    watches.send({ progress: {} });
    const heard = () =>
      watches.messages.map(({ created, events, header: { revision } }) =>
        created ? "created" : events.length > 0 ? "event" : `progress ${revision - header.revision}`,
      );
    await eventually(() => expect(heard()).toContain("event"));
    watches.cancel();
    return heard();
  } finally {
    client.close();
  }
}

describe.each(etcdBinaries())("MemoryEtcd has the bugs of $name", ({ binary }) => {
  let etcd: EtcdProcess;
  let memory: MemoryEtcd;

  beforeEach(async () => {
    etcd = await EtcdProcess.start({ binary });
    memory = new MemoryEtcd({ version: likeOf(etcd.version), catchUpDelayMs: 50 });
  });
  afterEach(async () => {
    await memory.close();
    await etcd[Symbol.asyncDispose]();
  });

  /** What `work` finds in the real one, in the one in memory, and with the other setting of a bug. */
  async function compared<Found>(
    work: (endpoint: string) => Promise<Found>,
    otherwise: Partial<Behaviour>,
  ): Promise<readonly [Found, Found, Found]> {
    const { endpoint } = await serveMemoryEtcd(memory);
    const real = await work(etcd.endpoint);
    const fake = await work(endpoint);
    memory.wipe();
    memory.behave(otherwise);
    return [real, fake, await work(endpoint)];
  }

  it("a delete that is lost at the compaction revision, or is not", async () => {
    const { losesDeletes } = memory.behaviour;
    const [real, fake, other] = await compared(heardAfterCompaction, { losesDeletes: !losesDeletes });
    expect(fake).toEqual(real);
    expect(real).toEqual(losesDeletes ? ["/last"] : ["/gone", "/last"]);
    expect(other).not.toEqual(real);
  });

  it("progress that is told ahead of events, or is not", async () => {
    const isAhead = memory.behaviour.progress === "at-once";
    const [real, fake, other] = await compared(firstHeard, { progress: isAhead ? "in-step" : "at-once" });
    expect(fake).toEqual(real);
    expect(real).toEqual(isAhead ? ["created", "progress 0", "event"] : ["created", "event"]);
    expect(other).not.toEqual(real);
  });

  it("a TTL of -1 for a lease that is gone, behind `etcd grpc-proxy`", async () => {
    await using proxy = await GrpcProxy.start({ binary, target: etcd.endpoint });
    memory.behave({ missingLeaseTtl: -1 });
    const { endpoint } = await serveMemoryEtcd(memory);
    const [proxied, fake] = [await renewMissing(proxy.endpoint), await renewMissing(endpoint)];
    expect(proxied).toMatchObject({ id: "404n", ttl: -1 });
    expect(fake).toEqual(proxied);
    expect(await renewMissing(etcd.endpoint)).toMatchObject({ id: "404n", ttl: 0 });
  });
});

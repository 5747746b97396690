import { deferred, type EtcdTransport, type GrantResponse, type LeaseId } from "@sd/core";
import { beforeEach, describe, expect, it } from "vitest";
import { Grants } from "./grants.js";

const id = 7n as LeaseId;
const answer: GrantResponse = {
  id,
  ttlSeconds: 5,
  header: { clusterId: 1n, memberId: 1n, revision: 1, raftTerm: 1n },
};

let grants: Grants;
let answers: (Promise<GrantResponse> | GrantResponse)[];
let transport: EtcdTransport;
beforeEach(() => {
  grants = new Grants();
  answers = [];
  const inner = { grant: async () => (await answers.shift()) ?? answer } as Partial<EtcdTransport>;
  transport = grants.note(inner as EtcdTransport);
});

describe("Grants", () => {
  it("knows a lease that is granted again, until the moment is over", async () => {
    await transport.grant({ id, ttlSeconds: 5 });
    expect(grants.mayBeAgain(id), "the first time").toBe(false);
    await transport.grant({ id, ttlSeconds: 5 });
    expect(grants.mayBeAgain(id)).toBe(true);
    grants.moveOn();
    expect(grants.mayBeAgain(id)).toBe(false);
  });

  it("does not know what an unanswered one has done, and that a refused one has done nothing", async () => {
    const first = deferred<GrantResponse>();
    answers = [first.promise];
    const asked = transport.grant({ id, ttlSeconds: 5 });
    expect(grants.mayBeAgain(id), "the first time").toBe(false);
    first.resolve(answer);
    await asked;
    const second = deferred<GrantResponse>();
    answers = [second.promise];
    const again = transport.grant({ id, ttlSeconds: 5 });
    grants.moveOn();
    expect(grants.mayBeAgain(id)).toBe(true);
    second.reject(new Error("lease already exists"));
    await expect(again).rejects.toThrow("exists");
    expect(grants.mayBeAgain(id)).toBe(false);
  });
});

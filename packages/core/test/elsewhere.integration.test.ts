import { EtcdProcess, etcdBinaries, fixedRandom } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { createEtcd3Transport } from "../src/etcd/etcd3/etcd3-transport.js";

const key = Buffer.from("/k");

describe.each(etcdBinaries())("a call that is to be made elsewhere, on $name", ({ binary }) => {
  it("is made on another member if there is one, and changes nothing for the others (D8)", async () => {
    await using first = await EtcdProcess.start({ binary });
    await using second = await EtcdProcess.start({ binary });
    const endpoints = [first.endpoint, second.endpoint];
    const transport = createEtcd3Transport({ endpoints, random: fixedRandom(0.5) });
    const memberOf = async (elsewhere: boolean): Promise<bigint> =>
      (await transport.range({ key }, { elsewhere })).header.memberId;
    const usual = await memberOf(false);
    expect(await memberOf(true)).not.toBe(usual);
    expect(await memberOf(false)).toBe(usual);
    await transport.close();
    const alone = createEtcd3Transport({ endpoints: first.endpoint });
    await alone.range({ key }, { elsewhere: true });
    await alone.close();
  });
});

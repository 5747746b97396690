import { createClient, failureOf } from "@sd/core";
import type { Certificate, EtcdProcess } from "../src/index.js";

export interface Caller {
  /** Whom it trusts, in PEM. Default: the authorities that Node comes with. */
  readonly ca?: string;
  readonly certificate?: Certificate;
  readonly endpoint?: string;
}

/** Reads a key once, over a new connection: its value, or what kind of failure it was. */
export async function readOnce(etcd: EtcdProcess, key: string, caller: Caller = {}): Promise<string> {
  const { ca, certificate, endpoint = etcd.endpoint } = caller;
  const credentials = {
    rootCertificate: bytes(ca),
    privateKey: bytes(certificate?.key),
    certChain: bytes(certificate?.cert),
  };
  const isTls = endpoint.startsWith("https:");
  await using client = createClient({ endpoints: endpoint, ...(isTls && { credentials }) });
  try {
    const { kvs } = await client.transport.range({ key: Buffer.from(key) });
    return kvs.map(({ value }) => Buffer.from(value).toString()).join();
  } catch (error) {
    return `${failureOf(error)}: ${String(error)}`;
  }
}

function bytes(text: string | undefined): Buffer | undefined {
  return text === undefined ? undefined : Buffer.from(text);
}

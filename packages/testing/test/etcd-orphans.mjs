/** Starts a cluster with TLS, says what it has on this machine, and stays: `node etcd-orphans.mjs`. */

import process from "node:process";
import { CertificateAuthority, EtcdCluster } from "@sd/testing";

const authority = await CertificateAuthority.create();
const cluster = await EtcdCluster.start({ members: 2, tls: { authority } });
await cluster.members[0]?.freeze();
process.stdout.write(`pids ${cluster.members.map(({ pid }) => pid).join()}\n`);

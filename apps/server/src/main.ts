#!/usr/bin/env node
import { excerpt, log, readFlags, runApp, stopSignal, UsageError, warn, wholeNumber } from "@sd/app-common";
import { createClient } from "@sd/core";
import { type KeyRegistration, startKeyRegistration } from "@sd/register";

const usage = `Registers an address in etcd under a lease, and keeps it registered until Ctrl-C.

  --key KEY          the key to register, such as /web/node1 (required)
  --value ADDRESS    the address, such as localhost:8000 (required)
  --ttl SECONDS      how long the key outlives a dead process; at least 5 (default 5)
  --endpoints LIST   etcd's addresses, separated by commas
                     (default: $ETCD_ENDPOINTS, else http://127.0.0.1:2379)
  --help
`;

async function main(): Promise<void> {
  const flags = readFlags(process.argv.slice(2), { key: {}, value: {}, ttl: {} });
  if (flags.help) {
    process.stdout.write(usage);
    return;
  }
  const [key, value] = [required(flags.one("key"), "key"), required(flags.one("value"), "value")];
  const ttlSeconds = wholeNumber("ttl", flags.one("ttl") ?? "5", 5, 86_400);
  const stop = stopSignal();

  await using etcd = createClient({ endpoints: flags.endpoints });
  const registration = startKeyRegistration(etcd, { key, value, ttlSeconds });
  reportStates(registration, value);
  const renewals = reportRenewals(registration);

  await new Promise((resolve) => stop.addEventListener("abort", resolve, { once: true }));
  const revocation = await registration.close();
  if (revocation.confirmed) log("撤销租约");
  else warn(`etcd did not confirm the revocation: the key goes within its TTL of ${ttlSeconds} s`);
  await renewals;
  log("关闭续租");
}

function required(value: string | undefined, flag: string): string {
  if (value) return value;
  throw new UsageError(`--${flag} is required`);
}

/** One line for each turn of fate, however often a failure repeats. */
function reportStates(registration: KeyRegistration, value: string): void {
  const { key } = registration;
  let revision = 0;
  let isOutageTold = false;
  registration.subscribe((state, previous) => {
    if (state.status === "registered") {
      if (state.revision !== revision) log(`Put key:${key}  val:${value}  success!`);
      else if (previous.status !== "registered") log(`key:${key} is still registered`);
      revision = state.revision;
    } else if (state.status === "registering") {
      if (!isOutageTold) warn(`etcd cannot be reached, trying on: ${messageOf(state.error)}`);
      isOutageTold = true;
    } else if (state.status === previous.status) {
      return;
    } else if (state.status === "lost") {
      warn(`registration lost (${state.reason}), working on it`);
    } else if (state.status === "conflict") {
      const owner = excerpt(Buffer.from(state.owner.value).toString());
      warn(`key:${key} is held by val:${owner}, waiting until it is free`);
    }
  });
}

async function reportRenewals(registration: KeyRegistration): Promise<void> {
  for await (const { header } of registration.renewals()) {
    log(
      `续约成功 cluster_id:${header.clusterId} member_id:${header.memberId} ` +
        `revision:${header.revision} raft_term:${header.raftTerm}`,
    );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

await runApp(main);

import { createClient } from "@sd/core";
import { afterEach, expect, it, vi } from "vitest";
import { startEtcd } from "./start-etcd.js";

afterEach(() => {
  vi.unstubAllEnvs();
});

it("is reached by a test and its clients where the environment names an http proxy", async () => {
  for (const name of ["grpc_proxy", "http_proxy", "https_proxy"]) vi.stubEnv(name, "http://127.0.0.1:9");
  await using etcd = await startEtcd();
  await etcd.put("/web/node1", "localhost:8000");
  expect(await etcd.get("/web/node1")).toBe("localhost:8000");
  await using client = createClient({ endpoints: etcd.endpoints });
  const lease = await client.leases.grant({ ttlSeconds: 5, signal: AbortSignal.timeout(4_000) });
  await lease.revoke();
});

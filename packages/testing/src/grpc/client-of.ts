import type { Metadata } from "@grpc/grpc-js";
import type { Client } from "../memory/auth/guard.js";

/** Who calls, by the token in the metadata: under the name of gRPC's clients, else that of HTTP's. */
export function clientOf(metadata: Metadata): Client {
  const [token = metadata.get("authorization")[0]] = metadata.get("token");
  return { token: token?.toString() };
}

import type { Place } from "./flags.js";

/** What the members of a cluster share, and one's place among them. */
export interface Membership extends Place {
  /** Where it listens for the others, on a port that is reserved. */
  readonly peerUrl: string;
  readonly access: Access;
}

/** As whom etcdctl is run: `user:password`. */
export interface Access {
  user: string | undefined;
}

/** That of a cluster of one. */
export function alone(peerUrl: string): Membership {
  const initialCluster = `sd=${peerUrl}`;
  const place = { name: "sd", advertisedPeerUrl: peerUrl, initialCluster, token: "etcd-cluster" };
  return { ...place, peerUrl, access: { user: undefined } };
}

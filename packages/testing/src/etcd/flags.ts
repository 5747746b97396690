/** What a member is started with. */
export interface MemberFlags {
  readonly version: string;
  readonly dataDirectory: string;
  /** Where clients connect. */
  readonly clientUrl: string;
  /** Where it listens for the other members. */
  readonly peerUrl: string;
  readonly place: Place;
  /** Of TLS. */
  readonly tls: Readonly<Record<string, string>>;
  /** The caller's own. */
  readonly args: readonly string[];
}

/** The place of a member in its cluster. */
export interface Place {
  readonly name: string;
  /** Where the others reach it. */
  readonly advertisedPeerUrl: string;
  /** All members: `a=http://…,b=http://…`. */
  readonly initialCluster: string;
  /** Cluster and member ids are made from it and the members' URLs. */
  readonly token: string;
}

/** The flags of etcd for a member. Of a flag given twice, etcd takes the last. */
export function etcdFlags(member: MemberFlags): string[] {
  const { version, dataDirectory, clientUrl, peerUrl, tls, args } = member;
  const flags = {
    "data-dir": dataDirectory,
    "listen-client-urls": clientUrl,
    "advertise-client-urls": clientUrl,
    "listen-peer-urls": peerUrl,
    ...placeFlags(member.place),
    "log-level": "warn",
    // Before 3.5 zap is not the default, and `unsafe-no-fsync` is unknown.
    ...(version.startsWith("3.4.")
      ? { logger: "zap", "log-outputs": "stderr" }
      : { "unsafe-no-fsync": "true" }),
    ...tls,
  };
  return [...asArguments(flags), ...args];
}

/** What both etcd and the restoring of a snapshot want to know of a member's place. */
export function placeFlags({
  name,
  advertisedPeerUrl,
  initialCluster,
  token,
}: Place): Record<string, string> {
  return {
    name,
    "initial-advertise-peer-urls": advertisedPeerUrl,
    "initial-cluster": initialCluster,
    "initial-cluster-token": token,
  };
}

export function asArguments(flags: Readonly<Record<string, string>>): string[] {
  return Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
}

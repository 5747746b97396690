/** What a member of etcd says of itself. Ids are etcd's 64-bit numbers. */
export interface MemberStatus {
  readonly memberId: bigint;
  readonly clusterId: bigint;
  /** Whom it takes for the leader; 0: it knows none. */
  readonly leaderId: bigint;
  /** Of the last entry that it has applied: right after an election still the one before. */
  readonly raftTerm: number;
  readonly revision: number;
}

/** Reads the answer of `etcdctl endpoint status -w fields`. @throws Error with the answer. */
export function readStatus(answer: string): MemberStatus {
  const field = (name: string): bigint => {
    const digits = new RegExp(`^"${name}" : (\\d+)$`, "m").exec(answer)?.[1];
    if (digits === undefined) throw new Error(`no ${name} in what etcdctl says of the member:\n${answer}`);
    return BigInt(digits);
  };
  return {
    memberId: field("MemberID"),
    clusterId: field("ClusterID"),
    leaderId: field("Leader"),
    raftTerm: Number(field("RaftTerm")),
    revision: Number(field("Revision")),
  };
}

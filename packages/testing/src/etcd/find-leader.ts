import type { EtcdProcess } from "./etcd-process.js";
import type { MemberStatus } from "./member-status.js";

/** The member that most of them take for their leader; `false`: there is none. One that is silent takes none. */
export async function findLeader(members: readonly EtcdProcess[]): Promise<EtcdProcess | false> {
  const statuses = await Promise.all(members.map(statusOf));
  for (const [index, status] of statuses.entries()) {
    const followers = statuses.filter((each) => each && each.leaderId === status?.memberId);
    if (followers.length * 2 > members.length) return members[index] as EtcdProcess;
  }
  return false;
}

async function statusOf(member: EtcdProcess): Promise<MemberStatus | undefined> {
  if (!member.isRunning) return undefined;
  return member.status().catch(() => undefined);
}

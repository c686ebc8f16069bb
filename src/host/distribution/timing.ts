/**
 * Every interval and bound of the distribution drivers with the reason for its value; milliseconds unless the
 * name says otherwise.
 */

/**
 * etcd's own clockwork, the same on every member. Ten heartbeats per election, as etcd's tuning guide wants.
 * k3s uses 500 and 5,000; a fresh single member waits one random election timeout before it leads itself, and
 * that wait (0.5–5.5 s there, 0.3–2.8 s here) is the largest part of forming a cluster. 2.5 s still is ten
 * times a round trip of 250 ms, and pre-vote keeps a stalling disk from deposing a leader that others hear.
 */
export const ETCD_HEARTBEAT_MS = 250
export const ETCD_ELECTION_MS = 2_500

/** Looking at etcd while something is under way: a person waits for the end of it. */
export const POLL_FAST_MS = 150
/** How long after a start or a new order polling stays fast: longer than any healthy start takes. */
export const FAST_PHASE_MS = 60_000
/** Looking at an etcd that is not healthy and has not been for long. */
export const POLL_UNHEALTHY_MS = 1_000
/** Looking at a healthy etcd: a few requests on open connections, about 10 ms of CPU. */
export const POLL_HEALTHY_MS = 5_000
/** A process that is not our child tells nobody that it ended; reading /proc costs 50 µs. */
export const PRESENCE_MS = 1_000
/** What a person must mend first (missing program, foreign data) is looked at again this often. */
export const POLL_BLOCKED_MS = 3_000
/** Nothing is wanted: only a new order changes that. */
export const POLL_IDLE_MS = 60_000

/** Pause before etcd is started again, doubling from the first to the last. */
export const RESTART_MIN_MS = 1_000
export const RESTART_MAX_MS = 30_000
/** After running for so long, the next exit counts as the first. */
export const STABLE_MS = 60_000
/** From this many exits in a row on it "keeps failing"; a joiner may lose a race with a membership change once. */
export const FAILURES_SHOWN = 2

/** For a local answer. etcd itself gives its health check 1 s. */
export const REQUEST_MS = 2_500
/** For a change of membership, which needs the quorum's disks. */
export const CHANGE_MS = 6_000
/**
 * Before it ends, etcd hands leadership over, which takes a heartbeat where somebody is there to take it; where
 * nobody is, it would wait for 5 s and two elections. Beyond this it is killed, which its log survives.
 */
export const END_GRACE_MS = 5_000

/** How long an obstacle that usually goes by itself is not worth a line in status. */
export const PATIENCE_MS = 5_000
/** etcd elects within two election timeouts; without a leader for longer, members are missing. */
export const LEADER_PATIENCE_MS = 10_000
/** Replaying a large log on a slow disk takes time in which etcd answers nobody. */
export const ANSWER_PATIENCE_MS = 30_000

/**
 * A leftover learner is evicted only when it was seen for so long: a joiner passes through the same state,
 * but within seconds.
 */
export const EVICT_AFTER_MS = 10_000
/** While somebody is to be evicted, look more often: no other joiner gets in before. */
export const POLL_EVICT_MS = 1_000

/** Bytes of etcd's output that are kept, twice: the current file and the one before. */
export const LOG_MAX_BYTES = 4 * 1024 * 1024
/** Bytes of etcd's last output that are read to say why it ended. */
export const LOG_TAIL_BYTES = 64 * 1024

/** Looking at k3s while something is under way: a start takes half a minute, a look costs a few requests. */
export const K3S_POLL_FAST_MS = 500
/** k3s hands leadership over and ends its kubelet; what it started runs on. Beyond this it is killed. */
export const K3S_END_GRACE_MS = 30_000
/** How long a join's target that answers stays the target without another look. */
export const TARGET_MS = 30_000
/** A member whose Node is gone takes k3s moments to remove; beyond this it is removed by us. */
export const MEMBER_REMOVAL_MS = 30_000
/** How long a command that people gave may take: pulling something over a slow line. */
export const HOOK_MS = 600_000
/** A snapshot of a large datastore on a slow disk. */
export const SNAPSHOT_MS = 300_000

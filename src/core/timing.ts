/**
 * Every interval and bound of the protocol, with the reason for its value. Milliseconds unless the name says
 * otherwise. All are compared with a node's own monotonic clock; no two clocks are ever compared.
 */

/** A record without genesis is signed anew this often, so that the living can be told from the remembered. */
export const RECORD_RENEW_MS = 10_000
/** With a genesis and nobody looking for one, records only repair what gossip missed: 20 bytes/s at ten nodes. */
export const RECORD_FORMED_RENEW_MS = 300_000
/** A founder whose record did not advance for three renewals is not there. */
export const RECORD_FRESH_MS = 30_000
/** Own sequence numbers are reserved on disk in blocks, so that renewing costs no write. */
export const RECORD_SEQ_BLOCK = 1_000
/** Most records kept; those of the not admitted are evicted first. Four times the largest mesh. */
export const RECORDS_MAX = 4_096
/** Most records in one message: 64 × 8 KiB stays below the frame limit. */
export const RECORDS_PER_MESSAGE = 64

/**
 * From so many nodes on, what each tells all others is thinned out, so that no node's work or traffic grows with
 * the square of their number: plans travel as patches, books of records are compared in parts, a share of the
 * nodes answers for all that they live, newcomers are admitted together. Below it is not worth the words.
 */
export const CROWD_FROM = 32
/** Parts of a book of records that are compared each by itself: of 4,096 records a part has 64. */
export const BOOK_PARTS = 64
/** Most records in answer to one inventory: a newcomer asks many at once, and each has a part of the rest. */
export const RECORDS_PER_ANSWER = 2 * RECORDS_PER_MESSAGE
/** In a crowd so many earlier plans are remembered to make patches from: half a minute of admissions. */
export const PLANS_REMEMBERED = 16
/** In a crowd newcomers wait this long for each other: each entry makes every node write a plan. */
export const ADMIT_PAUSE_MS = 2_000

/** Founding is in a hurry: differences between peers must vanish within a second or two. */
export const GOSSIP_FOUNDING_MS = 1_000
/** Afterwards beats carry the news; gossip only repairs. Ten seconds cost about 30 bytes/s per node. */
export const GOSSIP_FORMED_MS = 10_000
/** Peers per round of gossip. */
export const GOSSIP_FANOUT = 2
/** News of one's own is pushed to at most this many connected peers at once. */
export const PUSH_MAX = 64

/** Each rank waits this long for the ranks before it to stand, so that usually one candidate stands. */
export const CANDIDATE_RANK_WAIT_MS = 1_500
/** Promises and acceptances are asked for again this often: above a bad link's round trip. */
export const FOUNDING_RETRY_MS = 400
/** With a quorum of promises, the missing founders get this long before the genesis is made without them. */
export const FOUNDING_GRACE_MS = 600
/** A candidate refused for a higher term stays away this long, doubling, with jitter of the same size. */
export const FOUNDING_BACKOFF_MS = 700
export const FOUNDING_BACKOFF_MAX_MS = 10_000
/** Someone else's candidacy that is this old without a genesis is taken to be dead. */
export const FOUNDING_PATIENCE_MS = 3_000
/** A term further ahead than this is refused: a liar cannot burn the number space in one message. */
export const TERM_JUMP_MAX = 1_000

/**
 * The leader to each voter. A heartbeat and its answer are about 420 bytes on the wire; twice a second would
 * be most of what an idle cluster sends. A dead process is noticed by its broken connection anyway.
 */
export const HEARTBEAT_MS = 1_000
/** A voter that hears nothing for this long, plus jitter, asks for votes (Raft §9.3: well above a round trip). */
export const ELECTION_MIN_MS = 2_500
export const ELECTION_JITTER_MS = 1_500
/** When the connection to the leader broke (not mere silence), it is likely dead: stand sooner. */
export const ELECTION_BROKEN_MIN_MS = 250
export const ELECTION_BROKEN_JITTER_MS = 500
/** A leader that hears from no majority for this long steps down (Raft §6.2, check-quorum). */
export const LEADER_QUORUM_MS = 4_000
/** The only voter waits this long for the second one's signature: some round trips and a write. */
export const SECOND_VOTER_MS = 5_000
/** Most changes of the voters in one era: whoever sleeps verifies all of them. A few hundred bytes each. */
export const CHAIN_MAX = 250

/** Votes and signatures are asked for again this often. */
export const REPLICATION_RETRY_MS = 400

/**
 * A node waits this long for mesh paths to everyone alive before it goes on without the last of them: a path
 * over a relay takes some seconds, and a machine whose WireGuard is broken must not keep all others from
 * becoming ready.
 */
export const MESH_PATIENCE_MS = 20_000

/** Every node that is not a voter to the leader. */
export const BEAT_MS = 2_000
/**
 * Facts travel when they change, and again this often: a stream that was reset swallows what was on it while
 * the connection stays, and nobody would ever know. A server's facts are about 250 bytes.
 */
export const FACTS_REPEAT_MS = 10_000
/** One lost beat is weather; at this age the node shows as silent. */
export const SILENT_MS = 3_000
/** A joiner asks the next server when this long passed without an answer. */
export const JOIN_RETRY_MS = 1_000

/** Every peer shows the same genesis at once: one of them is asked, and the next one after this long. */
export const GENESIS_ASK_MS = 500
/** A genesis that was refused is looked at again this often: what spoke against it may be gone. */
export const GENESIS_REFUSED_MS = 10_000
/** An election takes about this long; a node without a leader for longer says so. */
export const LEADERLESS_MS = 3_000
/** Machines that are on meet within this (a slow DHT look-up); a node that still waits says what to do about it. */
export const COMPANY_MS = 30_000

/**
 * A starting voter waits this long at most for what others hold of its words (DESIGN.md section 11: the local
 * gate): machines of one site that were switched on together find each other within it.
 */
export const RECALL_MS = 10_000
export const RECALL_RETRY_MS = 1_000

/** Permits are asked for again this often. */
export const PERMIT_RETRY_MS = 500
/** Permits that did not become a majority within this time are void: above a bad link's round trip, no more. */
export const PERMIT_ROUND_MS = 3_000
/** An initialiser that is silent for this long loses its turn. */
export const INITIALISE_DEADLINE_MS = 60_000
/** A joiner that is silent or failing for this long is sent to the end of the queue. */
export const JOIN_DEADLINE_MS = 120_000
/**
 * k3s unpacks itself, signs its certificates, imports images and starts a whole control plane: a minute on a
 * small machine with a slow card, more with images. Who is seen at work is not given up before.
 */
export const K3S_DEADLINE_MS = 10 * 60_000
/** A node whose turn in a rollout it is, and that is not healthy after this long, halts it. */
export const UPGRADE_DEADLINE_MS = 10 * 60_000
/** An error that a node tells of for this long without a break is one: many pass while something starts. */
export const UPGRADE_FAULT_MS = 60_000
/** An agent asks the next server for the agents' secret when this long passed without an answer. */
export const SECRET_RETRY_MS = 1_000
/** Problems are looked over this often, so that status can say since when. */
export const PROBLEMS_MS = 1_000
/** The leader looks this often whether a server is lost or an act on one goes on. */
export const MEMBERSHIP_MS = 500
/** A spare hears of a promotion and says so within two beats; then the next one may be promoted. */
export const GROWING_MS = 5_000
/** A person waits this long for the answer to a command: an election and some entries fit in. */
export const COMMAND_WAIT_MS = 15_000
/** A command is handed to the leader again this often, until it answers. */
export const COMMAND_RETRY_MS = 1_000
/** Who is out and does not know is told again after this long. */
export const TOLD_OUT_MS = 5_000
/** An act that lasts longer is named as a problem: people look for it then. */
export const ACT_LONG_MS = 5 * 60_000

/** The leader record in the DHT is put again this often (records there live for hours, peers do not). */
export const PUBLISH_MS = 10 * 60_000

/**
 * Before a node asks an artefact's origin, the others in sight get this long to say what they have of it: a
 * redial and an answer, also on a satellite link. What it costs is the wait; what it saves is a second download.
 */
export const CONTENT_SETTLE_MS = 3_000
/** Who is first in the order but does not begin is passed over after this long; each further one as long again. */
export const CONTENT_TURN_MS = 4_000
/** Who asks the origin and gets nothing for this long has stalled: above a server's slow first byte. */
export const CONTENT_STALL_MS = 15_000

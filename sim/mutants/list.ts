/**
 * The planted bugs: one line of the real source each, named by what goes wrong. Not here are those that this
 * world cannot tell from right, and that the core's own tests find instead: permits that never grow old, an
 * outcome of an older epoch, records whose loss is never repaired (everyone meets everyone in the end).
 */

import { k3sMutants } from './k3s.ts'
import { membershipMutants } from './membership.ts'
import type { Mutant } from './mutant.ts'
import { statusMutants } from './status.ts'

export const mutants: readonly Mutant[] = [
  // --- founding
  {
    name: 'founding: a promise is not persisted',
    file: 'founding.ts',
    from: '  persist(turn, { founding: { ...state.durable.founding, term: promised, candidate } })\n',
    to: '',
  },
  {
    name: 'founding: a second candidate is promised the same term',
    file: 'founding.ts',
    from: 'const repeated = message.term === founding.term && founding.candidate === from',
    to: 'const repeated = message.term === founding.term',
  },
  {
    name: 'founding: the quorum is one too small',
    file: 'genesis.ts',
    from: 'Math.floor((expect + slackOf(expect)) / 2) + 1',
    to: 'Math.floor((expect + slackOf(expect)) / 2)',
  },
  {
    name: 'founding: no slack',
    file: 'genesis.ts',
    from: '(expect === 1 ? 0 : 1)',
    to: '0',
  },
  {
    name: 'founding: a candidate ignores what was accepted',
    file: 'founding.ts',
    from: '  const highest = highestAccepted(promises)\n  const adopted',
    to: '  const highest = highestAccepted([])\n  const adopted',
  },
  {
    name: 'founding: acceptors check nothing',
    file: 'founding.ts',
    from: '        : proposalFault(turn, proposal)\n    if (wrong',
    to: '        : null\n    if (wrong',
  },
  {
    name: 'founding: acceptors check nothing and candidates ignore what was accepted',
    file: 'proposal.ts',
    from: 'function highestAccepted(promises: Iterable<FoundingPromise>): { term: Term; genesis: Digest } | null {\n',
    to: 'function highestAccepted(promises: Iterable<FoundingPromise>): { term: Term; genesis: Digest } | null {\n  return null\n',
  },
  {
    name: 'founding: the lowest accepted genesis is adopted',
    file: 'proposal.ts',
    from: 'accepted.term > highest.term',
    to: 'accepted.term < highest.term',
  },
  {
    name: 'founding: a value is accepted after a higher promise',
    file: 'founding.ts',
    from: 'if (message.term < founding.term || promisedToAnother) {',
    to: 'if (promisedToAnother) {',
  },
  {
    name: 'founding: a candidate stands in its old term again',
    file: 'founding.ts',
    from: 'term(durable.founding.term + 1)',
    to: 'term(Math.max(1, durable.founding.term))',
  },
  {
    name: 'founding: a promise forgets what was accepted',
    file: 'founding.ts',
    from: '      accepted === null || last === undefined\n',
    to: '      true || accepted === null || last === undefined\n',
  },
  {
    name: 'founding: an acceptance is not persisted',
    file: 'founding.ts',
    from: '  persist(turn, { founding: { term: inTerm, candidate, accepted } })\n',
    to: '',
  },
  {
    name: 'founding: founds beside a genesis in sight',
    file: 'founding.ts',
    from: 'if ((genesis === null && !datastore) || !isFresh(state, known, now)) continue',
    to: 'continue',
  },
  {
    name: 'founding: a promise signature is not checked',
    file: 'proposal.ts',
    from: '    turn.crypto.verify(promise.node, promiseStatement(settings.networkId, promise), promise.signature)',
    to: '    true',
  },
  {
    name: 'certificate: a genesis is believed without one',
    file: 'genesis.ts',
    from: 'return signers.size >= foundingQuorum(genesis.expect) ? digest(id) : null',
    to: 'return digest(id)',
  },
  {
    name: 'certificate: one signer counts many times',
    file: 'genesis.ts',
    from: 'return signers.size >= foundingQuorum(genesis.expect) ? digest(id) : null',
    to: 'return certificate.acceptances.length >= foundingQuorum(genesis.expect) ? digest(id) : null',
  },
  // --- replication
  {
    name: 'replication: a vote is not persisted',
    file: 'election.ts',
    from: '  if (vote === null) persist(turn, { voting: { ...state.durable.voting, vote: from } })\n',
    to: '',
  },
  {
    name: 'replication: a vote goes to who knows less',
    file: 'election.ts',
    from: 'if (isBehind || (vote !== null && vote !== from)) {',
    to: 'if (vote !== null && vote !== from) {',
    also: { from: 'message.term > voting.term && !isBehind', to: 'message.term > voting.term' },
  },
  {
    name: 'replication: two votes in a term',
    file: 'election.ts',
    from: 'if (isBehind || (vote !== null && vote !== from)) {',
    to: 'if (isBehind) {',
  },
  {
    name: 'replication: an entry is signed before it is on disk',
    file: 'replication.ts',
    from: '  persist(turn, { voting: { ...state.durable.voting, accepted: entry } })\n',
    to: '',
  },
  {
    name: 'replication: a new leader drops what it signed',
    file: 'replication.ts',
    from: '  const causes: Cause[] = [...(voting.accepted?.causes ?? [])]\n  let plan = voting.accepted?.plan ?? certified.plan',
    to: '  const causes: Cause[] = []\n  let plan = certified.plan',
  },
  {
    name: 'replication: a new leader issues at an index that it signed',
    file: 'replication.ts',
    from: 'Math.max(certified.index, voting.accepted?.index ?? 0, leadership.burnt) + 1',
    to: 'certified.index + 1',
  },
  {
    name: 'replication: less than a majority',
    file: 'plan.ts',
    from: 'voters.filter((id) => signers.has(id)).length * 2 > voters.length',
    to: 'voters.filter((id) => signers.has(id)).length * 2 >= voters.length - 1',
  },
  {
    name: 'replication: a new term keeps the old vote',
    file: 'election.ts',
    from: 'persist(turn, { voting: { ...state.durable.voting, term: entered, vote: null } })',
    to: 'persist(turn, { voting: { ...state.durable.voting, term: entered } })',
  },
  {
    name: 'replication: a new term is not persisted',
    file: 'election.ts',
    from: '  persist(turn, { voting: { ...state.durable.voting, term: entered, vote: null } })\n',
    to: '  state.durable = { ...state.durable, voting: { ...state.durable.voting, term: entered, vote: null } }\n',
  },
  {
    name: 'replication: a leader of an old term is followed',
    file: 'election.ts',
    from: '  if (inTerm < known) {\n',
    to: '  if (inTerm < 0) {\n',
  },
  {
    name: 'replication: an older certified plan is taken',
    file: 'certified.ts',
    from: 'state.genesisId === null || certified.index < own.index) return',
    to: 'state.genesisId === null) return',
  },
  {
    name: 'replication: an overtaken leader is not told',
    file: 'election.ts',
    from: '    if (voter) tellTerm(turn, leader)\n',
    to: '',
  },
  {
    name: 'replication: a leader leads on in a higher term',
    file: 'election.ts',
    from: "  if (replication.leadership !== null) stepDown(turn, 'a higher term')\n",
    to: '',
  },
  {
    name: 'replication: a vote counts for any term',
    file: 'election.ts',
    from: "if (replication.role !== 'candidate' || message.term !== durable.voting.term) return",
    to: "if (replication.role !== 'candidate') return",
  },
  {
    name: 'replication: the leader counts signatures of another entry',
    file: 'replication.ts',
    from: '  if (message.term !== entry.term || message.index !== entry.index) return\n  const { node, signature }',
    to: '  const { node, signature }',
    also: { from: '!crypto.verify(from, entryStatement(turn, entry), signature)', to: 'false' },
  },
  {
    name: 'certificate: a plan is believed without one',
    file: 'plan.ts',
    from: '  return isMajority(oldVoters, signers) && isMajority(newVoters, signers)\n',
    to: '  return signatures.length > 0 || isMajority(oldVoters, signers)\n',
  },
  // --- addresses, names, admission
  {
    name: 'addresses: the counter stands still',
    file: 'changes/admission.ts',
    from: '    nextAddress: plan.nextAddress + 1,',
    to: '    nextAddress: plan.nextAddress,',
  },
  {
    name: 'addresses: the first newcomer gets the last founder’s',
    file: 'genesis.ts',
    from: 'nextAddress: firstAddressNumber + members.length',
    to: 'nextAddress: firstAddressNumber + members.length - 1',
  },
  {
    name: 'names: equal names stay equal',
    file: 'names.ts',
    from: 'if (!taken.has(wish)) return wish',
    to: 'if (taken.size >= 0) return wish',
  },
  {
    name: 'admission: a newcomer is a server',
    file: 'changes/admission.ts',
    from: "    role: 'agent',",
    to: "    role: 'server',",
  },
  {
    name: 'admission: a member is admitted again',
    file: 'changes/admission.ts',
    from: "  if (memberOf(plan, record.id) !== undefined) return 'it is in already'\n",
    to: '',
    also: {
      file: 'admission.ts',
      from: '  if (memberOf(plan, from) !== undefined) {\n    const certified',
      to: '  if (memberOf(plan, from) !== undefined && state.links.size === 0) {\n    const certified',
    },
  },
  {
    name: 'admission: nobody is ever admitted',
    file: 'admission.ts',
    from: "      request(turn, { kind: 'admit', record: message.record })\n",
    to: '',
  },
  // --- acts, distribution
  {
    name: 'acts: no permit is needed',
    file: 'distribution.ts',
    from: 'if (act === null || !isPermitted(state)) return',
    to: 'if (act === null) return',
  },
  {
    name: 'acts: one permit is enough',
    file: 'acts.ts',
    from: 'if (acts.asking === null || !isMajority(plan.voters, acts.asking.signers)) return false',
    to: 'if (acts.asking === null || acts.asking.signers.size === 0) return false',
  },
  {
    name: 'distribution: a dead holder keeps its act',
    file: 'distribution.ts',
    from: '  if (now - heldSince.at < patienceWith(turn, plan, act)) return\n',
    to: '  if (now - heldSince.at < patienceWith(turn, plan, act) * 1e6) return\n',
  },
  {
    name: 'distribution: a member is told to join again',
    file: 'distribution.ts',
    from: "  if (datastore.members.includes(state.id)) return 'run'\n",
    to: '',
  },
  {
    name: 'distribution: whoever is named initialises although it is done',
    file: 'distribution.ts',
    from: "  if (datastore.members.includes(state.id)) return 'run'\n",
    to: "  if (datastore.members.includes(state.id)) return 'initialise'\n",
  },
  {
    name: 'acts: an outcome that nobody would sign is waited for',
    file: 'distribution.ts',
    from: 'if (outcome !== null && endsAct(turn.crypto, plan, outcome)) {',
    to: 'if (outcome !== null && outcome.attempt < act.attempt) {',
  },
  {
    name: 'certified: what is left of an entry is not issued again',
    file: 'replication.ts',
    from: '  if (voting.accepted === null && (leadership.queue.length === 0 || isWaiting(turn, leadership))) return\n',
    to: '  if (leadership.queue.length === 0) return\n',
    also: {
      from: '  if (causes.length === 0) return\n',
      to: '  if (causes.length === 0 || voting.accepted !== null) return\n',
    },
  },
  {
    name: 'certified: the signed entry is dropped when a plan comes',
    file: 'certified.ts',
    from: '  if (accepted === null || before === null || !isAfter(accepted, certified)) return null\n',
    to: '  if (accepted !== null || before !== null || !isAfter(certified, certified)) return null\n',
  },
  {
    name: 'restored: a whole disk is taken for an old copy',
    file: 'restored.ts',
    from: '|| !isAfter(certified, remembered(state).last)) return\n',
    to: ') return\n',
  },
  {
    name: 'restored: an old copy is never found',
    file: 'restored.ts',
    from: '  if (state.durable.restored) return\n',
    to: '  if (state.durable.restored || forgotten.length > 0) return\n',
  },
  {
    name: 'restored: silence never permits',
    file: 'restored.ts',
    from: 'missing.length === 0 || now >= recall.until || state.blocked !== null',
    to: 'missing.length === 0 || state.blocked !== null',
  },
  {
    name: 'distribution: two datastores may be done',
    file: 'changes/datastore.ts',
    from: 'if (plan.datastore.clusterId !== null || !isServer(plan, node)) return null',
    to: 'if (!isServer(plan, node)) return null',
    also: {
      file: 'distribution.ts',
      from: 'if (plan.datastore.clusterId === null) nameInitialiser(turn, plan)',
      to: 'if (plan.datastore.members.length < 2) nameInitialiser(turn, plan)',
    },
  },
  {
    name: 'plans: a patch is put on whatever plan is there, and nobody looks',
    file: 'certified.ts',
    from: 'if (patch.base === planHashOf(turn.crypto, own.plan)) {',
    to: 'if (patch.baseIndex <= own.index) {',
    also: {
      from: 'if (!verifyCertifiedPlan(crypto, genesis, state.genesisId, certified)) {',
      to: 'if (false) {',
    },
  },
  ...k3sMutants,
  ...membershipMutants,
  ...statusMutants,
  // --- gossip, persistence
  {
    name: 'gossip: a record’s signature is not checked',
    file: 'gossip.ts',
    from: 'if (record.network !== state.settings.networkId || !verifyRecord(turn.crypto, signed)) {',
    to: 'if (record.network !== state.settings.networkId) {',
  },
  {
    name: 'gossip: sequence numbers are not reserved',
    file: 'gossip.ts',
    from: '  if (gossip.seq > state.durable.seq) persist(turn, { seq: gossip.seq + RECORD_SEQ_BLOCK })\n',
    to: '',
  },
  {
    name: 'gossip: a restart signs its numbers again',
    file: 'node.ts',
    from: 'gossip: startGossip(now, durable.seq)',
    to: 'gossip: startGossip(now, 0)',
  },
  {
    name: 'persistence: the write comes when it comes',
    file: 'node.ts',
    from: "  if (turn.dirty) turn.effects.unshift({ kind: 'persist', durable: turn.state.durable })\n",
    to: "  if (turn.dirty && turn.now % 3 === 0) turn.effects.unshift({ kind: 'persist', durable: turn.state.durable })\n",
  },
  {
    name: 'determinism: the canary sings',
    file: 'turn.ts',
    from: '  return state.jitter % Math.max(1, Math.floor(bound))',
    to: '  return Math.floor(Math.random() * Math.max(1, Math.floor(bound)))',
  },
]

/** The planted bugs of k3s: its rollouts and its secrets. */
import type { Mutant } from './mutant.ts'

export const k3sMutants: readonly Mutant[] = [
  {
    name: 'rollout: a server changes without a permit',
    file: 'distribution.ts',
    from: "  if (ownAct(state)?.kind === 'upgrade' && isPermitted(state)) return targetOf(plan)\n",
    to: '  if (ownAct(state) !== null || (plan.rollout !== null && plan.voters.includes(state.id))) return targetOf(plan)\n',
  },
  {
    name: 'rollout: a permit does not ask whether the others are well',
    file: 'acts.ts',
    from: "  return act.kind !== 'upgrade' || certified === null || mayGoDown(state, certified.plan, act.node)\n",
    to: '  return true\n',
    also: {
      file: 'rolling.ts',
      from: '  return isMajority(plan.voters, new Set(well)) && well.length * 2 > plan.datastore.members.length\n',
      to: '  return well.length >= 0\n',
    },
  },
  {
    name: 'rollout: the leader’s own server is not the last',
    file: 'rolling.ts',
    from: '  const candidates = others.length > 0 ? others : left\n',
    to: '  const candidates = [...left].reverse()\n',
    also: {
      file: 'changes/rollout.ts',
      from: '  if (!left.includes(node) || (node === by && left.length > 1)) return null\n',
      to: '  if (!left.includes(node) || by === null) return null\n',
    },
  },
  {
    name: 'rollout: agents do not wait for the servers',
    file: 'changes/rollout.ts',
    from: "  if (rollout?.state !== 'running' || serversLeft(plan).length > 0) return null\n",
    to: "  if (rollout?.state !== 'running') return null\n",
    also: {
      file: 'rolling.ts',
      from: '  if (left.length > 0) {\n',
      to: '  if (left.length > 0 && agentsLeft(plan).length === 0) {\n',
    },
  },
  {
    name: 'rollout: a failure does not halt it',
    file: 'rolling.ts',
    from: "  request(turn, { kind: 'halt', node, number: rollout.number, reason: reason.slice(0, 512) })\n",
    to: '',
  },
  {
    name: 'rollout: a halted one goes on',
    file: 'changes/rollout.ts',
    from: "  if (rollout?.state !== 'running' || plan.act !== null) return null\n",
    to: '  if (rollout === null || plan.act !== null) return null\n',
    also: {
      file: 'rolling.ts',
      from: "  if (rollout.state !== 'running' || haltForUnprepared(turn, plan, rollout)) return\n",
      to: '',
    },
  },
  {
    name: 'rollout: an act ends without the new settings',
    file: 'acts.ts',
    from: '  if (!facts.healthy || !facts.voter || !runsNewest(plan, facts)) return\n',
    to: '  if (!facts.healthy || !facts.voter) return\n',
  },
  {
    name: 'rollout: an agent is through when it is ready, whatever it runs',
    file: 'rolling.ts',
    from: '  return told.ready && told.revision === revision && (settings.version ?? told.version) === told.version\n',
    to: '  return told.ready && revision >= 0 && settings !== null\n',
  },
  {
    name: 'rollout: no snapshot is waited for',
    file: 'acts.ts',
    from: '  return wanted === null || wanted.taken || snapshot === wanted.name\n',
    to: '  return wanted === null || snapshot !== wanted.name || wanted.taken\n',
  },
  {
    name: 'rollout: minor versions are skipped',
    file: 'revisions.ts',
    from: '  if (step > 1)\n',
    to: '  if (step > 9)\n',
  },
  {
    name: 'rollout: all get the new settings at once',
    file: 'revisions.ts',
    from: '  if (target === null || rollout === null || hasMoved(plan, node)) return target\n',
    to: '  if (target === null || rollout === null || node.length > 0) return target\n',
    also: {
      file: 'distribution.ts',
      from: '  return revisionsInUse(plan).find(({ revision }) => revision === onDisk) ?? revisionFor(plan, state.id)\n',
      to: '  return onDisk === -1 ? null : revisionFor(plan, state.id)\n',
    },
  },
  {
    name: 'rollout: it never ends',
    file: 'rolling.ts',
    from: "    request(turn, { kind: 'rolled', number: rollout.number })\n",
    to: '',
  },
  {
    name: 'secrets: a stranger gets the agents’ secret',
    file: 'secrets.ts',
    from: '  const member = memberOf(plan, from)\n',
    to: '  const member = memberOf(plan, from) ?? plan.members[0]\n',
  },
  {
    name: 'secrets: an agent runs before there is a datastore',
    file: 'distribution.ts',
    from: 'plan.datastore.clusterId !== null && agentSecret !== null',
    to: 'agentSecret !== null',
  },
  {
    name: 'secrets: the agents’ secret is the servers’',
    file: 'secrets.ts',
    from: '    return secret === null ? null : agentSecretFrom(secret, agentGeneration)\n',
    to: '    return secret\n',
  },
]

/** Bugs planted in who is in, who serves and who commands; what they are for is told in list.ts. */
import type { Mutant } from './mutant.ts'

export const membershipMutants: readonly Mutant[] = [
  {
    name: 'voters: a change counts by the old majority only',
    file: 'plan.ts',
    from: '  return isMajority(oldVoters, signers) && isMajority(newVoters, signers)\n',
    to: '  return isMajority(oldVoters, signers)\n',
    also: {
      file: 'voters.ts',
      from: 'sameIds(next, current) ? [current] : [current, next]',
      to: 'sameIds(next, current) ? [current] : [current]',
    },
  },
  {
    name: 'voters: two leave at once',
    file: 'changes/membership.ts',
    from: '  const voters = plan.voters.filter((id) => id !== node)\n',
    to: '  const voters = plan.voters.filter((id) => id !== node).slice(-2)\n',
    also: { file: 'replication.ts', from: ' || differing(next.voters, plan.voters) > 1', to: '' },
  },
  {
    name: 'membership: a server is taken out whatever is left',
    file: 'membership.ts',
    from: "  if (rest.length === 0) return 'it is the only server'\n",
    to: "  if (rest.length === 0) return 'it is the only server'\n  if (rest.length > 0) return null\n",
  },
  {
    name: 'membership: a server that was ever silent is dead',
    file: 'membership.ts',
    from: "if (role !== 'server' || isAlive(state, id, now)) silentSince.delete(id)",
    to: "if (role !== 'server') silentSince.delete(id)\n    else if (isAlive(state, id, now)) continue",
  },
  {
    name: 'membership: the dead are never replaced',
    file: 'membership.ts',
    from: '    return since !== undefined && now - since >= replaceAfterMs && !isCountedOn\n',
    to: '    return since !== undefined && now - since >= replaceAfterMs * 1e6 && !isCountedOn\n',
  },
  {
    name: 'membership: nobody is promoted',
    file: 'membership.ts',
    from: '  return count < target(plan) && spares >=',
    to: '  return count < 0 && spares >=',
  },
  {
    name: 'membership: a spare is promoted that nobody approved',
    file: 'membership.ts',
    from: "(member.mayServe || plan.settings.promote === 'any') &&",
    to: 'member.id.length > 0 &&',
    also: {
      file: 'changes/membership.ts',
      from: "const mayServe = plan.settings.promote === 'any' || memberOf(plan, sealed.node)?.mayServe === true",
      to: 'const mayServe = memberOf(plan, sealed.node) !== undefined',
    },
  },
  {
    name: 'membership: a joiner is named before the dead one is gone',
    file: 'distribution.ts',
    from: 'else if (!isReplacing(turn, plan) && !nameJoiner(turn, plan))',
    to: 'else if (!nameJoiner(turn, plan))',
  },
  {
    name: 'membership: a leader outside the datastore keeps the lead',
    file: 'membership.ts',
    from: '  if (act.node === state.id || (isMember(act.node) && !isMember(state.id) && successor !== null)) {',
    to: '  if (act.node === state.id) {',
  },
  {
    name: 'commands: whoever says that a server gave it is believed',
    file: 'commanding.ts',
    from: '  if (ordered.operator === null && (ordered.origin !== from || !isServer(plan, from))) {',
    to: '  if (ordered.operator === null && !isServer(plan, ordered.origin)) {',
  },
  {
    name: 'commands: an operator’s signature is not checked',
    file: 'commands.ts',
    from: '    crypto.verify(signed.operator, commandStatement(genesis, command, signed.index), signed.signature)',
    to: '    signed.signature.length > 0',
  },
  {
    name: 'commands: a replay is carried out again',
    file: 'changes/commands.ts',
    from: '  if (plan.commands.some(({ id }) => id === ordered.id))\n',
    to: '  if (plan.commands.some(({ id }) => id === ordered.id && plan.acts < 0))\n',
    also: {
      file: 'commanding.ts',
      from: '  if (plan.commands.some(({ id }) => id === ordered.id)) {\n',
      to: '  if (plan.commands.some(({ id }) => id === ordered.id && plan.acts < 0)) {\n',
    },
  },
  {
    name: 'admission: nobody asks for approval',
    file: 'changes/admission.ts',
    from: "const isOpen = plan.settings.admission === 'open'",
    to: 'const isOpen = plan.members.length > 0',
    also: {
      file: 'admission.ts',
      from: "if (plan.settings.admission === 'approve') answer('pending')",
      to: "if (plan.members.length === 0) answer('pending')",
    },
  },
  {
    name: 'revoked: the door stays open',
    file: 'changes/commands.ts',
    from: "  const settings = { ...plan.settings, admission: 'approve' as const }\n",
    to: '  const settings = { ...plan.settings }\n',
  },
  {
    name: 'departed: the address is given again',
    file: 'changes/membership.ts',
    from: '    departed: all.filter((one) => one !== forgotten),\n',
    to: '    departed: all.filter((one) => one !== forgotten),\n    ...{ nextAddress: plan.nextAddress - 1 },\n',
  },
  {
    name: 'departed: the name is given again',
    file: 'changes/membership.ts',
    from: 'new Set([...plan.members, ...plan.departed].map(({ name }) => name))',
    to: 'new Set(plan.members.map(({ name }) => name))',
  },
  {
    name: 'departed: nobody tells them',
    file: 'departure.ts',
    from: "  send(turn, to, { kind: 'plan.share', certified })\n",
    to: '',
    also: {
      file: 'replication.ts',
      from: '  const others = [...members].filter((id) => !voters.includes(id))\n',
      to: '  const others = [...members].filter((id) => !voters.includes(id) && !certified.plan.departed.some((left) => left.id === id))\n',
    },
  },
]

/** Planted bugs in what a person reads: only the oracle of statuses sees them. */
import type { Mutant } from './mutant.ts'

export const statusMutants: readonly Mutant[] = [
  {
    name: 'status: a dead leader is kept under a new term’s number',
    file: 'election.ts',
    from: '  if (proven <= replication.leaderTerm) return\n  loseLeader(turn)\n',
    to: '  if (proven <= replication.leaderTerm) return\n',
  },
  {
    name: 'status: ready without the mesh',
    file: 'node.ts',
    from: "  if (!state.mesh.up || !state.meshed) return 'meshing'\n",
    to: '',
  },
  {
    name: 'status: ready without the datastore',
    file: 'distribution.ts',
    from: "return !isServer(plan, state.id) || (healthy && isMember)\n    case 'k3s'",
    to: "return !isServer(plan, state.id) || isMember\n    case 'k3s'",
  },
  {
    name: 'status: a plan under way is shown as the plan',
    file: 'report.ts',
    from: '      planIndex: certified?.index ?? null,',
    to: '      planIndex: state.durable.voting.accepted?.index ?? certified?.index ?? null,',
  },
  {
    name: 'status: nobody says that there is no leader',
    file: 'problems.ts',
    from: 'now - leaderlessSince >= LEADERLESS_MS\n',
    to: 'now - leaderlessSince >= LEADERLESS_MS * 1e6\n',
  },
  {
    name: 'status: a missing leader is nobody’s fault',
    file: 'problems.ts',
    from: '    const silent = plan.voters.filter((id) => !isAlive(state, id, now)).map(nameOf)',
    to: '    const silent = plan.voters.filter((id) => !isAlive(state, id, now) && id === leader).map(nameOf)',
  },
  {
    name: 'status: nobody says that machines are missing',
    file: 'problems.ts',
    from: '  if (lonely !== null) problems.push(lonely)\n',
    to: '',
  },
  {
    name: 'status: who was heard once is alive for ever',
    file: 'beats.ts',
    from: 'return heard !== undefined && now - heard < SILENT_MS',
    to: 'return heard !== undefined',
  },
]

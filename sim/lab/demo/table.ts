/** The cluster as a table of plain text. */
import type { StatusDocument } from '../../../src/core/status.ts'
import type { Host } from '../host.ts'
import type { View } from '../view.ts'
import { shortId } from './narrator.ts'

/** One line per host, as its node sees itself; a star marks the leader. */
export function clusterTable(hosts: readonly Host[], view: View): string {
  const header = ['node', 'id', 'role', 'address', 'stage', 'paths', 'datastore']
  const rows = hosts.map((host) => row(host, view.get(host.index)))
  const lines = [header, ...rows]
  const widths = header.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)))
  return lines
    .map((cells) =>
      cells
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function row(host: Host, status: StatusDocument | undefined): string[] {
  if (status === undefined) return [host.name, 'does not answer']
  const { self, cluster, nodes, distribution } = status
  const peers = nodes.filter((node) => node.path !== 'self' && node.address !== null)
  const kinds = [...new Set(peers.map((node) => node.path))].sort()
  const paths = kinds.map((kind) => `${peers.filter((node) => node.path === kind).length} ${kind}`).join(', ')
  const member = distribution.members.find((item) => item.name === self.name)
  const datastore =
    member === undefined
      ? '-'
      : `${distribution.kind} ${member.voter ? 'voter' : 'learner'}${member.healthy ? '' : ', not healthy'}`
  return [
    `${host.name}${cluster.leader === self.id ? ' *' : ''}`,
    shortId(self.id),
    self.role,
    self.address ?? '-',
    self.stage,
    paths === '' ? '-' : paths,
    datastore,
  ]
}

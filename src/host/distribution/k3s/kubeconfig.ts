/** The administrator's kubeconfig, for another machine than the server it comes from. */
import { isIP } from 'node:net'
import { stringify } from 'yaml'
import { type K3sOrder, serverUrl } from './configuration.ts'
import type { Machine } from './machine.ts'
import { apiCredentials } from './observe.ts'
import type { Places } from './places.ts'
import { noSuchAddress, notAServer } from './problems.ts'

/**
 * @param address `lan`, `mesh`, `vip`, or a name or address of the caller's own
 * @throws DatastoreError
 */
export async function kubeconfig(
  address: string,
  order: K3sOrder,
  machine: Machine,
  places: Places,
  cluster: string,
): Promise<string> {
  const credentials = order.role === 'server' ? await apiCredentials(places, 'server') : null
  if (credentials === null) throw notAServer()
  const host = hostFor(address, order, machine)
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  const user = `admin@${cluster}`
  const entry = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: cluster,
        cluster: {
          server: serverUrl(host),
          'certificate-authority-data': base64(credentials.ca),
          // A name of the caller's own stands in no certificate; this one stands in every server's.
          ...(KINDS.includes(address) ? {} : { 'tls-server-name': 'kubernetes.default' }),
        },
      },
    ],
    users: [
      {
        name: user,
        user: {
          'client-certificate-data': base64(credentials.cert),
          'client-key-data': base64(credentials.key),
        },
      },
    ],
    contexts: [{ name: cluster, context: { cluster, user } }],
    'current-context': cluster,
  }
  return stringify(entry, { lineWidth: 0 })
}

function hostFor(address: string, order: K3sOrder, machine: Machine): string {
  switch (address) {
    case 'lan':
      // Without the mesh the node's own address is the LAN's.
      return machine.lanAddress ?? order.self.address
    case 'mesh':
      return order.self.address
    case 'vip': {
      const { kubevip } = order.settings
      if (kubevip === null) throw noSuchAddress('vip', 'set kubevip.eip, or take lan, mesh or a name')
      return kubevip.eip
    }
    default:
      if (isIP(address) === 0 && !HOST.test(address))
        throw noSuchAddress(address, 'take lan, mesh, vip, or a name or address that reaches a server')
      return address
  }
}

const KINDS: readonly string[] = ['lan', 'mesh', 'vip']
const HOST = /^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/

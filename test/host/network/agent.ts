/** A network on its own, for a host of the lab: commands come in as JSON lines, what happens goes out as such. */
import { createInterface } from 'node:readline'
import type { NodeId } from '../../../src/core/ids.ts'
import { type Network, startNetwork } from '../../../src/host/network/network.ts'

export interface AgentStart {
  /** libp2p's protobuf form, base64. */
  readonly privateKey: string
  /** One byte, repeated: the token. */
  readonly token: number
  readonly listen: readonly string[]
  readonly peers: readonly string[]
  readonly mdns: boolean
}

export type Command =
  | ({ readonly kind: 'start' } & AgentStart)
  | { readonly kind: 'send'; readonly to: NodeId; readonly text: string }
  | { readonly kind: 'problems' }
  | { readonly kind: 'stop' }

const say = (message: object): void => {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

async function start(command: AgentStart): Promise<Network> {
  return await startNetwork({
    privateKey: Buffer.from(command.privateKey, 'base64'),
    psk: new Uint8Array(32).fill(command.token),
    mdnsTag: `_lab${command.token}._udp.local`,
    listen: command.listen,
    peers: command.peers,
    remembered: [],
    mdns: command.mdns,
    dht: true,
    excludedCidr: null,
    rules: { fault: () => null, newest: () => 0 },
    onMessage: (from, bytes) => say({ message: new TextDecoder().decode(bytes), from }),
    onConnected: (peer) => say({ connected: peer, at: Date.now() }),
    onDisconnected: (peer) => say({ disconnected: peer, at: Date.now() }),
    onAddresses: (addresses) => say({ addresses: addresses.map(String) }),
    log: (level, event, fields) => say({ level, event, fields }),
    count: (name) => say({ count: name }),
  })
}

if (process.argv[1] === import.meta.filename) {
  let network: Network | null = null
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line) as Command
    if (command.kind === 'start') {
      network = await start(command)
      say({ listening: network.id, at: Date.now() })
    } else if (command.kind === 'send') {
      network?.send(command.to, new TextEncoder().encode(command.text))
    } else if (command.kind === 'problems') {
      say({ problems: network?.problems() })
    } else {
      await network?.stop()
      say({ stopped: true })
      // Nothing of the network may keep the process alive now: it ends by itself, or the test waits in vain.
      process.stdin.destroy()
      break
    }
  }
}

/** A mesh on its own, for a host of the lab: orders come in as JSON lines, facts and events go out as such. */
import { createInterface } from 'node:readline'
import type { MeshOrder } from '../../../src/core/orders.ts'
import { type Mesh, startMesh } from '../../../src/host/mesh/mesh.ts'

export type Command =
  | {
      readonly kind: 'start'
      readonly interfaceName: string
      readonly listenPort: number
      readonly privateKey: string
    }
  | { readonly kind: 'apply'; readonly order: MeshOrder }
  | { readonly kind: 'stop'; readonly keep: boolean }

/** Keys are base64 on the line. */
export const encodeCommand = (command: Command): string =>
  JSON.stringify(command, (_, value) =>
    value instanceof Uint8Array ? { base64: Buffer.from(value).toString('base64') } : value,
  )

const decodeCommand = (line: string): Command =>
  JSON.parse(line, (_, value) =>
    typeof value?.base64 === 'string' ? new Uint8Array(Buffer.from(value.base64, 'base64')) : value,
  )

const say = (message: object): void => {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

if (process.argv[1] === import.meta.filename) {
  let mesh: Mesh | null = null
  for await (const line of createInterface({ input: process.stdin })) {
    const command = decodeCommand(line)
    if (command.kind === 'start') {
      mesh = startMesh({
        interfaceName: command.interfaceName,
        listenPort: command.listenPort,
        privateKey: Buffer.from(command.privateKey, 'base64'),
        onFacts: (facts) => say({ facts, at: Date.now() }),
        log: (level, event, fields) => say({ level, event, fields }),
        count: () => undefined,
      })
    } else if (command.kind === 'apply') {
      mesh?.apply(command.order)
    } else {
      await mesh?.stop(command.keep)
      say({ stopped: true })
      // Nothing of the mesh may keep the process alive now: it ends by itself, or the test waits in vain.
      process.stdin.destroy()
      break
    }
  }
}

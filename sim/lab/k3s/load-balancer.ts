/**
 * The agent's way to the servers: a port of its own, behind which each connection goes to the first server that takes
 * it. It knows the servers that the cluster names, and remembers them over restarts.
 */
import { existsSync, readFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { z } from 'zod'
import { writePrivately } from './authorities.ts'
import { Fatal, log } from './log.ts'

const Remembered = z.object({ ServerURL: z.string(), ServerAddresses: z.array(z.string()) })

export class LoadBalancer {
  readonly #file: string
  readonly #url: string
  readonly #first: string
  #servers: readonly string[]

  /** @param url the server that the agent was told */
  constructor(dataDirectory: string, url: string) {
    this.#file = join(dataDirectory, 'agent/etc/k3s-agent-load-balancer.json')
    this.#url = url
    const { hostname, port } = new URL(url)
    this.#first = `${hostname}:${port === '' ? '443' : port}`
    this.#servers = this.#remembered()
    this.#remember()
  }

  async listen(port: number): Promise<void> {
    const server = createServer((socket) => void this.#serve(socket))
    await new Promise<void>((resolve, reject) => {
      server.once('error', () =>
        reject(
          new Fatal(
            `Error starting load balancer: listen tcp 127.0.0.1:${port}: bind: address already in use`,
          ),
        ),
      )
      server.listen(port, '127.0.0.1', resolve)
    })
    log(
      'info',
      `Running load balancer k3s-agent-load-balancer 127.0.0.1:${port} -> [${this.#servers.join(' ')}]`,
    )
  }

  update(servers: readonly string[]): void {
    if (servers.length === 0 || servers.join() === this.#servers.join()) return
    this.#servers = servers
    log('info', `Updated load balancer k3s-agent-load-balancer server addresses -> [${servers.join(' ')}]`)
    this.#remember()
  }

  async #serve(incoming: Socket): Promise<void> {
    incoming.on('error', () => incoming.destroy())
    for (const server of [...this.#servers, this.#first]) {
      const outgoing = await dial(server)
      if (outgoing === null) continue
      outgoing.on('error', () => incoming.destroy())
      incoming.on('close', () => outgoing.destroy())
      outgoing.on('close', () => incoming.destroy())
      incoming.pipe(outgoing).pipe(incoming)
      return
    }
    incoming.destroy()
  }

  #remembered(): readonly string[] {
    if (!existsSync(this.#file)) return [this.#first]
    const known = Remembered.safeParse(JSON.parse(readFileSync(this.#file, 'utf8')))
    return known.success && known.data.ServerURL === this.#url ? known.data.ServerAddresses : [this.#first]
  }

  #remember(): void {
    writePrivately(this.#file, JSON.stringify({ ServerURL: this.#url, ServerAddresses: this.#servers }))
  }
}

const DIAL_MS = 2_000

function dial(server: string): Promise<Socket | null> {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(server) ?? []
  return new Promise((resolve) => {
    const socket = connect({ host: host.replace(/^\[|\]$/g, ''), port: Number(port) })
    const timer = setTimeout(() => give(null), DIAL_MS)
    const give = (result: Socket | null): void => {
      clearTimeout(timer)
      if (result === null) socket.destroy()
      resolve(result)
    }
    socket.once('connect', () => give(socket))
    socket.once('error', () => give(null))
  })
}

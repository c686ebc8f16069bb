/** A daemon's API on a socket of its own, with a view that tests can change. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach } from 'vitest'
import { type ApiServer, startApi } from '../../src/host/api/server.ts'
import { FakeDaemon } from '../host/api/fixtures.ts'

export interface Lab {
  /** Of this test alone; gone after it. */
  readonly directory: string
  readonly socket: string
  readonly daemon: FakeDaemon
  /** Lets the daemon answer from now on. */
  start(): Promise<void>
  /** Ends it. */
  stop(): Promise<void>
}

/** Gives every test of the file a directory and a daemon, which answers once it is started. */
export function useLab(): () => Lab {
  let lab: Lab | null = null
  beforeEach(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'muster-cli-'))
    const socket = join(directory, 'muster.sock')
    const daemon = new FakeDaemon()
    let server: ApiServer | null = null
    lab = {
      directory,
      socket,
      daemon,
      async start() {
        server = await startApi({ socketPath: socket, view: daemon, groupFile: '/dev/null' })
      },
      async stop() {
        await server?.close()
        server = null
      },
    }
  })
  afterEach(async () => {
    await lab?.stop()
    if (lab !== null) await rm(lab.directory, { recursive: true, force: true })
  })
  return () => {
    if (lab === null) throw new Error('a lab is there during a test only')
    return lab
  }
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, statSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { connectTo } from '../../../src/host/api/client.ts'
import { ApiError, NoDaemonError } from '../../../src/host/api/errors.ts'
import { type ApiServer, startApi } from '../../../src/host/api/server.ts'
import { FakeDaemon, historyOfThree, logEvent, readyStatus } from './fixtures.ts'

let directory: string
let socketPath: string
let daemon: FakeDaemon
let servers: ApiServer[]
const failures: unknown[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-api-'))
  socketPath = join(directory, 'muster.sock')
  daemon = new FakeDaemon()
  servers = []
  failures.length = 0
})
afterEach(async () => {
  for (const server of servers) await server.close()
  await rm(directory, { recursive: true, force: true })
})

async function start(options: { groupFile?: string } = {}): Promise<ApiServer> {
  const onFailure = (error: unknown): unknown => failures.push(error)
  const server = await startApi({ socketPath, view: daemon, onFailure, groupFile: '/dev/null', ...options })
  servers.push(server)
  return server
}

/** A request as any program may send it. */
function send(
  method: string,
  path: string,
  body?: string | Uint8Array,
): Promise<{ status: number; type: string | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path, agent: false }, async (response) => {
      let text = ''
      for await (const chunk of response) text += String(chunk)
      resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'], text })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

describe('the API', () => {
  it('gives status, history and metrics', async () => {
    await start()
    const client = connectTo(socketPath)
    expect(await client.status()).toEqual(readyStatus())
    expect(await client.history()).toEqual(historyOfThree())
    expect(await send('GET', '/metrics')).toEqual({
      status: 200,
      type: 'text/plain; version=0.0.4; charset=utf-8',
      text: 'muster_ready 1\n',
    })
  })

  it('passes commands on and says how they ended', async () => {
    await start()
    const client = connectTo(socketPath)
    expect(await client.command('adopt')).toEqual({ ok: true, message: 'done', hint: null })
    daemon.answer = { ok: false, message: 'not blocked', hint: null }
    expect(await client.command('reset')).toEqual({ ok: false, message: 'not blocked', hint: null })
    expect(daemon.commands).toEqual(['adopt', 'reset'])
  })

  it('streams events to every client that listens, and forgets those that leave', async () => {
    await start()
    const ends = [new AbortController(), new AbortController()]
    const streams = ends.map(({ signal }) => connectTo(socketPath).events(signal))
    for (const stream of streams) {
      expect((await stream.next()).value).toMatchObject({ event: 'events.opened' })
    }
    daemon.emit(logEvent('plan.committed', { index: 7 }))
    for (const stream of streams) {
      expect((await stream.next()).value).toEqual(logEvent('plan.committed', { index: 7 }))
    }
    for (const end of ends) end.abort()
    for (const stream of streams) expect((await stream.next()).done).toBe(true)
    await vi.waitFor(() => expect(daemon.listeners).toBe(0))
  })

  it('tells a client that reads too slowly how much it missed, and keeps nothing for it without bound', async () => {
    await start()
    const slow = connect(socketPath)
    await once(slow, 'connect')
    slow.pause()
    slow.write('GET /v1/events HTTP/1.1\r\nHost: muster\r\n\r\n')
    await vi.waitFor(() => expect(daemon.listeners).toBe(1))
    const before = process.memoryUsage().arrayBuffers
    const text = 'x'.repeat(1_000)
    for (let round = 0; round < 100; round++) {
      for (let n = 0; n < 1_000; n++) daemon.emit(logEvent('noise', { text }))
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20_000_000)
    let received = ''
    slow.on('data', (chunk) => {
      received += String(chunk)
      if (received.includes('events.missed')) return
      daemon.emit(logEvent('another'))
    })
    slow.resume()
    await vi.waitFor(() => expect(received).toContain('"event":"events.missed"'))
    slow.destroy()
    await vi.waitFor(() => expect(daemon.listeners).toBe(0))
  })
})

describe('what the API refuses', () => {
  it('is a path or a method that it does not have', async () => {
    await start()
    for (const [method, path] of [
      ['GET', '/'],
      ['GET', '/v1/commands/adopt'],
      ['POST', '/v1/status'],
      ['POST', '/v1/commands/explode'],
      ['GET', '/v1/../../etc/passwd'],
    ] as const) {
      const { status, text } = await send(method, path)
      expect(status, path).toBe(404)
      expect(JSON.parse(text).error).toMatchObject({ code: 'MUSTER_E_API_NOT_FOUND' })
    }
  })

  it('is a body that is no JSON, has unknown fields, or is too large', async () => {
    await start()
    for (const body of ['{', '[]', 'null', '"adopt"', '{"force":true}', '\xff']) {
      const { status, text } = await send('POST', '/v1/commands/reset', body)
      expect(status, body).toBe(400)
      expect(JSON.parse(text).error.code).toBe('MUSTER_E_API_BODY')
    }
    const { status, text } = await send('POST', '/v1/commands/reset', ' '.repeat(70_000))
    expect(status).toBe(413)
    expect(JSON.parse(text).error.code).toBe('MUSTER_E_API_TOO_LARGE')
    expect(daemon.commands).toEqual([])
  })

  it('leaves the daemon answering, whatever bytes arrive', async () => {
    await start()
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), async (junk) => {
        const socket = connect(socketPath)
        await once(socket, 'connect')
        socket.on('error', () => undefined)
        socket.end(junk)
        socket.resume()
        await once(socket, 'close')
      }),
      { numRuns: 40 },
    )
    expect((await connectTo(socketPath).status()).apiVersion).toBe('muster/v1')
    expect(daemon.commands).toEqual([])
  })

  it('is an internal failure, of which the client learns only that it happened', async () => {
    await start()
    daemon.status = () => {
      throw new Error('detail that stays here')
    }
    const { status, text } = await send('GET', '/v1/status')
    expect(status).toBe(500)
    expect(text).not.toContain('detail')
    expect(failures).toHaveLength(1)
    await expect(connectTo(socketPath).status()).rejects.toMatchObject({ code: 'MUSTER_E_API_INTERNAL' })
  })
})

describe('the socket', () => {
  it('is for its owner only', async () => {
    await start()
    expect(statSync(socketPath).mode & 0o777).toBe(0o600)
  })

  it('is for the group muster too, where the machine has one', async () => {
    const groupFile = join(directory, 'group')
    writeFileSync(groupFile, 'root:x:0:\nmusterers:x:7:\nmuster:x:4242:alice,bob\n')
    await start({ groupFile })
    expect(statSync(socketPath)).toMatchObject({ gid: 4242, uid: 0 })
    expect(statSync(socketPath).mode & 0o777).toBe(0o660)
  })

  it('of a daemon that was killed is replaced', async () => {
    const script = `
      import { startApi } from '${join(process.cwd(), 'src/host/api/server.ts')}'
      await startApi({ socketPath: '${socketPath}', view: {} })
      console.log('listening')
    `
    const dead = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(dead.stdout, 'data')
    dead.kill('SIGKILL')
    await once(dead, 'exit')
    expect(existsSync(socketPath)).toBe(true)
    await expect(connectTo(socketPath).status()).rejects.toBeInstanceOf(NoDaemonError)
    await start()
    expect((await connectTo(socketPath).status()).self.name).toBe('rack-1')
  })

  it('of a daemon that lives is refused, and the daemon goes on', async () => {
    await start()
    await expect(start()).rejects.toMatchObject({
      code: 'MUSTER_E_SOCKET_IN_USE',
      message: expect.stringContaining(socketPath),
    })
    expect((await connectTo(socketPath).status()).self.name).toBe('rack-1')
  })

  it('never replaces a file of another kind', async () => {
    writeFileSync(socketPath, 'precious')
    await expect(start()).rejects.toMatchObject({ code: 'MUSTER_E_SOCKET' })
    expect(statSync(socketPath).size).toBe(8)
  })

  it('is gone after the daemon ended, and connections with it', async () => {
    const server = await start()
    const stream = connectTo(socketPath).events(new AbortController().signal)
    await stream.next()
    await server.close()
    servers = []
    expect(existsSync(socketPath)).toBe(false)
    await expect(stream.next().then((result) => result.done)).resolves.toBe(true)
    await vi.waitFor(() => expect(daemon.listeners).toBe(0))
  })

  it('that cannot be made is explained', async () => {
    socketPath = '/proc/muster.sock'
    await expect(start()).rejects.toMatchObject({
      code: 'MUSTER_E_SOCKET',
      hint: expect.stringContaining('--socket'),
    })
  })
})

describe('the client', () => {
  it('says that there is no daemon, with what to do', async () => {
    const error = await connectTo(socketPath)
      .status()
      .catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(NoDaemonError)
    expect(error).toMatchObject({
      message: expect.stringContaining(socketPath),
      hint: expect.stringContaining('muster up'),
    })
  })

  it('says that permission is missing', async () => {
    await start()
    chmodSync(directory, 0o755)
    const script = `
      import { connectTo } from '${join(process.cwd(), 'src/host/api/client.ts')}'
      process.setuid(65534)
      await connectTo('${socketPath}').status().catch((error) => console.log(error.code))
    `
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [said] = await once(child.stdout, 'data')
    expect(String(said).trim()).toBe('MUSTER_E_API_DENIED')
  })

  it('believes no answer that is not the documented one', async () => {
    let answer = ''
    const server = createServer((_, response) => response.end(answer)).listen(socketPath)
    await once(server, 'listening')
    try {
      const strange = ['', 'hello', '{}', '[]', JSON.stringify({ ...readyStatus(), apiVersion: 'muster/v9' })]
      const { waitingFor, ...without } = readyStatus()
      expect(waitingFor).toEqual([])
      for (const text of [...strange, JSON.stringify(without)]) {
        answer = text
        const error = await connectTo(socketPath)
          .status()
          .catch((reason: unknown) => reason)
        expect(error, text).toBeInstanceOf(ApiError)
        expect(error).toMatchObject({ code: 'MUSTER_E_API_ANSWER' })
      }
      answer = JSON.stringify({ ...readyStatus(), added: 'later' })
      expect((await connectTo(socketPath).status()).self.name).toBe('rack-1')
    } finally {
      server.close()
    }
  })
})

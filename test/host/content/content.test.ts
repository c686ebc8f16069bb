/** Artefacts that spread between real nodes on loopback. */
import { execFile } from 'node:child_process'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { artefactOf, MEBIBYTE, makeNodes, type Node, type Nodes, noise, sha256 } from './nodes.ts'

/** Before what is waited for counts as missing: no statement about speed. */
const SOON = { timeout: 60_000, interval: 20 }

const scene = (): Nodes => {
  const nodes = makeNodes()
  onTestFinished(() => nodes.end())
  return nodes
}

const allConnected = async (all: readonly Node[]): Promise<void> => {
  await vi.waitFor(() => {
    for (const { peer } of all) expect(peer.network.connected()).toHaveLength(all.length - 1)
  }, SOON)
}

/** What was said of each artefact that came whole. */
const fetched = (all: readonly Node[]): Record<string, unknown>[] =>
  all.flatMap(({ log }) => log.filter(({ event }) => event === 'content.fetched').map(({ fields }) => fields))

describe('an artefact', { timeout: 120_000 }, () => {
  it('comes from its origin once, and reaches all nodes that want it at the same moment', async () => {
    const nodes = scene()
    const bytes = noise(20 * MEBIBYTE)
    const origin = await nodes.origin(bytes)
    const all: Node[] = []
    for (let i = 0; i < 5; i++) all.push(await nodes.start())
    await allConnected(all)
    const artefact = artefactOf(bytes, origin.url)
    const paths = await Promise.all(all.map(({ content }) => content.ensure(artefact)))
    for (const path of paths) expect(sha256(await readFile(path))).toBe(artefact.sha256)
    expect(origin.sent).toBeLessThan(1.2 * bytes.length)
    expect(fetched(all).map(({ fromPeers }) => fromPeers === 0)).toContain(false)
  })

  it('is gone on with where an ended node left it', async () => {
    const nodes = scene()
    const bytes = noise(12 * MEBIBYTE)
    const origin = await nodes.origin(bytes)
    origin.perSecond = 8 * MEBIBYTE
    const artefact = artefactOf(bytes, origin.url)
    const directory = await nodes.directory()
    const first = await nodes.start({ directory })
    const ended = first.content.ensure(artefact).catch(String)
    // More than one whole segment, from which on it is gone on with.
    const held = (): number => first.content.facts()[0]?.progress.bytes ?? 0
    await vi.waitFor(() => expect(held()).toBeGreaterThan(5 * MEBIBYTE), SOON)
    await first.end()
    expect(await ended).toContain('content has stopped')
    const second = await nodes.start({ directory })
    expect(sha256(await readFile(await second.content.ensure(artefact)))).toBe(artefact.sha256)
    expect(origin.requests).toHaveLength(2)
    expect(origin.requests[1]?.range).toMatch(/^bytes=[1-9]\d*-$/)
    expect(fetched([second])[0]?.fromOrigin).toBeLessThan(bytes.length)
  })

  it('goes on at the same byte where its origin broke off', async () => {
    const nodes = scene()
    const bytes = noise(12 * MEBIBYTE)
    const origin = await nodes.origin(bytes)
    origin.behaviour = (_, response) => {
      origin.behaviour = null
      response.writeHead(200, { 'content-length': bytes.length })
      response.write(bytes.subarray(0, 8 * MEBIBYTE), () => response.destroy())
      return true
    }
    const { content } = await nodes.start()
    const artefact = artefactOf(bytes, origin.url)
    expect(sha256(await readFile(await content.ensure(artefact)))).toBe(artefact.sha256)
    expect(origin.requests).toHaveLength(2)
    expect(origin.requests[1]?.range).toMatch(/^bytes=[1-9]\d*-$/)
  })

  it('is right although a peer gives a list and bytes of something else', async () => {
    const nodes = scene()
    const bytes = noise(6 * MEBIBYTE)
    const origin = await nodes.origin(bytes)
    const artefact = artefactOf(bytes, origin.url)
    const liar = await nodes.liar(artefact.sha256, noise(bytes.length))
    const honest = await nodes.start()
    await vi.waitFor(() => expect(honest.peer.network.connected()).toContain(liar), SOON)
    expect(sha256(await readFile(await honest.content.ensure(artefact)))).toBe(artefact.sha256)
    expect(honest.count('content.liar')).toBeGreaterThan(0)
  })

  it('is given to members only', async () => {
    const nodes = scene()
    const bytes = noise(3 * MEBIBYTE)
    const origin = await nodes.origin(bytes)
    const owner = await nodes.start()
    const adopted = await owner.content.adoptLocal(await nodes.file(bytes))
    const artefact = artefactOf(bytes, origin.url)
    expect(adopted.sha256).toBe(artefact.sha256)
    const [outsider, member] = [await nodes.start(), await nodes.start()]
    nodes.revoked.add(outsider.peer.id)
    await allConnected([owner, outsider, member])
    await member.content.ensure(artefact)
    expect(origin.sent).toBe(0)
    await outsider.content.ensure(artefact)
    expect(fetched([member, outsider]).map(({ fromPeers }) => fromPeers)).toEqual([bytes.length, 0])
  })

  it('bears its name only where its sum is right, and says so while the origin has another one', async () => {
    const nodes = scene()
    const origin = await nodes.origin(noise(MEBIBYTE))
    const { content, directory } = await nodes.start()
    const artefact = artefactOf(noise(MEBIBYTE), origin.url)
    const leaving = new AbortController()
    const given = content.ensure(artefact, { signal: leaving.signal }).catch(String)
    await vi.waitFor(() => expect(content.problems()[0]?.code).toBe('content.checksum'), SOON)
    expect(await readdir(directory)).not.toContain(artefact.sha256)
    leaving.abort(new Error('nobody wants it any more'))
    expect(await given).toContain('nobody wants it any more')
  })

  it('is got anew where the disk spoilt it', async () => {
    const nodes = scene()
    const bytes = noise(MEBIBYTE)
    const origin = await nodes.origin(bytes)
    const artefact = artefactOf(bytes, origin.url)
    const directory = await nodes.directory()
    const first = await nodes.start({ directory })
    const path = await first.content.ensure(artefact)
    await first.end()
    await writeFile(path, noise(MEBIBYTE))
    const { content } = await nodes.start({ directory })
    expect(await content.has(artefact.sha256)).toBe(false)
    expect(sha256(await readFile(await content.ensure(artefact)))).toBe(artefact.sha256)
  })

  it('can be started as a program, and is removed when it is not to be kept', async () => {
    const nodes = scene()
    const bytes = new TextEncoder().encode('#!/bin/sh\necho started\n')
    const origin = await nodes.origin(bytes)
    const { content, directory } = await nodes.start()
    const artefact = artefactOf(bytes, origin.url)
    const { stdout } = await promisify(execFile)(await content.ensure(artefact))
    expect(stdout).toBe('started\n')
    expect(await content.keep([artefact.sha256])).toEqual([])
    expect(await content.keep([])).toEqual([artefact.sha256])
    expect(await readdir(directory)).toEqual([])
  })
})

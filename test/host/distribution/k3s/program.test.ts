import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { plainK3s } from '../../../../src/core/k3s.ts'
import { ownArchitecture } from '../../../../src/host/distribution/k3s/elf.ts'
import { type Ensure, SeenFiles } from '../../../../src/host/distribution/k3s/fetch.ts'
import { placeImages } from '../../../../src/host/distribution/k3s/images.ts'
import type { Places } from '../../../../src/host/distribution/k3s/places.ts'
import {
  findProgram,
  install,
  type Program,
  type Sources,
} from '../../../../src/host/distribution/k3s/program.ts'
import { placesIn } from './order.ts'

let root: string
let places: Places
const signal = new AbortController().signal
const arch = ownArchitecture() ?? 'amd64'
const VERSION = 'v1.33.4+k3s1'

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'muster-k3s-program-'))
  places = placesIn(root)
})
afterEach(() => rmSync(root, { recursive: true }))

const script = (version: string): string => `#!/bin/sh\necho 'k3s version ${version} (0123)'\n`
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

function put(path: string, text: string | Uint8Array, mode = 0o755): string {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

function find(local: string | null, settings = plainK3s(), ensure: Ensure | null = null): Promise<Program> {
  const sources: Sources = { places, local, ensure, seen: new SeenFiles(), path: `${root}/path:/bin` }
  return findProgram(settings, sources, signal)
}
const artefact = (text: string, url: string | null = null): ReturnType<typeof plainK3s> => ({
  ...plainK3s(),
  version: VERSION,
  artefacts: [{ arch, url, sha256: sha256(text) }],
})
const code = (name: string): object => ({ problem: { code: `k3s.${name}` } })

describe('the k3s program', () => {
  it('is the one that the machine’s configuration names, or in the search path', async () => {
    const named = put(join(root, 'named'), script(VERSION))
    expect(await find(named)).toMatchObject({ path: named, version: VERSION })
    const found = put(join(root, 'path/k3s'), script('v1.32.1+k3s1'))
    expect(await find(null)).toMatchObject({ path: found, version: 'v1.32.1+k3s1' })
  })

  it('is used only where it says the right version', async () => {
    const named = put(join(root, 'named'), script('v1.32.1+k3s1'))
    await expect(find(named, { ...plainK3s(), version: VERSION })).rejects.toMatchObject(
      code('wrong-version'),
    )
  })

  it.each([
    [
      'another machine’s program',
      Buffer.from(`\x7fELF\x02\x01${'\0'.repeat(12)}\x16\0${'\0'.repeat(40)}`, 'latin1'),
      'wrong-architecture',
    ],
    ['a page that a proxy sent', '<html>403 Forbidden, and no program at all</html>', 'no-program'],
    ['a program that fails', '#!/bin/sh\necho broken >&2\nexit 1\n', 'unusable-binary'],
    ['another program', '#!/bin/sh\necho kubectl v1\n', 'unusable-binary'],
  ])('%s is told as such', async (_what, text, name) => {
    await expect(find(put(join(root, 'named'), text))).rejects.toMatchObject(code(name))
  })

  it('that is nowhere is told with where it was looked for', async () => {
    const path = join(root, 'nowhere')
    await expect(find(path)).rejects.toMatchObject({
      problem: { code: 'k3s.no-binary', message: expect.stringContaining(path) },
    })
  })

  it('with a checksum is put into the state directory, and believed only if it has it', async () => {
    const named = put(join(root, 'named'), script(VERSION))
    const program = await find(named, artefact(script(VERSION)))
    expect(dirname(program.path)).toBe(dirname(places.binary))
    await expect(find(named, artefact('other'))).rejects.toMatchObject(code('wrong-checksum'))
  })

  it('in the search path is taken where it has the checksum', async () => {
    put(join(root, 'path/k3s'), script(VERSION))
    expect(dirname((await find(null, artefact(script(VERSION)))).path)).toBe(dirname(places.binary))
  })

  it('is fetched once, where it can be', async () => {
    const settings = artefact(script(VERSION), 'https://example.org/k3s')
    await expect(find(null, settings)).rejects.toMatchObject({
      problem: { code: 'k3s.not-fetched', hint: expect.stringContaining(sha256(script(VERSION))) },
    })
    let asked = 0
    const ensure: Ensure = async () => {
      asked++
      return put(join(root, 'fetched'), script(VERSION), 0o644)
    }
    const first = await find(null, settings, ensure)
    expect(await find(null, settings, ensure)).toEqual(first)
    expect(asked).toBe(1)
    const broken: Ensure = async () => put(join(root, 'broken'), 'half of it')
    await expect(find(null, artefact('else', 'https://example.org/k3s'), broken)).rejects.toMatchObject(
      code('wrong-checksum'),
    )
  })

  it('of another architecture alone is not there', async () => {
    const settings = artefact('x')
    const other = arch === 'arm64' ? 'amd64' : 'arm64'
    const artefacts = settings.artefacts.map((each) => ({ ...each, arch: other }) as const)
    await expect(find(null, { ...settings, artefacts })).rejects.toMatchObject(code('no-artefact'))
  })
})

describe('installing', () => {
  const fetched = (digit: string): Program => ({
    path: put(join(dirname(places.binary), `k3s-${digit.repeat(16)}`), script(VERSION)),
    version: VERSION,
    identity: null,
  })

  it('changes the program by one rename, and removes only what muster fetched', async () => {
    const [one, two] = [fetched('1'), fetched('2')]
    const uninstaller = put(join(dirname(places.binary), 'k3s-uninstall.sh'), 'x')
    expect(await install(one, places, null)).toBe(places.binary)
    expect(existsSync(two.path)).toBe(false)
    const next = fetched('3')
    await install(next, places, one.path)
    expect(readlinkSync(places.binary)).toBe('k3s-3333333333333333')
    expect([existsSync(one.path), existsSync(uninstaller)]).toEqual([true, true])
  })

  it('leaves what was on the machine where it is', async () => {
    const path = put(join(root, 'usr/k3s'), script(VERSION))
    expect(await install({ path, version: VERSION, identity: null }, places, null)).toBe(path)
    const beside = put(join(dirname(places.binary), 'k3s'), script(VERSION))
    expect(await install({ path: beside, version: VERSION, identity: null }, places, null)).toBe(beside)
    expect(readFileSync(beside, 'utf8')).toBe(script(VERSION))
  })
})

describe('archives of images', () => {
  const settings = {
    ...plainK3s(),
    images: [{ name: 'airgap.tar.zst', url: 'https://example.org/airgap', sha256: sha256('images') }],
  }
  const place = (ensure: Ensure | null): Promise<void> =>
    placeImages(settings, { places, local: null, ensure, seen: new SeenFiles(), path: '' }, signal)

  it('are put where k3s imports them from, once their checksum is right', async () => {
    const path = join(places.agent, 'images/airgap.tar.zst')
    await expect(place(null)).rejects.toMatchObject({
      problem: { code: 'k3s.not-fetched', hint: expect.stringContaining(path) },
    })
    await place(async () => put(join(root, 'fetched'), 'images'))
    expect(readFileSync(path, 'utf8')).toBe('images')
    await place(null)
  })
})

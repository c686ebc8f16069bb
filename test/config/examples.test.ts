import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { MUSTER_KEYS } from '../../src/config/schema.ts'
import { plainK3s } from '../../src/core/k3s.ts'
import { read } from './files.ts'

const DIRECTORY = join(dirname(fileURLToPath(import.meta.url)), '../../config')
const EXAMPLES = readdirSync(DIRECTORY).filter((name) => /\.ya?ml$/.test(name))
const path = (name: string): string => join(DIRECTORY, name)

/** What an example says beside the usual. */
const SAYS: Readonly<Record<string, unknown>> = {
  'cloud-config.yaml': {},
  'etcd.yaml': { settings: { cluster: { distribution: 'etcd', k3s: null } } },
  'external-db.yaml': { settings: { cluster: { k3s: { external: true } } } },
  'k3s.yaml': {
    settings: {
      cluster: {
        admission: 'approve',
        promote: 'any',
        k3s: {
          version: 'v1.33.4+k3s1',
          artefacts: [{ arch: 'amd64' }, { arch: 'arm64' }],
          images: [{ name: 'k3s-airgap-images-amd64.tar.zst' }],
          registry: true,
          kubevip: { eip: '192.0.2.10', interface: 'eth0', mode: 'manifest' },
        },
      },
    },
  },
  'kairos.yaml': {
    settings: {
      network: 'shop-12',
      expect: 3,
      cluster: {
        servers: 3,
        k3s: { registry: true, server: { args: ['--disable=traefik'] }, kubevip: { eip: '192.0.2.10' } },
      },
    },
  },
  'mesh-only.yaml': { settings: { cluster: { distribution: 'none' } } },
  'minimal.yaml': { settings: { cluster: { distribution: 'k3s', k3s: plainK3s() } } },
  'one-machine.yaml': { settings: { expect: 1 } },
  'reference.yaml': {},
  'static-peers.yaml': {
    discovery: { mdns: false, peers: ['192.0.2.11', '198.51.100.12:7946', 'node3.shop-12.example'] },
  },
  'trusted-lan.yaml': { settings: { cluster: { vpnMode: 'none' } } },
}

describe('the examples', () => {
  it('are all known to this test', () => {
    expect(EXAMPLES.sort()).toEqual(Object.keys(SAYS).sort())
  })

  it.each(EXAMPLES)('%s is a configuration, and warns of its token', (name) => {
    const config = read([path(name)])
    expect(config).toMatchObject(SAYS[name] ?? {})
    expect(config.warnings.map(({ code }) => code)).toContain('config.weak-token')
  })
})

describe('the reference', () => {
  const usual = (name: string): unknown => {
    const { warnings: _warnings, sources: _sources, ...config } = read([path(name)])
    return config
  }

  it('shows the defaults: it means what the minimal example means', () => {
    expect(usual('reference.yaml')).toEqual(usual('minimal.yaml'))
  })

  it('has every key, set or as a comment', () => {
    const text = readFileSync(path('reference.yaml'), 'utf8')
    const names = MUSTER_KEYS.flatMap((key) => key.split('.'))
    const uncommented = text.replace(/^( *)# (([a-z_]+): .*)$/gm, (line, indent, rest, key) =>
      names.includes(key) ? `${indent}${rest}` : line,
    )
    const keys = (value: unknown, under: string): string[] =>
      typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0
        ? Object.entries(value).flatMap(([key, inner]) => keys(inner, under === '' ? key : `${under}.${key}`))
        : [under]
    const written: unknown = parse(uncommented)
    expect(keys(written, '').sort()).toEqual(MUSTER_KEYS.map((key) => `muster.${key}`).sort())
  })
})

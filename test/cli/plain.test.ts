import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jsonText, plain } from '../../src/cli/plain.ts'
import type { StatusDocument } from '../../src/core/status.ts'
import { historyOfThree, node, readyStatus } from '../host/api/fixtures.ts'
import { useLab } from './daemon.ts'
import { run, Screen } from './run.ts'

const lab = useLab()

/** Whatever moves, colours, hides or reorders on a terminal; line feeds are ours. */
const OBEYED = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u
/** Text as the most hostile peer would choose it. */
const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .array(
      fc.constantFrom(
        '\x1b',
        '[',
        ']',
        '31m',
        '2J',
        '\x9b',
        '\x07',
        '\u202e',
        '\u2028',
        '\r',
        '\n',
        'a',
        ';',
      ),
    )
    .map((parts) => parts.join('')),
)

function statusOf(text: string): StatusDocument {
  const ready = readyStatus()
  return {
    ...ready,
    self: { ...ready.self, name: text, address: text },
    cluster: { ...ready.cluster, network: text, leader: text, id: text },
    nodes: [node(0, { name: text, address: text }), node(1, { id: text, name: `${text}2` })],
    distribution: {
      kind: text,
      version: text,
      healthy: false,
      members: [{ name: text, voter: false, healthy: false }],
    },
    act: { kind: text, node: text, attempt: 3, ageMs: 1 },
    waitingFor: [text],
    problems: [{ code: text, severity: 'error', since: text, message: text, hint: text }],
  }
}

describe('text of peers', () => {
  it.each([
    ['\x1b[31mred\x1b[0m', 'red'],
    ['\x1b]0;title\x07name', 'name'],
    ['a\nb\r\tc', 'a b c'],
    ['ab\x08\x7f\u009b31m', 'ab'],
    ['evil\u202egpj.exe', 'evilgpj.exe'],
    ['a\u2028b', 'a b'],
    ['\ud800x', '\ufffdx'],
    ['größer 名前 🙂', 'größer 名前 🙂'],
    [`token muster1${'z'.repeat(60)}.`, 'token [secret].'],
  ])('%j becomes %j', (text, expected) => {
    expect(plain(text)).toBe(expected)
  })

  it('never puts anything on a terminal that it would obey, in words or in JSON', async () => {
    await lab().start()
    const verbs = [['status'], ['status', '--json'], ['history'], ['history', '--json'], ['adopt']]
    await fc.assert(
      fc.asyncProperty(hostile, async (text) => {
        lab().daemon.current = statusOf(text)
        lab().daemon.history = () =>
          historyOfThree().map((entry) => ({ ...entry, cause: text, at: text, text }))
        lab().daemon.answer = { ok: text.length % 2 === 0, message: text, hint: null }
        for (const verb of verbs) {
          const screens = { stdout: new Screen(true), stderr: new Screen(true) }
          const env = { NO_COLOR: '1', MUSTER_SOCKET: lab().socket }
          const { stdout, stderr } = await run(verb, { ...screens, env })
          expect(stdout + stderr, verb.join(' ')).not.toMatch(OBEYED)
        }
      }),
      { numRuns: 100 },
    )
  })

  it('passes no escape sequence but those of our own colours', async () => {
    await lab().start()
    lab().daemon.current = statusOf('\x1b[5mblink\x1b[0m')
    const { stdout } = await run(['status', '--socket', lab().socket], { stdout: new Screen(true) })
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
    const sequences = new Set(stdout.match(/\x1b[^m]*m?/g))
    expect([...sequences].sort()).toEqual(
      ['\x1b[1m', '\x1b[22m', '\x1b[2m', '\x1b[31m', '\x1b[32m', '\x1b[33m', '\x1b[39m'].sort(),
    )
  })
})

it('JSON says the same after it was made harmless', () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
      const text = jsonText(value)
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
      expect(text).not.toMatch(OBEYED)
    }),
  )
})

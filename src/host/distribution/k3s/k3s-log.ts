/**
 * What k3s says at its end, and from it for a person why it ended. Lines are logrus' (`time=… level=… msg=…`), zap's
 * JSON (etcd), klog's (`E1125 12:00:00.000000 …`), or plain (a usage message, a panic).
 */
import { z } from 'zod'

export type Cause =
  | 'unknown-flag'
  | 'bad-argument'
  | 'ca-mismatch'
  | 'token-mismatch'
  | 'node-password'
  | 'duplicate-name'
  | 'clock'
  | 'port-taken'
  | 'interface-missing'
  | 'no-cgroups'
  | 'no-space'
  | 'learner-waits'
  | 'removed'
  | 'unreachable'
  | 'other'

export interface LastWords {
  readonly cause: Cause
  /** One line, at most 300 characters. */
  readonly text: string
}

/** In k3s' own words, the more telling first: a consequence may stand below its cause, or above. */
const CAUSES: readonly (readonly [RegExp, Cause])[] = [
  [/flag provided but not defined: -+\S+|unknown (?:shorthand )?flag: /, 'unknown-flag'],
  [/token CA hash does not match|CA cert validation failed/, 'ca-mismatch'],
  [/encrypted with different token|bootstrap data already found and/, 'token-mismatch'],
  [/Node password rejected|node password rejected|unable to verify password for node/, 'node-password'],
  [/duplicate node name found/, 'duplicate-name'],
  [/certificate has expired or is not yet valid|certificate is not yet valid/, 'clock'],
  [/permanently removed from the cluster|this server is a not a member of the etcd cluster/, 'removed'],
  [/too many learner members/, 'learner-waits'],
  [/address already in use/, 'port-taken'],
  [/no space left on device|disk quota exceeded/, 'no-space'],
  [
    /cannot assign requested address|no such network interface|unable to find .*interface|failed to find interface/i,
    'interface-missing',
  ],
  [/failed to find (?:\w+ )?cgroup|cpuset cgroup|memory cgroup/, 'no-cgroups'],
  [
    /invalid (?:value|argument|flag)|invalid CIDR|must be one of|not supported with|cannot be used/,
    'bad-argument',
  ],
  [
    /failed to get CA certs|failed to validate connection to cluster|connection refused|no route to host/,
    'unreachable',
  ],
]

export function explain(output: string): LastWords {
  const lines = output.split('\n').flatMap((line) => parseLine(line) ?? [])
  const grave = lines.filter(({ isGrave }) => isGrave)
  // What others say of themselves stands in notes and warnings too, so these tell a cause only where nothing else does.
  for (const told of [grave, lines.slice(-LINES_READ)]) {
    for (const [pattern, cause] of CAUSES) {
      const found = told.findLast(({ text }) => pattern.test(text))
      if (found !== undefined) return { cause, text: shortened(found.text) }
    }
  }
  const last = grave.at(-1) ?? lines.at(-1)
  return { cause: 'other', text: shortened(last?.text ?? 'nothing') }
}

/** Of a run that did not call anything grave: its last lines. */
const LINES_READ = 20

interface Line {
  readonly text: string
  readonly isGrave: boolean
}

const zapSchema = z.object({ level: z.string(), msg: z.string(), error: z.string().optional() })

/** @returns null for what tells a person nothing */
function parseLine(line: string): Line | null {
  const text = line.trim()
  if (text === '') return null
  const logrus = /\blevel=(\w+) msg=("(?:[^"\\]|\\.)*"|\S+)(?: error=("(?:[^"\\]|\\.)*"|\S+))?/.exec(text)
  if (logrus !== null) {
    const [, level = '', message = '', error] = logrus
    const said = error === undefined ? unquoted(message) : `${unquoted(message)}: ${unquoted(error)}`
    return { text: said, isGrave: /^(error|fatal|panic)$/.test(level) }
  }
  if (text.startsWith('{')) {
    const zap = parseZap(text)
    if (zap === null) return null
    const said = zap.error === undefined ? zap.msg : `${zap.msg}: ${zap.error}`
    return { text: said, isGrave: /^(error|dpanic|panic|fatal)$/.test(zap.level) }
  }
  const klog = /^([IWEF])\d{4} [\d:.]+\s+\d+ \S+\] (.*)$/.exec(text)
  if (klog !== null) return { text: klog[2] ?? '', isGrave: klog[1] === 'F' }
  // Stack traces, and the long list of all flags that follows a wrong one, say nothing to a person.
  if (/^(goroutine |\S+\.go:\d+|--?\w|\S+\(.*\)$)/.test(text)) return null
  return { text, isGrave: /^(panic: |fatal error: |Incorrect Usage|error: |Error: )/.test(text) }
}

function parseZap(text: string): z.infer<typeof zapSchema> | null {
  try {
    return zapSchema.parse(JSON.parse(text))
  } catch {
    return null
  }
}

function unquoted(text: string): string {
  if (!text.startsWith('"')) return text
  try {
    return z.string().parse(JSON.parse(text))
  } catch {
    return text.slice(1, -1)
  }
}

/** The flag that an `unknown-flag` names. */
export const flagIn = (text: string): string => /(-{1,2}[A-Za-z][\w-]*)/.exec(text)?.[1] ?? text

const shortened = (text: string): string => (text.length > 300 ? `${text.slice(0, 299)}…` : text)

/**
 * Breadth-first over everything that can happen. A state of the whole is the state of each machine and the set
 * of all letters ever sent, as whole numbers; two are one only if all of them are equal, so that no collision
 * can hide anything. The shortest way to what is wrong is kept.
 */
import type { NodeId } from '../../src/core/ids.ts'
import type { Durable } from '../../src/core/state.ts'
import type { Answer, Cores, Local } from './cores.ts'
import type { Broken, Letter, Model } from './model.ts'

export interface Found extends Broken {
  /** What happened, from the beginning. */
  readonly path: readonly Happening[]
}

export interface Happening {
  readonly machine: number
  /** What it heard; null where a time came. */
  readonly heard: Letter | null
  readonly move: string
  readonly said: readonly Letter[]
}

export interface Outcome {
  readonly states: number
  readonly transitions: number
  readonly depth: number
  /** Of one machine; and how often the core was asked. */
  readonly localStates: number
  readonly steps: number
  readonly letters: number
  readonly seconds: number
  /** Whether everything within the bounds was seen. */
  readonly exhausted: boolean
  readonly found: Found | null
}

interface Mail {
  readonly letters: readonly number[]
  /** By receiver. */
  readonly to: readonly (readonly number[])[]
  /** By who sent it or is to get it. */
  readonly near: readonly (readonly number[])[]
  readonly claims: readonly number[]
}

export function search(model: Model, cores: Cores, maxStates: number): Outcome {
  const started = performance.now()
  const { machines } = model
  const width = machines + 1
  let rows = new Int32Array(width << 16)
  /** Where each came from: the earlier state, the machine, and the code of letter or move. */
  let origins = new Int32Array(3 << 16)
  let table = new Int32Array(1 << 18)
  let count = 0
  let transitions = 0
  let found: Found | null = null
  let doubt: string | null = null

  const mails: Mail[] = []
  const knownMails = new Map<string, number>()
  const mailOf = (letters: readonly number[]): number => {
    const text = letters.join()
    const number = knownMails.get(text)
    if (number !== undefined) return number
    const to: number[][] = Array.from({ length: machines }, () => [])
    const near: number[][] = to.map(() => [])
    for (const number of letters) {
      const letter = cores.letters[number]
      if (letter === undefined) continue
      to[letter.to]?.push(number)
      near[letter.to]?.push(number)
      near[letter.from]?.push(number)
    }
    const claims = letters.flatMap((letter) => cores.claimsOf(letter))
    mails.push({ letters, to, near, claims })
    knownMails.set(text, mails.length - 1)
    return mails.length - 1
  }
  /**
   * The letters that may still change something, after `machine` answered: only what it sent, or is to get, can
   * have become over by that.
   */
  const lettersAfter = (
    row: Int32Array,
    number: number,
    machine: number,
    said: readonly number[],
  ): number => {
    const mail = mails[number]
    if (mail === undefined) return number
    const gone = mail.near[machine]?.filter((letter) => isOver(row, letter)) ?? []
    const come = said.filter((letter) => !mail.letters.includes(letter) && !isOver(row, letter))
    if (gone.length === 0 && come.length === 0) return number
    const left = gone.length === 0 ? mail.letters : mail.letters.filter((letter) => !gone.includes(letter))
    return mailOf([...left, ...come].sort((a, b) => a - b))
  }
  const isOver = (row: Int32Array, number: number): boolean => {
    const letter = cores.letters[number]
    if (letter === undefined) return false
    const receiver = cores.locals[row[letter.to] ?? -1]
    // Who is outside has no state; nothing asks for it.
    const sender = letter.from < machines ? cores.locals[row[letter.from] ?? -1] : receiver
    if (receiver === undefined || sender === undefined) return false
    if (!model.isOver(letter, receiver.state, sender.state)) return false
    return isReallyOver(row, number, receiver)
  }
  /** What is taken for over must change nothing, and whatever it would bring about must be over too. */
  const isReallyOver = (row: Int32Array, number: number, receiver: Local): boolean => {
    const answer = cores.hears(receiver, number)
    if (answer === null) return true
    if (answer.next === receiver && answer.said.every((letter) => isOver(row, letter))) return true
    doubt ??= `a letter that was taken for over is not: ${cores.letters[number]?.message.kind}`
    return false
  }

  const hashOf = (of: Int32Array, from: number): number => {
    let hash = 0x811c9dc5
    for (let i = 0; i < width; i++) {
      hash = Math.imul(hash ^ (of[from + i] ?? 0), 0x85ebca6b)
      hash ^= hash >>> 13
    }
    return hash >>> 0
  }
  const isSame = (row: Int32Array, at: number): boolean => {
    for (let i = 0; i < width; i++) if (rows[at * width + i] !== row[i]) return false
    return true
  }
  const grow = (): void => {
    if ((count + 1) * width > rows.length) {
      const wider = new Int32Array(rows.length * 2)
      wider.set(rows)
      rows = wider
    }
    if ((count + 1) * 3 > origins.length) {
      const wider = new Int32Array(origins.length * 2)
      wider.set(origins)
      origins = wider
    }
    if (count * 2 < table.length) return
    table = new Int32Array(table.length * 2)
    for (let i = 0; i < count; i++) {
      let slot = hashOf(rows, i * width) & (table.length - 1)
      while (table[slot] !== 0) slot = (slot + 1) & (table.length - 1)
      table[slot] = i + 1
    }
  }
  /** @returns whether the state is new. */
  const add = (row: Int32Array, from: number, machine: number, code: number): boolean => {
    let slot = hashOf(row, 0) & (table.length - 1)
    for (;;) {
      const at = table[slot] ?? 0
      if (at === 0) break
      if (isSame(row, at - 1)) return false
      slot = (slot + 1) & (table.length - 1)
    }
    table[slot] = count + 1
    rows.set(row, count * width)
    origins[count * 3] = from
    origins[count * 3 + 1] = machine
    origins[count * 3 + 2] = code
    count += 1
    grow()
    return true
  }

  const pathTo = (last: number): Happening[] => {
    const path: Happening[] = []
    for (let at = last; (origins[at * 3] ?? -1) >= 0; at = origins[at * 3] ?? -1) {
      const [from = 0, machine = 0, code = 0] = origins.subarray(at * 3, at * 3 + 3)
      const local = cores.locals[rows[from * width + machine] ?? 0]
      const answer = local?.answers.get(code) ?? null
      path.unshift({
        machine,
        heard: code >= 0 ? (cores.letters[code] ?? null) : null,
        move: code >= 0 ? '' : (cores.moveNames[-1 - code] ?? ''),
        said: (answer?.said ?? []).flatMap((letter) => cores.letters[letter] ?? []),
      })
    }
    return path
  }

  const conflictOf = (a: readonly number[], b: readonly number[]): Broken | null => {
    for (let i = 0; i < a.length; i += 2) {
      for (let j = 0; j < b.length; j += 2) {
        if (a[i] !== b[j] || a[i + 1] === b[j + 1]) continue
        const { rule, key, value } = cores.claim(a[i] ?? 0, a[i + 1] ?? 0)
        const other = cores.claim(b[j] ?? 0, b[j + 1] ?? 0)
        return { rule, message: `${key}: ${value.slice(0, 60)} and ${other.value.slice(0, 60)}` }
      }
    }
    return null
  }

  /** What is wrong in a new state, that came of this answer of this machine. */
  const wrongIn = (row: Int32Array, machine: number, answer: Answer): Broken | null => {
    if (answer.fault !== null) return answer.fault
    const mail = mails[row[machines] ?? 0]
    const { next } = answer
    if (mail === undefined) return null
    const own = conflictOf(next.claims, mail.claims)
    if (own !== null) return own
    for (let other = 0; other < machines; other++) {
      const local = cores.locals[row[other] ?? 0]
      if (other === machine || local === undefined) continue
      const theirs = conflictOf(next.claims, local.claims)
      if (theirs !== null) return theirs
    }
    for (const letter of answer.said) {
      const claims = cores.claimsOf(letter)
      const said = conflictOf(claims, mail.claims)
      if (said !== null) return said
      for (let other = 0; other < machines; other++) {
        const disk = conflictOf(claims, cores.locals[row[other] ?? 0]?.claims ?? [])
        if (disk !== null) return disk
      }
    }
    if (!answer.proves) return null
    const id = cores.keys[machine]?.id
    if (id === undefined) return null
    const disks = new Map<NodeId, Durable>()
    for (let i = 0; i < machines; i++) {
      const local = cores.locals[row[i] ?? 0]
      if (local !== undefined) disks.set(local.state.id, local.disk)
    }
    return model.faultOfProof(next.disk, id, disks)
  }

  const row = new Int32Array(width)
  cores.first.forEach((local, i) => {
    row[i] = local.number
  })
  row[machines] = mailOf(cores.firstLetters)
  add(row, -1, 0, 0)

  const moves = cores.moveNames.length
  const crash = moves - 1
  let at = 0
  let depth = 0
  let levelEnd = 1
  for (; at < count && found === null && count < maxStates; at++) {
    if (at === levelEnd) {
      depth += 1
      levelEnd = count
    }
    const mailNumber = rows[at * width + machines] ?? 0
    const mail = mails[mailNumber]
    let boots = 0
    for (let i = 0; i < machines; i++) boots += cores.locals[rows[at * width + i] ?? 0]?.boots ?? 0
    for (let machine = 0; machine < machines && found === null; machine++) {
      const local = cores.locals[rows[at * width + machine] ?? 0]
      if (local === undefined || mail === undefined) continue
      const take = (code: number, answer: Answer | null): void => {
        if (answer === null || found !== null) return
        transitions += 1
        for (let i = 0; i < width; i++) row[i] = rows[at * width + i] ?? 0
        row[machine] = answer.next.number
        row[machines] = lettersAfter(row, mailNumber, machine, answer.said)
        if (!add(row, at, machine, code)) return
        const wrong = wrongIn(row, machine, answer)
        if (wrong !== null) found = { ...wrong, path: pathTo(count - 1) }
      }
      for (const letter of mail.to[machine] ?? []) take(letter, cores.hears(local, letter))
      for (let move = 0; move < moves; move++) {
        if (move === crash && boots >= model.bounds.crashes) continue
        take(-1 - move, cores.moves(local, move))
      }
    }
  }
  // A rule that broke says more; without one, the model does not understand this core.
  if (found === null && doubt !== null) throw new Error(doubt)
  return {
    states: count,
    transitions,
    depth,
    localStates: cores.locals.length,
    steps: cores.asked(),
    letters: cores.letters.length,
    seconds: (performance.now() - started) / 1000,
    exhausted: found === null && at === count,
    found,
  }
}

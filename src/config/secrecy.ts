/** Which texts may be secrets: a token may stand under any key by mistake, and must not be repeated from there. */
import { readEdgevpnToken } from './edgevpn.ts'

/** Longest text that a message repeats: every token and every key in one is longer. */
const SHOWN_MAX = 32

/** Rather too many than one too few: for messages, which can describe a text instead. */
export const mayBeSecret = (text: string): boolean => text.length > SHOWN_MAX || text.includes('muster1')

/** A token, or a good part of one: for values that are shown, printed and logged once they are taken. */
export const holdsToken = (text: string): boolean =>
  /muster1[1-9A-HJ-NP-Za-km-z]{24}/.test(text) || readEdgevpnToken(text.trim()) !== null

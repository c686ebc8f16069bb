import { describe } from 'vitest'
import { meshContract } from './contract.ts'

describe('the WireGuard mesh', { timeout: 30_000 }, meshContract)
